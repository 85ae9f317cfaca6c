"""The command `verify`."""

from __future__ import annotations

from pathlib import Path

import click

from cxrbuild.cli.options import PATH, output_options
from cxrbuild.cli.output import Output


@click.command()
@click.argument("folder", type=PATH, metavar="DIR")
@click.option(
    "--manifest",
    metavar="FILE|NAME",
    help="Check bare images against this manifest; default covid19-cxr/1.0.0.",
)
@output_options
def verify(folder: Path, manifest: str | None, quiet: bool, as_json: bool) -> None:
    """Check a release, a build, or a folder of bare images, and tell all faults at once.

    Every hash, schema, count, class and part; no patient in two parts; every JPEG against its row; shards,
    manifest, card and Croissant against each other. Exit status 3 on any fault.
    """
    from cxrbuild.verification import refuse_faults
    from cxrbuild.verification import verify as verify_folder

    output = Output(quiet=quiet, as_json=as_json)
    verified = verify_folder(folder, manifest=manifest, progress=output.progress)
    output.result(verified.document())
    refuse_faults(verified, folder)
    output.say(
        f"{folder} is in order: {verified.kind} {verified.name}, {verified.files:,} files, "
        f"{verified.images:,} images."
    )
    if verified.missing:
        output.say(f"Incomplete: {verified.missing:,} films could not be had. It cannot be published.")
    if verified.unpinned:
        output.say(f"Unpinned: {', '.join(verified.unpinned)}. It cannot be published.")
    if verified.packed_by:
        output.say(
            f"Packed by cxrbuild {verified.packed_by}: the card's tables and Croissant's files, "
            "licences and counts were compared with the data; that version alone compares every word of both."
        )
