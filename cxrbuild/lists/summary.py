"""Sum up how lists and a dataset compare: images in both, other splits and classes, leakage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from cxrbuild.lists.class_words import ClassWord, class_words
from cxrbuild.lists.context import ListContext, ListFinding
from cxrbuild.lists.dataset_checks import rows_in_both

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class DatasetSummary:
    """How lists and a dataset compare.

    Attributes
    ----------
    name
        The dataset and its version where they are known, else the folder, file or published name.
    images
        The number of its images.
    rows
        The number of rows of the lists.
    found
        The number of these whose file the dataset has, excluded ones included where they are known.
    excluded
        The number of these whose image is excluded; ``None`` where the dataset has no ledger.
    ambiguous
        The number of rows whose name can mean several images, or, without a source, one with another suffix.
    unknown
        The number of rows that may be of a source whose file names the dataset hides.
    shared
        The number of images in both.
    other_split, other_class
        The number of these in another split, and of another class; ``None`` where that was not checked.
    leakage
        The number of patients, each with those linked to them, who are in one split of the lists and in
        another of the dataset; ``None`` where that was not checked.
    splits
        By split of the lists, and split of the dataset, the number of images in both.
    classes
        The class words of the lists, with the classes that they mean.
    not_listed
        By class and split the number of images of the dataset that no row is found to name.
    """

    name: str
    images: int
    rows: int
    found: int
    excluded: int | None
    ambiguous: int
    unknown: int
    shared: int
    other_split: int | None
    other_class: int | None
    leakage: int | None
    splits: dict[str, dict[str, int]]
    classes: list[ClassWord]
    not_listed: dict[str, dict[str, int]]

    def to_dict(self) -> dict[str, Any]:
        """Return the summary as JSON has it."""
        return asdict(self)


def summarize(
    context: ListContext, findings: dict[str, Sequence[ListFinding] | None]
) -> DatasetSummary | None:
    """Sum up how lists and a dataset compare; ``None`` where there is no dataset.

    Parameters
    ----------
    context
        The rows, and the dataset.
    findings
        By id of a check what it found; ``None`` where it could not be made.
    """
    dataset = context.dataset
    if dataset is None:
        return None
    rows, kept = context.rows, dataset.kept
    both = rows_in_both(context)
    found = int(rows["member"].notna().sum())

    def images_of(check: str) -> int | None:
        of_check = findings[check]
        return None if of_check is None else len({one.images[0] for one in of_check})

    leaking = findings["leakage"]
    return DatasetSummary(
        name=dataset.name,
        images=len(kept),
        rows=len(rows),
        found=found,
        excluded=found - len(both) if dataset.has_ledger else None,
        ambiguous=int(rows["candidates"].notna().sum()),
        unknown=int(rows["unknown"].sum()),
        shared=int(both["image_id"].nunique()),
        other_split=images_of("same_split"),
        other_class=images_of("same_class"),
        leakage=None if leaking is None else len(leaking),
        splits=_counts(both.drop_duplicates(["image_id", "split"]), "split", "member_split"),
        classes=class_words(context),
        not_listed=_counts(kept[~kept["image_id"].isin(set(both["image_id"]))], "label", "split"),
    )


def _counts(rows: pd.DataFrame, first: str, second: str) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for one, other, number in rows.groupby([first, second]).size().reset_index().itertuples(index=False):
        found.setdefault(str(one), {})[str(other)] = int(number)
    return found
