"""Which image stands in which shard, the same for every format."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cxrbuild.records import SPLITS

if TYPE_CHECKING:
    import pandas as pd

# Large enough to stream, small enough to share out among workers.
SHARD_BYTES = 256 * 1024 * 1024
# What a shard says of an image beside its pixels and its label.
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
    """One file's worth of images: rows of the manifest, in the order they are written."""

    split: str
    number: int
    of: int
    rows: pd.DataFrame


def shard_columns() -> tuple[str, ...]:
    """Return the columns that a shard carries beside ``image`` and ``label``."""
    return _COLUMNS


def is_of_shards(name: str) -> bool:
    """Return whether a file has a name that shards have, or what tells of them."""
    return _NAMES.fullmatch(name) is not None


def lay_out(manifest: pd.DataFrame) -> list[Shard]:
    """Lay the kept images out in shards.

    Within a part the images stand in the order of the SHA-256 of their ids, so that a reader who takes them
    as they come, or one shard of several, meets all classes and sources mixed.

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
        pieces = [piece for _, piece in rows.groupby(number)]
        shards += [Shard(split, i, len(pieces), piece) for i, piece in enumerate(pieces)]
    return shards
