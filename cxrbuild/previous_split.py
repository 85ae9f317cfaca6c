"""Hold the split of the former version of a dataset, by group.

The column ``previous_split`` has the split that each image had there. Excluded images hold nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cxrbuild.catalog.split import DrawnSplit, Split
from cxrbuild.errors import CxrbuildError, name_some
from cxrbuild.records import SPLITS

if TYPE_CHECKING:
    import pandas as pd


def groups_joined(records: pd.DataFrame, split: Split) -> pd.Series:
    """Return the groups whose images had several splits in the former version, with these as a comma list.

    They are in the first of them. Groups whose split a source declares are not among them.
    """
    rows = records.loc[records["split"].notna(), ["source", "group", "previous_split"]]
    before = splits_before(rows)
    declaring = rows["source"].isin([one.source for one in split.declared])
    several = before.str.contains(", ") & ~before.index.isin(set(rows.loc[declaring, "group"]))
    return before[several].sort_index()


def splits_before(rows: pd.DataFrame) -> pd.Series:
    """Return for each group the splits that its images had in the former version, as a comma list.

    Train comes before validation before test. Groups without such an image are not there.

    Parameters
    ----------
    rows
        Some rows of the table, with ``group`` and ``previous_split``.
    """
    import pandas as pd

    pairs = rows.loc[rows["previous_split"].notna(), ["group", "previous_split"]].drop_duplicates()
    pairs = pairs.iloc[pairs["previous_split"].map(SPLITS.index).argsort(kind="stable")]
    several = pairs["group"].duplicated(keep=False)
    listed = pairs[several].groupby("group")["previous_split"].agg(", ".join)
    found: pd.Series = pd.concat([pairs[~several].set_index("group")["previous_split"], listed])
    return found.astype("str")


def held_splits(kept: pd.DataFrame, split: Split) -> pd.Series:
    """Return for each row the split that the former version gives its group, null where it gives none."""
    import pandas as pd

    if split.previous is None:
        return pd.Series(None, index=kept.index, dtype="str")
    # Models that were trained on the former version have seen a group of which one image was in train.
    return kept["group"].map(splits_before(kept)).astype("str").str.partition(",")[0].astype("str")


@contextmanager
def advising(split: Split, name: str) -> Iterator[None]:
    """Have an error of a draw say that groups of the former version are held, where the recipe names one.

    Parameters
    ----------
    split
        The recipe's split.
    name
        The split that is drawn.
    """
    try:
        yield
    except CxrbuildError as error:
        if split.previous is not None:
            error.todo = (
                f"Groups of the former version are held: only the other ones are drawn, and those that "
                f"are held in {name} count. Change `split.{name}.count`, or ask for a share"
            )
        raise


def require_room(name: str, drawn: DrawnSplit, taken: pd.Series, of_sources: pd.Series) -> None:
    """Refuse counts that are less than what the sources declare and the former version has.

    Parameters
    ----------
    name
        The split.
    drawn
        Its declaration.
    taken
        The number of its images of each class before any is drawn.
    of_sources
        The classes of the images among them that sources declare.
    """
    counts = drawn.count or {}
    over = {str(label): int(n) for label, n in taken.items() if label in counts and n > counts[str(label)]}
    declared = of_sources.value_counts()
    # A count that the sources alone exceed is an error of the draw.
    if all(declared.get(label, 0) == n for label, n in over.items()):
        return
    found = [
        f"{label} {n:,}" + (f" ({declared[label]:,} declared by a source)" if label in declared else "")
        for label, n in over.items()
    ]
    raise CxrbuildError(
        f"the former version has more images in {name} than the recipe counts",
        where=f"`split.{name}.count`",
        expected="at most " + name_some(f"{label} {counts[label]:,}" for label in over),
        found=name_some(found),
        todo="Raise the counts to at least these numbers, or ask for a share. Without `split.previous` the "
        "split is drawn again, and images of the former version change their splits",
    )
