"""What is selected of a build or release, and how it is shown: as a line, and in a notebook."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cxrbuild.artifact import Artifact
from cxrbuild.artifact.pixels import PixelCount, count_pixels, describe_absent, tabulate
from cxrbuild.errors import CxrbuildError, noun_of
from cxrbuild.notebook import result_html

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Selection:
    """A build or release, or its images of a split, of folds, or of both.

    Attributes
    ----------
    artifact
        The build or release.
    split, folds
        The split and the folds, ``None`` for all.
    """

    artifact: Artifact
    split: str | None
    folds: tuple[int, ...] | None

    def rows_of(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return the rows of the ledger or the manifest that are selected."""
        if self.split is not None:
            table = table[table["split"] == self.split]
        if self.folds is not None:
            table = table[table["fold"].isin(list(self.folds))]
        return table

    def count_pixels(self) -> list[PixelCount]:
        """Return by class and split how many of the images have pixels, are withheld or are missing."""
        artifact = self.artifact
        if self.folds is None:
            return [one for one in artifact.count_pixels() if self.split in (None, one.split)]
        ledger = self.rows_of(artifact.ledger) if artifact.document.missing_images else None
        return count_pixels(self.rows_of(artifact.manifest), ledger, artifact.classes)

    def describe(self) -> str:
        """Return name, version, folder and what is selected, with the numbers of its images."""
        found = self.count_pixels()
        selected = {"split": self.split, "folds": self.folds}
        withheld, missing = self._count_absent(found)
        absent = {"withheld": withheld, "missing": missing}
        parts = [
            f"{self.artifact.name} {self.artifact.version}",
            f"folder={str(self.artifact.folder)!r}",
            *(f"{name}={value!r}" for name, value in selected.items() if value is not None),
            f"images={sum(one.pixels for one in found)}",
            *(f"{name}={n}" for name, n in absent.items() if n),
        ]
        return f"Dataset({', '.join(parts)})"

    def to_html(self) -> str:
        """Return a table of the images by class and split, with a title that says what is selected."""
        found = self.count_pixels()
        parts = [] if self.split is None else [self.split]
        if self.folds is not None:
            parts.append(f"{noun_of(len(self.folds), 'fold')} {', '.join(map(str, self.folds))}")
        selected = f": {', '.join(parts)}" if parts else ""
        header, rows = tabulate(found, self.artifact.classes)
        return result_html(
            f"Dataset {self.artifact.name} {self.artifact.version}{selected}",
            [describe_absent(*self._count_absent(found))],
            header,
            rows,
        )

    def _count_absent(self, found: Sequence[PixelCount]) -> tuple[int, int]:
        """Return how many images are withheld and missing; of some missing images the class is not known."""
        withheld, missing = sum(one.images - one.pixels for one in found), sum(one.missing for one in found)
        whole = self.split is None and self.folds is None
        return withheld, self.artifact.document.missing_images if whole else missing


def require_split(artifact: Artifact, splits: Sequence[str], split: str) -> None:
    """Refuse a split that is none of those of a dataset.

    Raises
    ------
    CxrbuildError
        The dataset has no such split.
    """
    if split not in splits:
        raise CxrbuildError(
            f"the dataset has no split {split!r}", where=artifact.folder,
            expected=f"one of {', '.join(splits)}" if splits else "images",
            todo="Name a split that the dataset has, or none for all images",
        )  # fmt: skip


def divide_folds(artifact: Artifact, number: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the other folds of a dataset, and one of them.

    Raises
    ------
    CxrbuildError
        The dataset has no such fold.
    """
    found = tuple(sorted(int(fold) for fold in artifact.manifest["fold"].dropna().unique()))
    if number not in found:
        raise CxrbuildError(
            f"the dataset has no fold {number!r}", where=artifact.folder,
            expected=f"one of {', '.join(map(str, found))}" if found else "a recipe with `[split.folds]`",
            todo="Name a fold that the dataset has"
            if found
            else "Declare the folds in the recipe, and build the dataset again",
        )  # fmt: skip
    return tuple(fold for fold in found if fold != number), (number,)
