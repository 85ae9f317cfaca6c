"""Formats with a file for each image: image folders, a CSV file, FiftyOne."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cxrbuild.exporting.images import ExportImages, Row
from cxrbuild.files import write_json


def write_image_folder(images: ExportImages, folder: Path) -> list[str]:
    """Write ``<split>/<class>/<image_id>``, as ``torchvision.datasets.ImageFolder`` reads a split."""
    for split in images.splits:
        for label in images.classes:
            (folder / split / label).mkdir(parents=True, exist_ok=True)
    return write_files(images, folder, lambda row: f"{row['split']}/{row['label']}")


def image_folder_usage(images: ExportImages) -> str:
    """Return code that loads the training split."""
    return (
        "from torchvision.datasets import ImageFolder\n\n"
        f'dataset = ImageFolder("{images.splits[0]}", allow_empty=True)\n'
        "print(dataset.classes, len(dataset))"
    )


def write_csv(images: ExportImages, folder: Path) -> list[str]:
    """Write ``images/<image_id>``; ``images.csv``, which every export has, lists them."""
    return write_files(images, folder, lambda _: "images")


def csv_usage(_: ExportImages) -> str:
    """Return code that loads the table."""
    return (
        "import pandas as pd\n\n"
        'rows = pd.read_csv("images.csv")\n'
        'print(rows[["file", "label", "split"]].head())'
    )


def write_fiftyone(images: ExportImages, folder: Path) -> list[str]:
    """Write ``<split>/data/<image_id>`` and ``<split>/labels.json``.

    Each split is a ``FiftyOneImageClassificationDataset``:
    https://docs.voxel51.com/user_guide/import_datasets.html
    """
    places = write_files(images, folder, lambda row: f"{row['split']}/data")
    for split in images.splits:
        labels = {row["image_id"]: images.classes.index(row["label"]) for row in images.of(split)}
        write_json(folder / split / "labels.json", {"classes": images.classes, "labels": labels})
    return places


def fiftyone_usage(images: ExportImages) -> str:
    """Return code that loads the training split."""
    return (
        "import fiftyone\n\n"
        "dataset = fiftyone.Dataset.from_dir(\n"
        f'    dataset_dir="{images.splits[0]}",\n'
        "    dataset_type=fiftyone.types.FiftyOneImageClassificationDataset,\n"
        ")\n"
        "print(dataset)"
    )


def write_files(images: ExportImages, folder: Path, parent: Callable[[Row], str]) -> list[str]:
    """Write each image as a file named after its id.

    Parameters
    ----------
    images
        The images.
    folder
        The folder of the export.
    parent
        Returns the folder of an image, relative to that of the export.
    """
    places = []
    for split in images.splits:
        for row, data in images.files(split):
            place = f"{parent(row)}/{row['image_id']}{images.suffix}"
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            with (folder / place).open("xb") as stream:
                stream.write(data)
            places.append(place)
    return places
