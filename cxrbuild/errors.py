"""What can go wrong, told so that the reader knows what to do next."""

from __future__ import annotations

from collections.abc import Iterable


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


def name_some(names: Iterable[object], most: int = 10) -> str:
    """Return names as a comma list, the first ``most`` of them and a count of the rest.

    Examples
    --------
    >>> name_some(["a", "b", "c"], most=2)
    'a, b and 1 more'
    """
    listed = [str(name) for name in names]
    if len(listed) <= most:
        return ", ".join(listed)
    return f"{', '.join(listed[:most])} and {len(listed) - most} more"
