"""Partitions of a dataset into training and evaluation images: its splits, folds, and withheld sources."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cxrbuild.catalog.split import Folds, Split
from cxrbuild.errors import CxrbuildError, count_of, suggest
from cxrbuild.folds import assign_folds

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Partition:
    """Which images a model is trained on, and which it is evaluated on.

    Attributes
    ----------
    name
        The name of its folder.
    evaluation
        The name of the evaluation that its figures belong to.
    splits
        ``train`` or ``test`` (or ``validation``, which is neither) for each image of the partition, by its
        row.
    """

    name: str
    evaluation: str
    splits: pd.Series


def keep_splits(rows: pd.DataFrame) -> list[Partition]:
    """Return the dataset's own splits as the only partition."""
    return [Partition("test", "test", rows["split"])]


def make_folds(
    rows: pd.DataFrame, count: int, split: Split, classes: Sequence[str], where: object
) -> list[Partition]:
    """Return a partition for each fold of the images that are not in the test split.

    Folds are those of `[split.folds]`: a group of patients, with all images linked to it, is in one fold, and
    groups are stratified by split, class and source. The test split has no part in them.

    Parameters
    ----------
    rows
        The rows of an ``ImageTable``.
    count
        The number of folds.
    split
        The recipe's split.
    classes
        The classes that each fold must have.
    where
        The dataset, for the error.

    Raises
    ------
    CxrbuildError
        A class cannot fill the folds; each such class is named with its number of groups.
    """
    import pandas as pd

    used = rows[rows["split"] != "test"]
    groups = used.groupby("label")["group"].nunique()
    few = [name for name in classes if groups.get(name, 0) < count]
    if few:
        found = [f"{name} {count_of(int(groups.get(name, 0)), 'group')}" for name in few]
        raise CxrbuildError(
            f"{', '.join(few)} cannot fill {count} folds",
            where=where,
            expected=f"at least {count} groups of patients of each class that are not in the test split",
            found=", ".join(found),
            todo="Name fewer --folds",
        )
    records = rows.assign(exclusion=None, source=rows["source"].fillna(""))
    folds = assign_folds(records, split.model_copy(update={"folds": Folds(count=count)}))[used.index]
    partitions = []
    for number in range(count):
        splits = pd.Series("train", index=used.index).mask(folds == number, "test")
        _require_classes(used.assign(split=splits), classes, f"fold {number + 1}", where)
        partitions.append(Partition(f"fold-{number + 1}", "folds", splits))
    return partitions


def withhold_sources(
    rows: pd.DataFrame, sources: Sequence[str], classes: Sequence[str], where: object
) -> list[Partition]:
    """Return a partition for each source that is withheld from training, and evaluated on.

    A model is trained on the training split of all other sources, without the groups of patients that have an
    image of the withheld source. It is evaluated on all images of the source.

    A score means something only if the source has several classes, and other sources have each of them:
    otherwise the model may recognise the source. Such a source is refused, not scored.

    Parameters
    ----------
    rows
        The rows of an ``ImageTable``.
    sources
        The sources; one that is named again has one partition.
    classes
        The classes in the order of their numbers.
    where
        The dataset, for the error.

    Raises
    ------
    CxrbuildError
        There is no such source, or it cannot be withheld; the error gives the reason.
    """
    import pandas as pd

    known = sorted(set(rows["source"].dropna()))
    partitions = []
    for source in dict.fromkeys(sources):
        if source not in known:
            raise CxrbuildError(
                f"the dataset has no source {source!r}; {suggest(source, known, 'source')}",
                where=where,
                todo="Name sources of the dataset, as `cxrbuild sources --of DIR` lists them",
            )
        of_source = rows["source"] == source
        train = ~of_source & (rows["split"] == "train")
        train &= ~rows["group"].isin(rows.loc[of_source, "group"])
        splits = pd.Series("train", index=rows.index).mask(of_source, "test")[train | of_source]
        own = [name for name in classes if name in set(rows.loc[of_source, "label"])]
        missing = [name for name in classes if name not in set(rows.loc[train, "label"])]
        reason = ""
        if missing:
            reason = f"without it no training image of {', '.join(missing)} remains"
        elif len(own) < 2:
            reason = f"it has images of {own[0]} only, so there is nothing to distinguish"
        if reason:
            raise CxrbuildError(
                f"the source {source} cannot be withheld: {reason}",
                where=where,
                expected="a source of two classes or more, and other sources of each class",
                found=_describe_sources(rows, classes),
                todo="Where class and source are the same thing, no score shows whether a model recognises "
                "the disease or the source; compare on the split, or by --folds",
            )
        partitions.append(Partition(f"without-{source}", source, splits))
    return partitions


def _describe_sources(rows: pd.DataFrame, classes: Sequence[str]) -> str:
    """Return the sources of each class, as text."""
    return "; ".join(
        f"{name} from {', '.join(sorted(set(rows.loc[rows['label'] == name, 'source'].dropna())))}"
        for name in classes
    )


def _require_classes(rows: pd.DataFrame, classes: Sequence[str], name: str, where: object) -> None:
    counts = rows.groupby(["split", "label"]).size()
    missing = [
        f"no image of {label} to {verb}"
        for split, verb in (("train", "train on"), ("test", "evaluate"))
        for label in classes
        if (split, label) not in counts.index
    ]
    if missing:
        raise CxrbuildError(
            f"{name} has {', '.join(missing)}",
            where=where,
            expected="images of each class in each fold",
            found="groups of patients with several classes, which stay in one fold",
            todo="Name fewer --folds",
        )
