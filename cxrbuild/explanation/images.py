"""The images that are explained: read in batches, so that memory does not grow with their number."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cxrbuild.artifact import names
from cxrbuild.baseline.image_table import ImageTable
from cxrbuild.baseline.input import read_pixels, require_readable
from cxrbuild.records import conform, read_records

if TYPE_CHECKING:
    import pandas as pd

BATCH = 64


@dataclass(frozen=True)
class Selection:
    """Some images of a dataset.

    Attributes
    ----------
    folder
        The dataset.
    found
        All its images.
    rows
        The row numbers of the selected ones, in order.
    labels
        Their class numbers.
    """

    folder: Path
    found: ImageTable
    rows: NDArray[np.int64]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def table(self) -> pd.DataFrame:
        """Their rows."""
        return self.found.rows.iloc[self.rows].reset_index(drop=True)

    def batches(self, side: int) -> Iterator[tuple[slice, NDArray[np.uint8]]]:
        """Yield the images in batches: their positions in the selection, and their pixels.

        The next batch is read while the caller works on the present one.

        Parameters
        ----------
        side
            The side to resize them to, in pixels.

        Raises
        ------
        CxrbuildError
            Images are missing, damaged or different from the manifest.
        """
        with ThreadPoolExecutor() as pool:
            waiting: list[Future[Any]] = []
            for start in range(0, len(self), BATCH):
                waiting.append(pool.submit(self._read, start, side))
                if len(waiting) > 1:
                    yield waiting.pop(0).result()
            for batch in waiting:
                yield batch.result()

    def _read(self, start: int, side: int) -> tuple[slice, NDArray[np.uint8]]:
        rows = self.rows[start : start + BATCH]
        grey = np.empty((len(rows), side, side), np.uint8)
        problems = [
            f"{self.found.name(row)} ({problem})"
            for pixels, row in zip(grey, rows.tolist(), strict=True)
            if (problem := read_pixels(self.found, row, pixels))
        ]
        require_readable(self.folder, problems)
        return slice(start, start + len(rows)), grey


def select(
    folder: Path, found: ImageTable, classes: list[str], split: str, excluded: NDArray[np.bool_]
) -> Selection:
    """Select the images of a split that are of some classes.

    Parameters
    ----------
    folder
        The dataset.
    found
        Its images.
    classes
        The classes in the order of their numbers.
    split
        The split.
    excluded
        Which images are excluded, one value for each row.
    """
    mask = (found.rows["split"] == split) & found.rows["label"].isin(classes)
    rows = np.flatnonzero(mask.to_numpy() & ~excluded)
    numbers = {name: number for number, name in enumerate(classes)}
    labels = np.array([numbers[label] for label in found.rows["label"].iloc[rows]], np.int64)
    return Selection(folder, found, rows.astype(np.int64), labels)


def read_metadata(selection: Selection) -> pd.DataFrame:
    """Return the manifest's rows of selected images, in their order; columns are null where unknown."""
    path = selection.folder / names.MANIFEST
    table = selection.table
    if not path.is_file():
        return conform(table[["image_id", "source", "patient_id", "label", "split", "group"]])
    records = read_records(path).drop_duplicates("image_id").set_index("image_id", drop=False)
    return records.reindex(table["image_id"]).reset_index(drop=True)
