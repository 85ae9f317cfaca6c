"""The images of an export, read and resized as they are written."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from cxrbuild.executors import default_workers
from cxrbuild.loading import Dataset, Resampling, resize
from cxrbuild.progress import Progress
from cxrbuild.shards import shard_columns

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

# Rows in memory as dictionaries.
_ROWS = 1000
Argument = TypeVar("Argument")
Result = TypeVar("Result")
# The row of an image, null as None.
Row = dict[str, Any]


@dataclass(frozen=True)
class ExportImages:
    """The images to export.

    Attributes
    ----------
    dataset
        The build or release that they are from.
    size
        The side to which each image is resized, in pixels; ``None`` keeps the JPEGs as they are.
    resampling
        Pillow's filter.
    progress
        Opens a progress bar, in images.
    """

    dataset: Dataset
    size: int | None
    resampling: Resampling
    progress: Progress

    @property
    def classes(self) -> list[str]:
        """The classes, in the order of their numbers."""
        return self.dataset.classes

    @property
    def splits(self) -> list[str]:
        """The splits that have images."""
        found = set(self.rows["split"])
        return [split for split in self.dataset.splits if split in found]

    @property
    def suffix(self) -> str:
        """The suffix of a file: resized images are PNG, so that they are compressed with loss only once."""
        return ".jpg" if self.size is None else ".png"

    @cached_property
    def rows(self) -> pd.DataFrame:
        """The rows, by split in the order of the shards: a mixture of all classes and sources."""
        rows = self.dataset.rows
        digest = rows["image_id"].map(lambda name: hashlib.sha256(name.encode()).hexdigest())
        order = rows["split"].map(self.dataset.splits.index).to_frame("split").assign(digest=digest)
        columns = ["image_id", "label", "split", *(name for name in shard_columns() if name != "image_id")]
        return rows.loc[order.sort_values(["split", "digest"]).index, [*columns, "width", "height"]]

    def count(self, split: str) -> int:
        """Return the number of images of a split."""
        return int((self.rows["split"] == split).sum())

    def of(self, split: str) -> Iterator[Row]:
        """Yield the rows of a split; some are in memory at a time."""
        rows = self.rows[self.rows["split"] == split]
        for start in range(0, len(rows), _ROWS):
            some = rows.iloc[start : start + _ROWS].astype(object)
            for row in some.where(some.notna(), None).to_dict("records"):
                yield {str(key): value for key, value in row.items()}

    def side(self, row: Row) -> tuple[int, int]:
        """Return the width and height of an exported image."""
        return (row["width"], row["height"]) if self.size is None else (self.size, self.size)

    def files(self, split: str) -> Iterator[tuple[Row, bytes]]:
        """Yield each row of a split with the file of its image: JPEG, or PNG where it is resized."""
        return self._each(split, self._file)

    def pixels(self, split: str) -> Iterator[tuple[Row, NDArray[np.uint8]]]:
        """Yield each row of a split with its pixels, shape (height, width)."""
        return self._each(split, self._pixels)

    def _each(self, split: str, read: Callable[[str], Result]) -> Iterator[tuple[Row, Result]]:
        ids = self.rows.loc[self.rows["split"] == split, "image_id"]
        with self.progress(title_of(split), len(ids), "image") as bar:
            for row, result in zip(self.of(split), _in_order(read, ids), strict=True):
                yield row, result
                bar.update()

    def _file(self, image_id: str) -> bytes:
        if self.size is None:
            return self.dataset.read_bytes(image_id)
        stream = BytesIO()
        resize(self.dataset.read_image(image_id), self.size, self.resampling).save(stream, "PNG")
        return stream.getvalue()

    def _pixels(self, image_id: str) -> NDArray[np.uint8]:
        return np.asarray(resize(self.dataset.read_image(image_id), self.size, self.resampling))


def _in_order(function: Callable[[Argument], Result], arguments: Iterable[Argument]) -> Iterator[Result]:
    """Yield the results in order; a few are computed ahead by threads, since Pillow releases the lock."""
    workers = default_workers()
    pending: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for argument in arguments:
                pending.append(pool.submit(function, argument))
                if len(pending) > 4 * workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


def title_of(split: str) -> str:
    """Return the title of the bar of a split."""
    return f"exporting {split}"
