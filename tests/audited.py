"""Small builds to audit, written without `curate`, from images that are generated."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from cxrbuild.artifact import BuildDocument
from cxrbuild.auditing.descriptors import read_descriptors
from cxrbuild.auditing.registry import CHECKS
from cxrbuild.auditing.store import DescriptorStore, DescriptorTable
from cxrbuild.catalog import read_recipe
from cxrbuild.demo.phantom import phantom
from cxrbuild.records import conform, write_records

RECIPE = """
name = "small"
version = "1.0.0"
title = "A few images"
sources = ["cohen"]
labels = { "COVID-19" = { cohen = ["COVID-19"] }, "Normal" = { cohen = ["No Finding"] } }
rules = [{ name = "other", kind = "labelled", reason = "of no class" }]
split = { salt = "s" }
"""
LABELS = ("COVID-19", "Normal")
Row = Mapping[str, Any]


def make_only(patch: pytest.MonkeyPatch, *check_ids: str) -> None:
    """Let audits make these checks alone: the others take longer than what is tested of these."""
    kept = tuple(check for check in CHECKS if check.id in check_ids)
    assert len(kept) == len(check_ids)
    patch.setattr("cxrbuild.auditing.audit.audit_checks", lambda: kept)


def jpeg(image: Image.Image, quality: int = 92, **options: Any) -> bytes:
    """Return an image as JPEG."""
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality, **options)
    return stream.getvalue()


def crop(image: Image.Image) -> Image.Image:
    """Return an image without parts of its borders."""
    width, height = image.size
    return image.crop((round(0.08 * width), round(0.03 * height), round(0.95 * width), round(0.9 * height)))


@cache
def different_image(number: int) -> bytes:
    """Return the JPEG of an image, of the first of two classes where its number is even."""
    return jpeg(phantom(f"image {number}", LABELS[number % 2]))


def different_images(n: int) -> list[tuple[bytes, Row]]:
    """Return images of two classes, each of another patient, in two splits."""
    return [
        (different_image(i), {"label": LABELS[i % 2], "split": ("train", "test")[i % 3 == 0]})
        for i in range(n)
    ]


def described(images: list[bytes], folder: Path) -> DescriptorTable:
    """Return the descriptors of JPEGs, in a store below a folder."""
    digests = [hashlib.sha256(data).hexdigest() for data in images]
    store = DescriptorStore(folder / "store")
    store.add(digests, [read_descriptors(data) for data in images])
    return store.table(digests)


def write_build(folder: Path, images: list[tuple[bytes, Row]]) -> Path:
    """Write the images, manifest and ``build.json`` of a build, and its recipe next to it."""
    (folder / "recipe.toml").write_text(RECIPE)
    rows = []
    for i, (data, values) in enumerate(images):
        sha256 = hashlib.sha256(data).hexdigest()
        row = {
            "image_id": f"cohen_image-{i:02d}", "source": "cohen", "source_path": f"images/{i:02d}.jpg",
            "patient_id": str(i), "label": "Normal", "split": "train",
            "source_sha256": sha256, "jpeg_sha256": sha256,
        } | dict(values)  # fmt: skip
        row["jpeg_path"] = f"images/{row['split']}/{row['label']}/{row['image_id']}.jpg"
        row.setdefault("group", f"{row['source']}:{row['patient_id']}")
        path = folder / "build" / row["jpeg_path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        rows.append(row)
    write_records(folder / "build" / "manifest.parquet", conform(pd.DataFrame(rows)))
    recipe = read_recipe(str(folder / "recipe.toml"))
    BuildDocument.model_validate({
        "dataset": {"name": recipe.name, "version": recipe.version, "title": recipe.title},
        "recipe": recipe, "inputs": "0" * 64, "cxrbuild": "0.1.0", "libraries": {}, "declared_sources": {},
        "overrides": {}, "unpinned": [], "sources": {}, "missing": {}, "counts": {}, "funnel": [],
        "groups_in_several_splits": {}, "formats": [], "files": {},
    }).write(folder / "build" / "build.json")  # fmt: skip
    return folder / "build"
