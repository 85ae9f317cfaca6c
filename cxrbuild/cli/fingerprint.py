"""The command `fingerprint`."""

from __future__ import annotations

from pathlib import Path

import click

from cxrbuild.cli.command import Command
from cxrbuild.cli.options import PATH, PLACE, default_build, output_options, worker_options
from cxrbuild.cli.output import Output
from cxrbuild.errors import count_of, verb_of


@click.command(cls=Command)
@click.argument("folder", metavar="[BUILD]", type=PLACE, required=False)
@click.option("--out", type=PATH, help="File to write.  [default: NAME-VERSION.fingerprint.parquet]")
@click.option(
    "--thumbnails",
    is_flag=True,
    help="Include a thumbnail of each image: finds more strongly cropped copies, and shows the images.",
)
@worker_options
@output_options
def fingerprint(
    folder: Path | str | None,
    out: Path | None,
    thumbnails: bool,
    workers: int | None,
    executor: str,
    quiet: bool,
    as_json: bool,
) -> None:
    """Write descriptors of a build or release for a comparison without its images.

    Two parties exchange the file instead of images, and find with `cxrbuild overlap` which images both have.
    Without BUILD it describes the only build in build/, or that of the only recipe in this folder.
    A blurred copy of each image can be computed from the file: keep it as confidential as the images.
    """
    from cxrbuild.api import fingerprint as write_fingerprint

    output = Output(quiet=quiet, as_json=as_json)
    result = write_fingerprint(
        folder or default_build(output, option=None),
        out,
        level="thumbnails" if thumbnails else "keypoints",
        workers=workers,
        executor=executor,
        progress=output.progress,
    )
    document = result.document
    if missing := document.images - document.described:
        output.show(
            f"{count_of(missing, 'image')} {verb_of(missing, 'has')} no pixels here; only "
            "hashes are compared."
        )
    output.show(
        f"{document.dataset.name} {document.dataset.version}: {count_of(document.described, 'image')} "
        f"described by {document.level}, in {result.path} ({result.bytes / 1e6:.1f} MB)"
    )
    output.result("fingerprint-1", result.to_dict())
