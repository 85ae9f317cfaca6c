"""Keep the descriptors of a build's images in memory-mapped files, by the SHA-256 of the image.

An audit needs memory for some images at a time only, and another audit of the same build computes the
descriptors of new images only. Each column is a file of records of one size; records are appended, their
digests last. Records that a killed run left incomplete are removed.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxrbuild.auditing.descriptors import (
    COEFFICIENTS,
    FRAME_SIDE,
    HISTOGRAM_BINS,
    MOST_KEYPOINTS,
    THUMBNAIL_SIDE,
    VERSION,
    ImageDescriptors,
)
from cxrbuild.files import naming

COLUMNS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "keypoints": (np.float16, (MOST_KEYPOINTS, 4)),
    "dct_coefficients": (np.float16, (MOST_KEYPOINTS, COEFFICIENTS)),
    "thumbnail": (np.int8, (THUMBNAIL_SIDE, THUMBNAIL_SIDE)),
    "frame": (np.uint8, (FRAME_SIDE, FRAME_SIDE)),
    "histogram": (np.float32, (HISTOGRAM_BINS,)),
    "encoder": (np.float32, (8,)),
}
"""The type and shape of each column's records, by the name of the attribute of `ImageDescriptors`.

Records of images with fewer keypoints are filled up with zeros: the half width of a keypoint is never zero.
"""

_DIGESTS, _DIGEST_CHARACTERS = "digests", 64
_RECORD_BYTES = {
    name: int(np.dtype(dtype).itemsize * np.prod(shape)) for name, (dtype, shape) in COLUMNS.items()
} | {_DIGESTS: _DIGEST_CHARACTERS}
_BATCH = 1024
# Records that are read from one mapping of a file. The system maps up to 64 kB around each of them, and
# all of it counts as memory of this process until the mapping ends.
_RECORDS_AT_ONCE = 4096


@dataclass(frozen=True, eq=False)
class DescriptorTable:
    """The descriptors of a sequence of images, read from their files when they are needed.

    Attributes
    ----------
    folder
        The folder of the columns.
    records
        The number of each image's record.
    """

    folder: Path
    records: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.records)

    def select(self, images: Sequence[int] | NDArray[Any]) -> DescriptorTable:
        """Return the table of some of the images."""
        return DescriptorTable(self.folder, self.records[np.asarray(images, np.int64)])

    def read(
        self,
        column: str,
        images: slice | NDArray[np.integer[Any]] = slice(None),
        slots: slice | NDArray[np.integer[Any]] | None = None,
    ) -> NDArray[Any]:
        """Return a column's values of some images, as an array in memory.

        Parameters
        ----------
        column
            The name of an attribute of `ImageDescriptors`.
        images
            The numbers of the images.
        slots
            Where a column has values for each keypoint, the numbers of the keypoints: a slice, or one for
            each image.
        """
        dtype, shape = COLUMNS[column]
        records = self.records[images]
        values = np.empty((len(records), *_shape_of(shape, slots)), dtype)
        for start in range(0, len(records), _RECORDS_AT_ONCE):
            part = slice(start, start + _RECORDS_AT_ONCE)
            mapped = np.memmap(self.folder / column, dtype, "r").view(np.ndarray).reshape(-1, *shape)
            if slots is None:
                values[part] = mapped[records[part]]
            else:
                values[part] = mapped[records[part], slots if isinstance(slots, slice) else slots[part]]
        return values


def _shape_of(shape: tuple[int, ...], slots: slice | NDArray[np.integer[Any]] | None) -> tuple[int, ...]:
    """Return the shape of an image's values, where only those of some keypoints are read."""
    if slots is None:
        return shape
    return (len(range(*slots.indices(shape[0]))), *shape[1:]) if isinstance(slots, slice) else shape[1:]


class DescriptorStore:
    """The descriptors of a build's images, on disk.

    Parameters
    ----------
    folder
        The folder of the audit's state. Descriptors of another version are removed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / f"descriptors-{VERSION}"
        for other in folder.glob("descriptors-*"):
            if other != self._folder:
                shutil.rmtree(other)
        self._folder.mkdir(parents=True, exist_ok=True)
        paths = {name: self._folder / name for name in _RECORD_BYTES}
        for path in paths.values():
            path.touch()
        complete = min(path.stat().st_size // _RECORD_BYTES[name] for name, path in paths.items())
        for name, path in paths.items():
            if path.stat().st_size != complete * _RECORD_BYTES[name]:
                os.truncate(path, complete * _RECORD_BYTES[name])

    def find(self, digests: Sequence[str]) -> NDArray[np.int64]:
        """Return the number of each image's record; -1 where there is none.

        Parameters
        ----------
        digests
            The SHA-256 of the images, in hex.
        """
        import pandas as pd

        known = pd.Index(np.fromfile(self._folder / _DIGESTS, f"S{_DIGEST_CHARACTERS}").astype(str))
        first = np.flatnonzero(~known.duplicated())
        found = known[first].get_indexer(pd.Index(list(digests), dtype=known.dtype))
        records: NDArray[np.int64] = np.append(first, -1)[found].astype(np.int64)  # -1 stays -1
        return records

    def add(self, digests: Sequence[str], images: Sequence[ImageDescriptors]) -> None:
        """Append the descriptors of images.

        Parameters
        ----------
        digests
            The SHA-256 of the images, in hex.
        images
            Their descriptors.
        """
        for name, (dtype, shape) in COLUMNS.items():
            records = np.zeros((len(images), *shape), dtype)
            for i, image in enumerate(images):
                value = getattr(image, name)
                records[i, : len(value)] = value
            self._append(name, records)
        self._append(_DIGESTS, np.array(list(digests), f"S{_DIGEST_CHARACTERS}"))

    def _append(self, name: str, records: NDArray[Any]) -> None:
        path = self._folder / name
        with naming(path), path.open("ab") as stream:
            stream.write(records.tobytes())

    def remove_others(self, digests: Sequence[str]) -> None:
        """Remove the records of other images: each has a thumbnail, and the image may be withdrawn.

        Parameters
        ----------
        digests
            The SHA-256 of the build's images, in hex.
        """
        used = np.unique(self.find(digests))
        used = used[used >= 0]
        count = (self._folder / _DIGESTS).stat().st_size // _RECORD_BYTES[_DIGESTS]
        if count == len(used):
            return
        # A killed run leaves a folder that the next run removes.
        compact = self._folder.with_name(f"{self._folder.name}-compact")
        compact.mkdir()
        for name, size in _RECORD_BYTES.items():
            with naming(self._folder / name), (compact / name).open("wb") as stream:
                for start in range(0, len(used), _BATCH):
                    records = np.memmap(self._folder / name, np.uint8, "r").reshape(-1, size)
                    stream.write(records[used[start : start + _BATCH]].tobytes())
                    del records  # some systems do not remove a file that is mapped
        shutil.rmtree(self._folder)
        compact.rename(self._folder)

    def table(self, digests: Sequence[str]) -> DescriptorTable:
        """Return the descriptors of images that the store has.

        Parameters
        ----------
        digests
            The SHA-256 of the images, in hex.
        """
        return DescriptorTable(self._folder, self.find(digests))
