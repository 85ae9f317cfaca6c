"""What can go wrong, told so that the reader knows what to do next."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable

_ROOM = "Make room and run the command again; what was done is kept"
_ADVICE = {
    "ENOSPC": _ROOM,
    "EDQUOT": _ROOM,
    "EFBIG": "Run again where files may be as large: the file system and `ulimit -f` limit it",
    "EMFILE": "Allow more open files, with `ulimit -n`, and run again",
    "ENFILE": "Close other programs' files and run again",
    "EACCES": "Get the right to read or write it, or name another folder",
    "EPERM": "Get the right to read or write it, or name another folder",
    "EROFS": "Name a folder that can be written to",
    "EEXIST": "Move what stands there away and run again",
    "EISDIR": "Move the folder that stands there away and run again",
    "ENOTDIR": "Move the file that stands in a folder's place away and run again",
    "ENAMETOOLONG": "Name a folder with a shorter path, or on a file system that takes longer names",
}
# Not every system has every number.
_ADVICE_BY_NUMBER = {getattr(errno, name): text for name, text in _ADVICE.items() if hasattr(errno, name)}


class CxrbuildError(Exception):
    """An error that is told in one paragraph: what, where, expected, found, what to do next.

    Parameters
    ----------
    what
        What happened, as a clause without a full stop.
    where
        The file, address, row or key it happened at.
    expected, found
        What should have been there, and what was.
    todo
        What the reader can do next, as a sentence without a full stop.
    """

    status = 1

    def __init__(
        self,
        what: str,
        *,
        where: object = None,
        expected: object = None,
        found: object = None,
        todo: str | None = None,
    ) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.expected = expected
        self.found = found
        self.todo = todo

    def __str__(self) -> str:
        parts = [f"{self.where}: {self.what}" if self.where is not None else self.what]
        if self.expected is not None:
            parts.append(f"Expected: {self.expected}")
        if self.found is not None:
            parts.append(f"Found: {self.found}")
        if self.todo is not None:
            parts.append(self.todo)
        # After a list of lines the next sentence starts a line of its own.
        words = [part.rstrip(".") + (".\n" if "\n" in part else ". ") for part in parts]
        return "".join(words).rstrip()


class DeclarationError(CxrbuildError):
    """A source, recipe or review file that cannot be read as declared; holds all its faults at once."""


class CheckError(CxrbuildError):
    """A gate or check that fell short: the command ends with status 3."""

    status = 3


def of_system(error: OSError) -> CxrbuildError:
    """Return an error of the system in the form of ours, with what can be done about it."""
    number = error.errno or 0
    # Other libraries, as Arrow, have longer words around the system's.
    words = os.strerror(number) if number in _ADVICE_BY_NUMBER else error.strerror or str(error)
    told = CxrbuildError(words, where=error.filename, todo=_ADVICE_BY_NUMBER.get(number))
    told.__cause__ = error
    return told


def name_some(names: Iterable[object], most: int = 10) -> str:
    """Return names as a comma list, the first ``most`` of them and a count of the rest.

    Examples
    --------
    >>> name_some(["a", "b", "c"], most=2)
    'a, b and 1 more'
    """
    # A line break in a file's name would break the paragraph.
    listed = [name if name.isprintable() else ascii(name) for name in map(str, names)]
    if len(listed) <= most:
        return ", ".join(listed)
    return f"{', '.join(listed[:most])} and {len(listed) - most} more"
