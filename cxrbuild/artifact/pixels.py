"""Count by class and split how many images have pixels, are withheld or are missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cxrbuild.errors import verb_of
from cxrbuild.exclusions import MISSING
from cxrbuild.records import SPLITS

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class PixelCount:
    """The images of a class and split.

    Attributes
    ----------
    label, split
        The class and the split.
    images
        The number of rows of the manifest.
    pixels
        The number of them that have pixels: a public release withholds some.
    missing
        The number of images that belong to the dataset and are missing: they are no rows of the manifest.
    """

    label: str
    split: str
    images: int
    pixels: int
    missing: int

    @property
    def complete(self) -> bool:
        """Whether no image is withheld or missing."""
        return self.pixels == self.images and not self.missing

    def describe(self) -> str:
        """Return the counts as a sentence without its full stop.

        Examples
        --------
        >>> PixelCount("COVID-19", "train", 364, 145, 34).describe()
        '145 of 364 COVID-19 images of train have pixels here, and 34 more are missing'
        >>> PixelCount("Normal", "test", 100, 100, 1).describe()
        '100 Normal images of test are here, and 1 more is missing'
        """
        counts = f"{self.images:,} {self.label} images of {self.split} are here"
        if self.pixels != self.images:
            counts = (
                f"{self.pixels:,} of {self.images:,} {self.label} images of {self.split} have pixels here"
            )
        if not self.missing:
            return counts
        return f"{counts}, and {self.missing:,} more {verb_of(self.missing, 'is')} missing"


def count_pixels(
    manifest: pd.DataFrame, ledger: pd.DataFrame | None, classes: Sequence[str]
) -> list[PixelCount]:
    """Return the counts of each class and split that the dataset has.

    Parameters
    ----------
    manifest
        The rows of the dataset.
    ledger
        The rows of all upstream images, ``None`` where no image is missing. An image that is missing may have
        no class, and a public release does not list one of a source that is not public: neither is counted.
    classes
        The classes, in the order of their numbers.
    """
    import pandas as pd

    keys = ["split", "label"]
    images = manifest.groupby(keys).size()
    pixels = manifest[manifest["withheld"].isna()].groupby(keys).size()
    missing = None if ledger is None else ledger[ledger["exclusion"].isin(MISSING)].groupby(keys).size()
    counts = [pd.Series(dtype=int) if one is None else one for one in (images, pixels, missing)]
    return [
        PixelCount(label, split, *(int(one.get((split, label), 0)) for one in counts))
        for split in SPLITS
        for label in classes
        if any((split, label) in one.index for one in counts)
    ]


def tabulate(found: Sequence[PixelCount], classes: Sequence[str]) -> tuple[list[str], list[list[object]]]:
    """Return the header and the rows of a table with a row for each class and a column for each split.

    Examples
    --------
    >>> found = [PixelCount("Normal", "test", 100, 100, 1), PixelCount("COVID-19", "test", 9, 4, 0)]
    >>> tabulate(found, ["COVID-19", "Normal"])
    (['class', 'test'], [['COVID-19', '4 of 9'], ['Normal', 100]])
    """
    cells = {(one.label, one.split): one for one in found}
    splits = list(dict.fromkeys(one.split for one in found))
    return ["class", *splits], [
        [label, *(_cell(cells.get((label, split))) for split in splits)] for label in classes
    ]


def _cell(one: PixelCount | None) -> object:
    if one is None or one.images == one.pixels:
        return 0 if one is None else one.images
    return f"{one.pixels:,} of {one.images:,}"


def describe_absent(withheld: int, missing: int) -> str:
    """Return how many images have no pixels, as a sentence; empty where all have.

    Examples
    --------
    >>> describe_absent(219, 1)
    'Images without pixels: 219 withheld: the table has the images with pixels of all; 1 missing.'
    """
    absent = [f"{withheld:,} withheld: the table has the images with pixels of all"] if withheld else []
    absent += [f"{missing:,} missing"] if missing else []
    return f"Images without pixels: {'; '.join(absent)}." if absent else ""
