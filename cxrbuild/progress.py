"""The interface for progress, so that the work does not depend on how it is shown."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Bar(Protocol):
    """The progress of one task."""

    def update(self, n: float = 1, /) -> object:
        """Report ``n`` more units as done."""


class Progress(Protocol):
    """Show what is done: the command line passes one that writes to standard error, tests a silent one."""

    def __call__(
        self, title: str, total: int | None, unit: str, /, *, done: int = 0
    ) -> AbstractContextManager[Bar]:
        """Open a bar for a task.

        Parameters
        ----------
        title
            The name of the task.
        total
            The number of units, ``None`` where it is not known.
        unit
            The name of a unit; ``"B"`` for bytes.
        done
            The number of units that a former run has done: they say nothing about the time that remains.
        """

    def plan(self, *stages: str) -> None:
        """State beforehand which stages follow: the titles of their bars, in order.

        Within an open bar it has no effect: the stages are then part of another one.
        """

    def note(self, message: str, /) -> None:
        """Report something while the work goes on, such as what a resumed run found done."""

    def warn(self, message: str, /) -> None:
        """Report something that a person must act on, also where notes are suppressed."""


class Silent:
    """A progress that shows nothing."""

    @contextmanager
    def __call__(self, _title: str, _total: int | None, _unit: str, /, *, done: int = 0) -> Iterator[Bar]:  # noqa: ARG002
        """Open a bar that draws nothing."""
        yield _SilentBar()

    def plan(self, *stages: str) -> None:
        """Do nothing."""

    def note(self, message: str, /) -> None:
        """Do nothing."""

    def warn(self, message: str, /) -> None:
        """Do nothing."""


class KeepingNotes:
    """A progress that passes everything on to another one, and keeps its notes.

    Parameters
    ----------
    progress
        The other one.
    notes
        Where the notes are appended.
    """

    def __init__(self, progress: Progress, notes: list[str]) -> None:
        self._progress, self._notes = progress, notes

    def __call__(
        self, title: str, total: int | None, unit: str, /, *, done: int = 0
    ) -> AbstractContextManager[Bar]:
        """Open a bar."""
        return self._progress(title, total, unit, done=done)

    def plan(self, *stages: str) -> None:
        """State which stages follow."""
        self._progress.plan(*stages)

    def note(self, message: str, /) -> None:
        """Keep a note, and pass it on."""
        self._notes.append(message)
        self._progress.note(message)

    def warn(self, message: str, /) -> None:
        """Keep a warning with the notes, and pass it on."""
        self._notes.append(message)
        self._progress.warn(message)


class _SilentBar:
    def update(self, n: float = 1, /) -> None:
        """Do nothing."""


silent = Silent()
