"""Assign images to shards, the same for every format."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cxrbuild.records import SPLITS

if TYPE_CHECKING:
    import pandas as pd

# Large enough to stream, small enough to distribute over workers.
SHARD_BYTES = 256 * 1024 * 1024
# The columns of a shard in addition to pixels and label.
_COLUMNS = (
    "image_id",
    "source",
    "patient_id",
    "group",
    "view_position",
    "patient_sex",
    "patient_age",
    "license",
    "attribution",
)
_NAMES = re.compile(
    rf"({'|'.join(SPLITS)})-\d{{5}}-of-\d{{5}}\.parquet|.+\.tfrecord-\d{{5}}-of-\d{{5}}"
    r"|dataset_info\.json|features\.json|label\.labels\.txt"
)


@dataclass(frozen=True)
class Shard:
    """The images of one file: rows of the manifest in the order in which they are written."""

    split: str
    number: int
    of: int
    rows: pd.DataFrame


def shard_columns() -> tuple[str, ...]:
    """Return the columns of a shard in addition to ``image`` and ``label``."""
    return _COLUMNS


def is_of_shards(name: str) -> bool:
    """Return whether a file name is that of a shard or of its metadata."""
    return _NAMES.fullmatch(name) is not None


def lay_out(manifest: pd.DataFrame) -> list[Shard]:
    """Assign the kept images to shards.

    Within a split the images are ordered by the SHA-256 of their ids, so that the first images, or one
    shard of several, are a mixture of all classes and sources.

    Parameters
    ----------
    manifest
        The kept rows, with ``split`` and ``jpeg_bytes``.
    """
    shards = []
    for split in SPLITS:
        rows = manifest[manifest["split"] == split]
        if rows.empty:
            continue
        digest = rows["image_id"].map(lambda name: hashlib.sha256(name.encode()).hexdigest())
        rows = rows.loc[digest.sort_values().index]
        number = (rows["jpeg_bytes"].cumsum() - rows["jpeg_bytes"]) // SHARD_BYTES
        groups = [group for _, group in rows.groupby(number)]
        shards += [Shard(split, i, len(groups), group) for i, group in enumerate(groups)]
    return shards
