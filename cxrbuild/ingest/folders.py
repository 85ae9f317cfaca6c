"""Metadata in the names of folders and files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cxrbuild.catalog.source import FoldersReader

if TYPE_CHECKING:
    import pandas as pd


def read_folders(reader: FoldersReader, paths: Sequence[str]) -> pd.DataFrame:
    """Read upstream's words out of the images' paths.

    Parameters
    ----------
    reader
        How the names are declared.
    paths
        The images' paths.

    Returns
    -------
    pandas.DataFrame
        The pattern's named groups as text, indexed by (place, path); a path that does not fit has no row.
    """
    return path_words(reader.pattern, paths)


def path_words(pattern: str, paths: Sequence[str]) -> pd.DataFrame:
    """Return a pattern's named groups for each path that fits, as text, indexed by (place, path)."""
    import pandas as pd

    fits = [(path, match) for path in paths if (match := re.search(pattern, path))]
    words = pd.DataFrame(
        [{name: word or "" for name, word in match.groupdict().items()} for _, match in fits],
        columns=list(re.compile(pattern).groupindex),
        dtype="str",
    )
    fitting = [path for path, _ in fits]
    words.index = pd.MultiIndex.from_arrays([fitting, fitting], names=["place", "path"])
    return words
