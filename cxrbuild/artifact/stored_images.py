"""How a folder stores the images of a dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from cxrbuild.artifact import names

StoredAs = Literal["files", "parquet", "tfrecord", "nothing"]


def list_shards(folder: Path) -> list[Path]:
    """Return the Parquet shards of a folder, sorted."""
    return sorted((folder / names.PARQUET).glob("*.parquet"))


def stored_as(folder: Path) -> StoredAs | None:
    """Return how a folder stores the images of a dataset; ``None`` where it holds no dataset.

    ``files`` are the JPEGs of a manifest, which a build has next to its shards; ``parquet`` are shards, as of
    a release; ``tfrecord`` is a folder of TensorFlow Datasets. A manifest alone stores ``nothing`` of them.
    """
    shards = list_shards(folder)
    if (folder / names.MANIFEST).is_file():
        if (folder / names.IMAGES).is_dir():
            return "files"
        return "parquet" if shards else "nothing"
    if shards:
        return "parquet"
    return "tfrecord" if (folder / names.TFDS_INFO).is_file() else None
