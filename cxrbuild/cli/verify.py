"""The command `verify`."""

from __future__ import annotations

from pathlib import Path

import click

from cxrbuild.cli.options import NAME_OR_PATH, PATH, output_options
from cxrbuild.cli.output import Output


@click.command()
@click.argument("folder", type=PATH, metavar="DIR")
@click.option(
    "--manifest",
    type=NAME_OR_PATH,
    metavar="FILE|NAME",
    help="Compare images with this manifest; default covid19-cxr/1.0.0.",
)
@output_options
def verify(folder: Path, manifest: str | None, quiet: bool, as_json: bool) -> None:
    """Check a release, a build or a folder of images.

    Checks that hashes, tables, shards, images, card and Croissant agree, and that no patient is in two
    splits. Lists every finding.
    Exit status 3 on any finding.
    """
    from cxrbuild.errors import count_of, printable
    from cxrbuild.verification import require_verified
    from cxrbuild.verification import verify as verify_folder

    output = Output(quiet=quiet, as_json=as_json)
    result = verify_folder(folder, manifest=manifest, progress=output.progress)
    output.result(result.to_dict())
    require_verified(result, folder)
    output.say(
        f"{printable(folder)} is verified: {result.kind} {printable(result.name)}, "
        f"{count_of(result.files, 'file')}, {count_of(result.images, 'image')}."
    )
    if result.missing:
        output.say(f"Incomplete: {count_of(result.missing, 'image')} missing. It cannot be published.")
    if result.unpinned:
        output.say(f"Unpinned: {printable(', '.join(result.unpinned))}. It cannot be published.")
    if result.other_version:
        output.say(
            f"Made by cxrbuild {printable(result.other_version)}: the counts, licences and files in card and "
            "Croissant were compared with the data. Only that version compares every line."
        )
