"""The pixels of a dataset as the network reads them: in memory, or in a temporary file if they are many."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from cxrbuild.errors import CxrbuildError

IN_MEMORY = 2 * 1024**3
"""Pixels of more bytes than this are held in a file. The paper's dataset has 0.1 GB of them."""
_BLOCK = 16 * 1024**2


@dataclass(frozen=True)
class Pixels:
    """The grey values of some images, in order.

    Attributes
    ----------
    held
        The grey values of all images of a dataset, shape (N, side, side).
    positions
        The row in ``held`` of each of the n images, shape (n,).
    """

    held: NDArray[np.uint8]
    positions: NDArray[np.int64]

    @classmethod
    def of(cls, grey: NDArray[np.uint8]) -> Pixels:
        """Return all images of an array, shape (n, side, side)."""
        return cls(grey, np.arange(len(grey)))

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, rows: int | slice | NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return a copy of the grey values of one image, shape (side, side), or of several."""
        return np.asarray(self.held[self.positions[rows]])

    def select(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> Pixels:
        """Return some of the images, by their numbers or by a mask; no grey value is copied."""
        return Pixels(self.held, self.positions[rows])

    def batches(self, size: int) -> Iterator[NDArray[np.uint8]]:
        """Yield copies of all grey values in batches of ``size`` images, the last of them smaller."""
        for start in range(0, len(self), size):
            yield self[start : start + size]


def allocate_pixels(count: int, sides: tuple[int, ...], folder: Path, limit: int) -> list[Pixels]:
    """Allocate the grey values of images, once for each side.

    The file of large ones has no name: it is deleted when the process ends, however it ends.

    Parameters
    ----------
    count
        The number of images.
    sides
        Their sides in pixels.
    folder
        Where the file is.
    limit
        The number of bytes above which the grey values are in a file.

    Raises
    ------
    CxrbuildError
        The file does not fit on the disk.
    """
    in_memory = sum(count * side * side for side in sides) <= limit
    shapes = [(count, side, side) for side in sides]
    return [
        Pixels.of(np.empty(shape, np.uint8) if in_memory else _map_file(shape, folder)) for shape in shapes
    ]


def _map_file(shape: tuple[int, int, int], folder: Path) -> NDArray[np.uint8]:
    size = int(np.prod(shape))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            _reserve(file, size)
            return np.memmap(file, np.uint8, "r+", shape=shape)
    except OSError as error:
        raise CxrbuildError(
            "the temporary file of the images' pixels cannot be written",
            where=folder,
            expected=f"{size / 1e9:,.1f} GB free",
            found=error.strerror or str(error),
            todo="Free some space, or name another --out",
        ) from error


def _reserve(file: IO[bytes], size: int) -> None:
    """Reserve the blocks of a file: writing to mapped ones that do not fit on the disk kills the process."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
        return
    for start in range(0, size, _BLOCK):
        file.write(bytes(min(_BLOCK, size - start)))
    file.flush()
