"""The command `export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cxrbuild.cli.command import Command
from cxrbuild.cli.options import PATH, default_build, output_options
from cxrbuild.cli.output import Output
from cxrbuild.errors import count_of

if TYPE_CHECKING:
    from cxrbuild.exporting import ExportResult


@click.command(cls=Command)
@click.option(
    "--to",
    "to",
    type=click.Choice(["webdataset", "npz", "imagefolder", "csv", "coco", "fiftyone"]),
    required=True,
    help="Format of the export.",
)
@click.option(
    "--size",
    type=int,
    metavar="PIXELS",
    help="Resize each image to a square of this side, such as 64, 128 or 224.  [default: no resizing]",
)
@click.option(
    "--resampling",
    type=click.Choice(["box", "bilinear", "bicubic", "lanczos"]),
    default="bicubic",
    show_default=True,
    help="Pillow's filter for --size.",
)
@click.option(
    "--build",
    type=PATH,
    metavar="DIR",
    help="Build or release to export.  [default: the only build in build/, or that of the only recipe here]",
)
@click.option("--out", type=PATH, help="Folder of the export.  [default: export/NAME-VERSION-FORMAT[-SIZE]]")
@output_options
def export(
    to: str,
    size: int | None,
    resampling: Any,
    build: Path | None,
    out: Path | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Export images and labels in the format of another tool.

    Without --size the images are the dataset's JPEGs, unchanged. With --size each is resized once and stored
    as PNG, or in one array. The same build, format and size give the same bytes. README.md of the export
    shows how to load it, and export.json has the hash of every file.
    """
    from cxrbuild.api import export as export_images

    output = Output(quiet=quiet, as_json=as_json)
    _report(
        output,
        export_images(
            build or default_build(output),
            to,
            out,
            size=size,
            resampling=resampling,
            progress=output.progress,
        ),
    )


def _report(output: Output, result: ExportResult) -> None:
    """Report what was exported."""
    document = result.document
    images = sum(sum(counts.values()) for counts in document.counts.values())
    if document.artifact != "public":
        output.show("This export may include images that must not be redistributed.")
    if document.withheld:
        output.show(f"The release withholds the pixels of {count_of(document.withheld, 'image')}.")
    done = "exported" if result.written else "unchanged"
    output.show(
        f"{document.dataset.name} {document.dataset.version} {done}: {count_of(images, 'image')} "
        f"in {result.folder}"
    )
    output.result("export-1", result.to_dict())
