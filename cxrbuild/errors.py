"""Errors with what happened, where, what was expected and found, and the next step."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

# Names that share less than this are not near.
_LEAST_SHARE = 0.6
_ROOM = "Make room and run the command again; completed work is kept"
_MEMORY = "Run again with fewer --workers or --jobs, or allow more memory; completed work is kept"
_ADVICE = {
    "ENOSPC": _ROOM,
    "EDQUOT": _ROOM,
    "EFBIG": "Run again where files may be as large: the file system and `ulimit -f` limit it",
    "EMFILE": "Allow more open files, with `ulimit -n`, and run again",
    "ENFILE": "Close other programs' files and run again",
    "EACCES": "Check the permissions, or name another folder",
    "EPERM": "Check the permissions, or name another folder",
    "ENOMEM": _MEMORY,
    "EROFS": "Name a folder that can be written to",
    "EEXIST": "Move the existing file away and run again",
    "EISDIR": "Move the folder of that name away and run again",
    "ENOTDIR": "Move the file that has the folder's name away and run again",
    "ENAMETOOLONG": "Name a folder with a shorter path, or on a file system that takes longer names"
    + ("; or set LongPathsEnabled in the registry of Windows to 1" if os.name == "nt" else ""),
}
# The longest path and name, in characters.
_WINDOWS_PATH, _NAME = 260, 255
# Not every system has every number.
_ADVICE_BY_NUMBER = {getattr(errno, name): text for name, text in _ADVICE.items() if hasattr(errno, name)}


class CxrbuildError(Exception):
    """An error that is reported in one paragraph: what, where, expected, found, what to do next.

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

    Attributes
    ----------
    partial
        The result of what was done in spite of the error, for a command to report it; ``None`` where nothing
        was.
    """

    status = 1
    partial: object = None

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
        parts = [f"{printable(self.where)}: {self.what}" if self.where is not None else self.what]
        if self.expected is not None:
            parts.append(f"Expected: {self.expected}")
        if self.found is not None:
            parts.append(f"Found: {self.found}")
        if self.todo is not None:
            parts.append(self.todo)
        # After a list of lines the next sentence starts on a new line.
        sentences = [_sentence(part) for part in parts]
        return printable("".join(sentences).rstrip(), lines=True)

    def to_dict(self) -> dict[str, Any]:
        """Return the error as JSON has it: exit status, what, where, expected, found and what to do next."""
        return {
            "status": self.status,
            "what": self.what,
            "where": None if self.where is None else str(self.where),
            "expected": None if self.expected is None else str(self.expected),
            "found": None if self.found is None else str(self.found),
            "todo": self.todo,
        }


def _sentence(text: str) -> str:
    text = text if text.endswith("...") else f"{text.rstrip('.')}."
    return f"{text}\n" if "\n" in text else f"{text} "


class DeclarationError(CxrbuildError):
    """A source, recipe or review file that cannot be read as declared; it names all its problems at once."""


class CheckError(CxrbuildError):
    """A gate or check that failed: the command ends with status 3."""

    status = 3


def of_system(error: OSError) -> CxrbuildError:
    """Return an error of the operating system as one of ours, with advice."""
    number = system_number(error)
    # Other libraries, as Arrow, add longer text around the system's.
    text = os.strerror(number) if number in _ADVICE_BY_NUMBER else error.strerror or str(error)
    ours = CxrbuildError(text, where=error.filename, todo=_ADVICE_BY_NUMBER.get(number))
    ours.__cause__ = error
    return ours


def system_number(error: OSError, path: object = None) -> int:
    """Return the number of an error of the operating system, 0 where it has none.

    Windows reports that a path is not found, or not valid, where it is too long. It reports that permission
    is denied where a folder is opened as a file.

    Parameters
    ----------
    error
        The error.
    path
        The path, where the error does not name it.
    """
    number = error.errno or 0
    place = str(error.filename if path is None else path)
    if os.name == "nt" and number in (errno.ENOENT, errno.EINVAL) and is_too_long(os.path.abspath(place)):  # noqa: PTH100
        return errno.ENAMETOOLONG
    if os.name == "nt" and number == errno.EACCES and Path(place).is_dir():
        return errno.EISDIR
    return number


def is_too_long(path: str) -> bool:
    """Return whether a path is longer than Windows takes where long paths are not enabled in its settings."""
    return len(path) >= _WINDOWS_PATH or any(len(name) > _NAME for name in re.split(r"[\\/]", path))


def advice_for(error: BaseException) -> str | None:
    """Return what a user can do about an error of the operating system, ``None`` for other errors."""
    return _ADVICE_BY_NUMBER.get(system_number(error)) if isinstance(error, OSError) else None


def is_of_memory(error: BaseException) -> bool:
    """Return whether an error means that memory ran out; libraries and threads report it in other ways."""
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return True
    # pandas reports a module that did not load as a dependency that is not there.
    if isinstance(error, ImportError) and error.__cause__ is not None and is_of_memory(error.__cause__):
        return True
    text = str(error).lower()
    return (
        (isinstance(error, ImportError) and ("map segment" in text or "allocate memory" in text))
        or (isinstance(error, RuntimeError) and "can't start new thread" in text)
        or "launch worker thread" in text  # Arrow's
        # A compiled module that could not allocate while it was imported.
        or (isinstance(error, SystemError) and "without exception set" in text)
    )


def of_memory() -> CxrbuildError:
    """Return the error for memory that ran out, wherever it did."""
    return CxrbuildError("memory ran out", todo=_MEMORY)


def printable(text: object, *, lines: bool = False) -> str:
    r"""Return text that a terminal can show as it is: every other character becomes a visible escape.

    Control characters, C1 among them, would command the terminal; bidirectional controls would reorder what
    is read; undecodable bytes of a file's name cannot be printed at all.

    Parameters
    ----------
    text
        Any text, or an object that has one.
    lines
        Whether to keep line breaks.

    Examples
    --------
    >>> printable("a\x1b[2Jb\u202egnp.exe")
    'a\\x1b[2Jb\\u202egnp.exe'
    """
    text = str(text)
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or (lines and one == "\n") else ascii(one)[1:-1] for one in text)


def count_of(n: int, noun: str) -> str:
    """Return a number with its noun, in the plural where it is not one.

    Examples
    --------
    >>> count_of(1, "image"), count_of(6354, "image"), count_of(2, "class"), count_of(0, "entry")
    ('1 image', '6,354 images', '2 classes', '0 entries')
    >>> count_of(3, "match"), count_of(8, "epoch")
    ('3 matches', '8 epochs')
    """
    return f"{n:,} {noun_of(n, noun)}"


def noun_of(n: int, noun: str) -> str:
    """Return a noun without its number, in the plural where the number is not one.

    Examples
    --------
    >>> noun_of(1, "class"), noun_of(3, "class"), noun_of(2, "patient")
    ('class', 'classes', 'patients')
    """
    if n == 1:
        return noun
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return f"{noun[:-1]}ies"
    if noun.endswith(("s", "x", "ch", "sh")) and not noun.endswith("epoch"):
        return f"{noun}es"
    return f"{noun}s"


def verb_of(n: int, verb: str) -> str:
    """Return a verb of the third person, in the plural where the number of its subject is not one.

    Examples
    --------
    >>> verb_of(1, "is"), verb_of(2, "is"), verb_of(0, "has"), verb_of(5, "resembles")
    ('is', 'are', 'have', 'resemble')
    """
    if n == 1:
        return verb
    return {"is": "are", "was": "were", "has": "have", "does": "do"}.get(verb, verb.removesuffix("s"))


def name_some(names: Iterable[object], most: int = 10) -> str:
    """Return names as a comma list, the first ``most`` of them and a count of the rest.

    Examples
    --------
    >>> name_some(["a", "b", "c"], most=2)
    'a, b and 1 more'
    """
    # A line break in a file's name would break the paragraph.
    listed = [printable(name) for name in names]
    if len(listed) <= most:
        return ", ".join(listed)
    return f"{', '.join(listed[:most])} and {len(listed) - most:,} more"


def nearest(name: str, known: Iterable[str], *, share: float | None = None) -> str | None:
    """Return the known name that begins like a name or is spelt most like it, in any case; or ``None``.

    Parameters
    ----------
    name
        The unknown name.
    known
        The known names.
    share
        The least likeness of both, from 0 to 1; ``None``: 0.6, or a known name begins with the unknown one.

    Examples
    --------
    >>> nearest("covid19-cxrr", ["covid19-cxr", "covid19-cxr-adult"]), nearest("view", ["view_position"])
    ('covid19-cxr', 'view_position')
    >>> nearest("nosuch.jpg", ["slice.jpg"])
    """
    import difflib

    folded = {other.casefold(): other for other in known}
    asked = name.casefold()
    if share is None and (begins := [other for other in folded if len(name) > 2 and other.startswith(asked)]):
        return folded[begins[0]]
    # A suffix that two files share makes none of them like the other.
    suffix = Path(asked).suffix or "\n"
    stems = {other.removesuffix(suffix): other for other in folded if other.endswith(suffix)}
    least = _LEAST_SHARE if share is None else share
    others = [other for other in folded if not other.endswith(suffix)]
    near = [stems[one] for one in difflib.get_close_matches(asked.removesuffix(suffix), stems, 1, least)]
    near += difflib.get_close_matches(asked, others, 1, least)
    best = difflib.get_close_matches(asked, near, 1, 0)
    return folded[best[0]] if best else None


def suggest(name: str, known: Iterable[str], noun: str = "name") -> str:
    """Return a clause with the known name that is nearest to an unknown one, else with all known names.

    Examples
    --------
    >>> suggest("trian", ["train", "test"], "split"), suggest("x", ["train", "test"], "split")
    ("the nearest split is 'train'", 'expected one of train, test')
    """
    known = list(known)
    near = nearest(name, known)
    return f"the nearest {noun} is {near!r}" if near else f"expected one of {name_some(known, 30) or 'none'}"


def instead_of(name: str, known: Iterable[str], noun: str = "name") -> str:
    """Return what an error expects instead of an unknown name: the nearest known name, else all of them.

    Examples
    --------
    >>> instead_of("trian", ["train", "test"], "split"), instead_of("x", ["train", "test"], "split")
    ("the nearest split is 'train'", 'one of train, test')
    """
    return suggest(name, known, noun).removeprefix("expected ")
