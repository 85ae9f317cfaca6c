"""The interface for progress, so that the work does not depend on how it is shown."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from cxrbuild.errors import count_of

_logger = logging.getLogger(__name__)


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


class Logged:
    """A progress that passes everything on to another one, and logs it.

    Notes are logged, and each task when it ends, with what it did and its seconds: at INFO a stage that was
    stated beforehand, and a task of its own that counts units; at DEBUG the parts of a task, and its start.

    Parameters
    ----------
    progress
        The other one.
    shown
        Whether the other one shows notes to a person; warnings are taken to be shown. Such a record has the
        attribute ``shown``, so that a log on the same terminal can omit it.
    """

    def __init__(self, progress: Progress, *, shown: bool = False) -> None:
        self._progress, self._shown = progress, shown
        self._stages: tuple[str, ...] = ()
        self._open = threading.local()

    @contextmanager
    def __call__(self, title: str, total: int | None, unit: str, /, *, done: int = 0) -> Iterator[Bar]:
        """Open a bar, and log the task when it ends."""
        depth = getattr(self._open, "depth", 0)
        is_stage = title in self._stages
        level = logging.INFO if is_stage or (depth == 0 and unit) else logging.DEBUG
        if is_stage:
            _logger.debug(
                "%s: begins%s", title, f", {_amount(total, unit)}" if total is not None and unit else ""
            )
        began, ended = time.monotonic(), "stopped after "
        self._open.depth = depth + 1
        with self._progress(title, total, unit, done=done) as bar:
            counted = _CountedBar(bar, done)
            try:
                yield counted
                ended = "in " if unit else ""
            finally:
                self._open.depth = depth
                counts = _describe_done(counted.done, total, unit, done)
                _logger.log(level, "%s: %s%s%.1f s", title, counts, ended, time.monotonic() - began)

    def plan(self, *stages: str) -> None:
        """State which stages follow."""
        if stages and not getattr(self._open, "depth", 0):
            self._stages = stages
        self._progress.plan(*stages)

    def note(self, message: str, /) -> None:
        """Log a note, and pass it on."""
        _logger.info("%s", message, extra={"shown": self._shown})
        self._progress.note(message)

    def warn(self, message: str, /) -> None:
        """Log a warning, and pass it on."""
        _logger.warning("%s", message, extra={"shown": True})
        self._progress.warn(message)


class _CountedBar:
    def __init__(self, bar: Bar, done: int) -> None:
        self._bar, self.done = bar, float(done)

    def update(self, n: float = 1, /) -> object:
        """Count more units."""
        self.done += n
        return self._bar.update(n)


def _describe_done(done: float, total: int | None, unit: str, before: int) -> str:
    """Return what a task did as the start of a sentence; empty where it has no unit."""
    if not unit:
        return ""
    short = total is not None and done < total
    amount = f"{_number(done, unit)} of {_amount(total or 0, unit)}" if short else _amount(done, unit)
    return f"{amount}{f' ({before:,} before)' if before else ''} "


def _amount(count: float, unit: str) -> str:
    return f"{_number(count, unit)} MB" if unit == "B" else count_of(round(count), unit)


def _number(count: float, unit: str) -> str:
    return f"{count / 1e6:,.1f}" if unit == "B" else f"{count:,.0f}"


class _SilentBar:
    def update(self, n: float = 1, /) -> None:
        """Do nothing."""


silent: Progress = Logged(Silent())
