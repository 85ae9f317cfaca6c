"""Assign images to shards, the same for every format."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cxrbuild.records import SPLITS

if TYPE_CHECKING:
    import pandas as pd

# The most that a shard has on average: large enough to stream, small enough to distribute over workers.
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
    "fold",
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
    shard of several, are a mixture of all classes and sources. The number of shards is a power of two, and
    an image is in the shard of the first bits of its hash. So another image, or other bytes of an image,
    changes one shard, unless the size of the split passes a power of two.

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
        digest = rows["image_id"].map(lambda name: hashlib.sha256(name.encode()).hexdigest()).sort_values()
        rows = rows.loc[digest.index]
        bits = _shard_bits(int(rows["jpeg_bytes"].sum()))
        number = digest.str[:8].apply(int, base=16) // (1 << 32 - bits)
        # No shard is empty: a split of few large images has fewer.
        groups = [group for _, group in rows.groupby(number)]
        shards += [Shard(split, i, len(groups), group) for i, group in enumerate(groups)]
    return shards


def _shard_bits(size: int) -> int:
    """Return the logarithm of the number of shards for a split of a size in bytes."""
    return max(-(-size // SHARD_BYTES) - 1, 0).bit_length()
