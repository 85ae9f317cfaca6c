"""COCO's object annotations, https://cocodataset.org/#format-data: the box of an image is the whole image."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cxrbuild.exporting.folders import write_files
from cxrbuild.exporting.images import ExportImages, Row


def write_coco(images: ExportImages, folder: Path) -> list[str]:
    """Write ``images/<split>/<image_id>`` and ``annotations/<split>.json``.

    Images, annotations, classes and licences are numbered from 1, images through all splits.
    """
    places = write_files(images, folder, lambda row: f"images/{row['split']}")
    (folder / "annotations").mkdir()
    licenses = sorted(set(images.rows["license"]))
    number = 1
    for split in images.splits:
        with (folder / "annotations" / f"{split}.json").open("x", encoding="utf-8") as stream:
            # One object at a time: the text of all would be several times as large as the table.
            stream.write('{"info": ' + json.dumps(_info(images, split)))
            stream.write(', "licenses": ' + json.dumps(_numbered(licenses)))
            stream.write(', "categories": ' + json.dumps(_numbered(images.classes)))
            stream.write(', "images": [')
            stream.writelines(
                _listed(_image(images, licenses, i, row) for i, row in enumerate(images.of(split), number))
            )
            stream.write('], "annotations": [')
            stream.writelines(
                _listed(_annotation(images, i, row) for i, row in enumerate(images.of(split), number))
            )
            stream.write("\n]}\n")
        number += images.count(split)
    return places


def coco_usage(images: ExportImages) -> str:
    """Return code that loads the training split."""
    split = images.splits[0]
    return (
        "from pycocotools.coco import COCO\n\n"
        f'annotations = COCO("annotations/{split}.json")\n'
        f'print(len(annotations.getImgIds()), "images in images/{split}")'
    )


def _info(images: ExportImages, split: str) -> dict[str, Any]:
    dataset = images.dataset
    return {"description": f"{dataset.artifact.document.dataset.title}, {split}", "version": dataset.version}


def _numbered(names: list[str]) -> list[dict[str, Any]]:
    return [{"id": number, "name": name} for number, name in enumerate(names, 1)]


def _image(images: ExportImages, licenses: list[str], number: int, row: Row) -> dict[str, Any]:
    width, height = images.side(row)
    changed = {"width": width, "height": height, "license": licenses.index(row["license"]) + 1}
    return {"id": number, "file_name": f"{row['image_id']}{images.suffix}"} | row | changed


def _annotation(images: ExportImages, number: int, row: Row) -> dict[str, Any]:
    width, height = images.side(row)
    return {
        "id": number, "image_id": number, "category_id": images.classes.index(row["label"]) + 1,
        "bbox": [0, 0, width, height], "area": width * height, "iscrowd": 0,
    }  # fmt: skip


def _listed(objects: Iterator[dict[str, Any]]) -> Iterator[str]:
    for number, one in enumerate(objects):
        yield (",\n" if number else "\n") + json.dumps(one, ensure_ascii=False)
