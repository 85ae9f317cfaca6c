"""Entry points: readers and checks of other packages."""

from __future__ import annotations

import sys
from functools import lru_cache
from importlib.metadata import EntryPoints, entry_points
from pathlib import Path


def find_entry_points(group: str) -> EntryPoints:
    """Return the entry points that installed packages have in a group.

    Parameters
    ----------
    group
        The group: ``cxrbuild.readers`` or ``cxrbuild.checks``.
    """
    return _find(group, tuple((folder, _changed(folder)) for folder in sys.path))


# Reading the metadata of all installed packages takes longer than reading a recipe.
@lru_cache(maxsize=8)
def _find(group: str, _folders: tuple[tuple[str, int], ...]) -> EntryPoints:
    return entry_points(group=group)


def _changed(folder: str) -> int:
    """Return the time of the last change of a folder: installing a package changes it."""
    try:
        return Path(folder).stat().st_mtime_ns
    except OSError:
        return 0
