"""The named groups of a regular expression on paths, as columns."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from cxrbuild.catalog.column import check_pattern
from cxrbuild.words import compose

if TYPE_CHECKING:
    import pandas as pd


def check_groups(pattern: str, taken: Collection[str] = ()) -> str:
    """Return a regular expression whose named groups can be columns.

    Parameters
    ----------
    pattern
        The regular expression.
    taken
        Names that other columns have.

    Raises
    ------
    ValueError
        It does not compile, or a group has a name that is taken.
    """
    check_pattern(pattern)
    if both := [name for name in re.compile(pattern).groupindex if name in taken]:
        raise ValueError(f"the group {both[0]!r} has the name of a DICOM keyword: give it another name")
    return pattern


def read_groups(pattern: str, paths: Sequence[str]) -> pd.DataFrame:
    """Return a pattern's named groups for each path that fits, as text, indexed by (place, path)."""
    import pandas as pd

    compiled = re.compile(compose(pattern))
    fits = [(path, match) for path in paths if (match := compiled.search(compose(path)))]
    values = pd.DataFrame(
        [{name: value or "" for name, value in match.groupdict().items()} for _, match in fits],
        columns=list(compiled.groupindex),
        dtype="str",
    )
    fitting = [path for path, _ in fits]
    values.index = pd.MultiIndex.from_arrays([fitting, fitting], names=["place", "path"])
    return values
