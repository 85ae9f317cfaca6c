"""Assign images to folds for cross-validation, by patient, deterministically."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from cxrbuild.errors import CxrbuildError, count_of

if TYPE_CHECKING:
    import pandas as pd

    from cxrbuild.catalog.split import Split


def add_folds(records: pd.DataFrame, split: Split) -> pd.DataFrame:
    """Fill ``fold`` for every kept row, where the recipe declares folds.

    Parameters
    ----------
    records
        The table, with labels, exclusions, groups and splits.
    split
        The recipe's split.

    Raises
    ------
    CxrbuildError
        There are fewer groups than folds.
    """
    return records.assign(fold=assign_folds(records, split))


def assign_folds(records: pd.DataFrame, split: Split) -> pd.Series:
    """Return the fold of each row, null where it has an exclusion or the recipe declares no folds.

    A group is in one fold whole. Groups are stratified by split, class and source: a fold has its share of
    the images of each such stratum, as far as whole groups allow. So the folds of the training split alone
    are stratified too. A hash decides which fold a group prefers; see `choose_folds`.

    Parameters
    ----------
    records
        The table, with labels, exclusions, groups and splits.
    split
        The recipe's split.

    Raises
    ------
    CxrbuildError
        There are fewer groups than folds.
    """
    import pandas as pd

    if split.folds is None:
        return pd.Series(index=records.index, dtype="Int64")
    kept = records.loc[records["exclusion"].isna(), ["group", "split", "label", "source"]]
    count = split.folds.count
    sizes = kept.groupby("group").size()
    if len(sizes) < count:
        raise CxrbuildError(
            f"the dataset has {count_of(len(sizes), 'group')} of patients, fewer than folds",
            where="the recipe's `split.folds`", expected=f"at least {count}", todo="Declare fewer folds",
        )  # fmt: skip
    # A group of two classes, sources or splits belongs to the stratum of both.
    keys = (kept["split"] + "\0" + kept["label"] + "\0" + kept["source"]).groupby(kept["group"])
    strata = keys.agg(lambda found: "\n".join(sorted(set(found))))
    folds: dict[str, int] = {}
    for stratum, of_stratum in sizes.groupby(strata):
        of_group = {str(group): int(size) for group, size in of_stratum.items()}
        folds |= choose_folds(of_group, count, f"{split.salt}/folds/{stratum}")
    return kept["group"].map(folds).astype("Int64").reindex(records.index)


def choose_folds(sizes: Mapping[str, int], count: int, salt: str) -> dict[str, int]:
    """Choose a fold for each group so that the folds have the same number of images.

    The largest groups come first, then the order is that of a hash. A group goes to the fold that it
    prefers by a hash of its own (rendezvous hashing), among those with room for it. So an added group moves
    few others: those that it takes the room of.

    Parameters
    ----------
    sizes
        The number of images of each group.
    count
        The number of folds.
    salt
        Part of the hash.
    """
    share, rest = divmod(sum(sizes.values()), count)
    order = sorted(range(count), key=lambda fold: _draw(salt, str(fold)))
    room = [share + (order.index(fold) < rest) for fold in range(count)]
    folds = {}
    for group in sorted(sizes, key=lambda group: (-sizes[group], _draw(salt, group))):
        preferred = sorted(range(count), key=lambda fold: _draw(f"{salt}/{fold}", group))
        fitting = [fold for fold in preferred if room[fold] >= sizes[group]]
        fold = fitting[0] if fitting else max(preferred, key=lambda fold: room[fold])
        room[fold] -= sizes[group]
        folds[group] = fold
    return folds


def _draw(salt: str, group: str) -> bytes:
    return hashlib.sha256(f"{salt}/{group}".encode()).digest()
