"""Assign images to folds for cross-validation, by patient, deterministically."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from cxrbuild.errors import CxrbuildError, count_of

if TYPE_CHECKING:
    import pandas as pd

    from cxrbuild.catalog.split import Split

# Whether it is the test split's, and the label.
_Class: TypeAlias = tuple[bool, str]


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
    are stratified too. The strata of a class are balanced against each other, apart from the test split: a
    class of at least as many groups as there are folds has a group in each, unless groups of several classes
    prevent that. A hash decides which fold a group prefers; see `choose_folds`.

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
    classes: dict[str, list[_Class]] = {}
    # The images in each fold, of the strata of a class that have fewer groups than there are folds. Larger
    # strata are balanced by themselves, and would move the groups of the others with each added image.
    loads: dict[_Class, list[int]] = {}
    for stratum, of_stratum in sizes.groupby(strata):
        of_group = {str(group): int(size) for group, size in of_stratum.items()}
        split_labels = [key.split("\0")[:2] for key in str(stratum).split("\n")]
        own = sorted({(of == "test", label) for of, label in split_labels})
        known = [loads.setdefault(one, [0] * count) for one in own] if len(of_group) < count else []
        others = [sum(of_class[fold] for of_class in known) for fold in range(count)]
        chosen = choose_folds(of_group, count, f"{split.salt}/folds/{stratum}", others)
        for group, fold in chosen.items():
            classes[group] = own
            for of_class in known:
                of_class[fold] += of_group[group]
        folds |= chosen
    _fill_folds(folds, classes, count, f"{split.salt}/folds")
    return kept["group"].map(folds).astype("Int64").reindex(records.index)


def _fill_folds(
    folds: dict[str, int], classes: Mapping[str, Sequence[_Class]], count: int, salt: str
) -> None:
    """Move groups so that a class of enough groups has one in each fold, if other classes keep theirs."""
    groups: dict[_Class, list[str]] = {}
    for group, own in classes.items():
        for one in own:
            groups.setdefault(one, []).append(group)
    numbers = {one: Counter(folds[group] for group in of_class) for one, of_class in groups.items()}
    for one, of_class in sorted(groups.items()):
        if len(of_class) < count:
            continue
        for fold in (fold for fold in range(count) if not numbers[one][fold]):
            movable = [
                group for group in of_class if all(numbers[of][folds[group]] > 1 for of in classes[group])
            ]
            if not movable:
                break
            group = min(
                movable, key=lambda group: (-numbers[one][folds[group]], _draw(f"{salt}/{fold}", group))
            )
            for of in classes[group]:
                numbers[of][folds[group]] -= 1
                numbers[of][fold] += 1
            folds[group] = fold


def choose_folds(
    sizes: Mapping[str, int], count: int, salt: str, loads: Sequence[int] | None = None
) -> dict[str, int]:
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
    loads
        The number of other images of the class in each fold, which decides where the rest of equal shares is.
    """
    share, rest = divmod(sum(sizes.values()), count)
    others = loads or [0] * count
    order = sorted(range(count), key=lambda fold: (others[fold], _draw(salt, str(fold))))
    room = [share + (order.index(fold) < rest) for fold in range(count)]
    folds = {}
    for group in sorted(sizes, key=lambda group: (-sizes[group], _draw(salt, group))):
        preferred = sorted(range(count), key=lambda fold: _draw(f"{salt}/{fold}", group))
        fitting = [fold for fold in preferred if room[fold] >= sizes[group]]
        fold = fitting[0] if fitting else max(preferred, key=lambda fold: (room[fold], -others[fold]))
        room[fold] -= sizes[group]
        folds[group] = fold
    return folds


def _draw(salt: str, group: str) -> bytes:
    return hashlib.sha256(f"{salt}/{group}".encode()).digest()
