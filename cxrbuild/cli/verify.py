"""The command `verify`."""

from __future__ import annotations

from pathlib import Path

import click

from cxrbuild.cli.command import Command
from cxrbuild.cli.options import NAME_OR_PATH, PATH, PLACE, default_build, executor_option, output_options
from cxrbuild.cli.output import Output


@click.command(cls=Command)
@click.argument("folder", type=PLACE, metavar="[DIR]", required=False)
@click.option(
    "--manifest",
    type=NAME_OR_PATH,
    metavar="FILE|NAME",
    help="Compare images with this manifest; default covid19-cxr/1.0.0.",
)
@click.option(
    "--signers",
    type=PATH,
    metavar="FILE",
    help="Require that a release is signed with a key of this file: a .pub file, or allowed_signers.",
)
@executor_option("Where to check the image files of a build or a folder, and the ready sizes of a release.")
@output_options
def verify(
    folder: Path | str | None,
    manifest: str | None,
    signers: Path | None,
    executor: str,
    quiet: bool,
    as_json: bool,
) -> None:
    """Check a release, a build or a folder of images.

    Checks that hashes, tables, shards, images, card and Croissant agree, and that no patient is in two
    splits. Lists every finding. Without DIR it checks the only build in build/,
    or that of the only recipe in this folder.
    Exit status 3 on any finding.
    """
    from cxrbuild.api import verify as verify_folder
    from cxrbuild.artifact import names
    from cxrbuild.errors import count_of, printable
    from cxrbuild.verification import require_verified

    output = Output(quiet=quiet, as_json=as_json)
    folder = folder or default_build(output, option=None)
    result = verify_folder(
        folder, manifest=manifest, executor=executor, signers=signers, progress=output.progress
    )
    output.result("verify-1", result.to_dict() | {"folder": str(folder)})
    require_verified(result, folder)
    pixels = f", {result.images - result.withheld:,} of them with pixels" if result.withheld else ""
    output.show(
        f"{printable(folder)} is verified: {result.kind} {printable(result.name)}, "
        f"{count_of(result.files, 'file')}, {count_of(result.images, 'image')}{pixels}."
    )
    if result.leakage:
        output.show(printable(result.leakage))
    if result.signer:
        known = (
            "a named signer" if signers else "a key that was not compared; name your signers with --signers"
        )
        output.show(f"Signed by {result.signer}, {known}.")
    if result.failed_audit:
        # A build may have no page: `curate` removes one that shows a withdrawn image.
        page = names.AUDIT_PAGE if (result.folder / names.AUDIT_PAGE).is_file() else names.AUDIT
        where = "its card and its report state" if result.kind == "release" else f"{page} explains"
        output.show(
            f"Failed checks of its audit: {printable(', '.join(result.failed_audit))}. These are no faults "
            f"of the files; {where} them."
        )
    if result.missing:
        output.show(f"Incomplete: {count_of(result.missing, 'image')} missing. It cannot be published.")
    if result.unpinned:
        output.show(f"Unpinned: {printable(', '.join(result.unpinned))}. It cannot be published.")
    if result.other_version:
        output.show(
            f"Made by cxrbuild {printable(result.other_version)}: the counts, licences and files in card and "
            "Croissant were compared with the data. Only that version compares every line."
        )
