"""The formats of exports, each with the function that writes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cxrbuild.exporting.coco import coco_usage, write_coco
from cxrbuild.exporting.folders import (
    csv_usage,
    fiftyone_usage,
    image_folder_usage,
    write_csv,
    write_fiftyone,
    write_image_folder,
)
from cxrbuild.exporting.images import ExportImages
from cxrbuild.exporting.npz import npz_usage, write_npz
from cxrbuild.exporting.webdataset import webdataset_usage, write_webdataset

FormatName = Literal["webdataset", "npz", "imagefolder", "csv", "coco", "fiftyone"]


@dataclass(frozen=True)
class ExportFormat:
    """A format of exports.

    Attributes
    ----------
    name
        Its name on the command line.
    title
        Its name in text.
    write
        Writes the images into an empty folder, and returns for each row the file that has its image, in the
        order of the rows.
    usage
        Returns Python code that loads an export, run from its folder.
    needs_size
        Whether all images must have one size.
    """

    name: FormatName
    title: str
    write: Callable[[ExportImages, Path], list[str]]
    usage: Callable[[ExportImages], str]
    needs_size: bool = False


FORMATS: dict[str, ExportFormat] = {
    one.name: one
    for one in (
        ExportFormat("webdataset", "WebDataset", write_webdataset, webdataset_usage),
        ExportFormat("npz", "NumPy arrays", write_npz, npz_usage, needs_size=True),
        ExportFormat("imagefolder", "image folders", write_image_folder, image_folder_usage),
        ExportFormat("csv", "a CSV file with images", write_csv, csv_usage),
        ExportFormat("coco", "COCO", write_coco, coco_usage),
        ExportFormat("fiftyone", "FiftyOne", write_fiftyone, fiftyone_usage),
    )
}
