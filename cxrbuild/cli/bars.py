"""Show progress on standard error: live lines on a terminal, a line for each stage anywhere else."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import click

from cxrbuild.cli.wrapping import wrapped
from cxrbuild.errors import noun_of, printable
from cxrbuild.progress import Bar, Silent

# How often live lines are drawn, and how long a task takes before it is shown.
_TICK_S, _DELAY_S = 0.2, 0.5
# Elsewhere: how long a task that is no stage takes before its first line, and the time between two lines of a
# task, which grows with its duration.
_FIRST_LINE_S, _LEAST_S, _MOST_S, _GROWTH = 2.0, 10.0, 300.0, 0.1
# Live lines of more tasks would hide what was printed before.
_MOST_LINES = 6
_LEAST_BAR, _MOST_BAR = 10, 30
# How long a signal waits for a thread that is drawing.
_LOCK_S = 0.2


class ShownBar:
    """The progress of one task, and the line that describes it.

    Parameters
    ----------
    title, total, unit, done
        As in `cxrbuild.progress.Progress`.
    stage
        Which of the stages that were stated beforehand the task is; ``None`` where it is none.
    """

    def __init__(self, title: str, total: int | None, unit: str, done: int, *, stage: str | None) -> None:
        self.title, self.total, self.unit, self.stage = printable(title), total, unit, stage
        self.thread = threading.get_ident()
        self.began, self.done, self._before = time.monotonic(), float(done), done
        self.next_line = self.began + (0 if stage else _FIRST_LINE_S)

    def update(self, n: float = 1, /) -> None:
        """Report ``n`` more units as done."""
        self.done += n

    @property
    def elapsed(self) -> float:
        """Seconds since the task began."""
        return time.monotonic() - self.began

    def describe(self, *, estimate: bool = True) -> str:
        """Return what is done, how much there is, and how long it will take, as far as they are known.

        Parameters
        ----------
        estimate
            Whether to show how long it will take: the parts of a task that runs others differ in length.
        """
        shown = []
        if self.share is not None and 0 < self.share < 1:
            shown.append(f"{self.share:.0%}")
        if estimate and (left := self._left()) is not None:
            shown.append(f"{_duration(left)} left")
        elif self.elapsed >= 1:
            shown.append(f"{_duration(self.elapsed)} so far")
        # Last, because a narrow terminal hides the end.
        if self.unit:
            shown.append(self._count())
        return f"{self.title}: {', '.join(shown)}" if shown else self.title

    @property
    def share(self) -> float | None:
        """The share that is done, ``None`` where the total is unknown."""
        return min(self.done / self.total, 1.0) if self.total else None

    def _count(self) -> str:
        if self.unit == "B":
            done, total = _megabytes(self.done), self.total and _megabytes(self.total)
            noun = ""
        else:
            done, total = f"{self.done:,.0f}", self.total and f"{self.total:,}"
            noun = f" {noun_of(round(self.total or self.done), self.unit)}"
        if total is None:
            return f"{done}{noun}"
        before = f" ({self._before:,} done before)" if self._before and self.unit != "B" else ""
        return f"{done} of {total}{noun}{before}" if self.done else f"{total}{noun}"

    def _left(self) -> float | None:
        """Return the seconds that remain at the mean speed so far."""
        new = self.done - self._before
        if self.total is None or new <= 0 or self.elapsed < 1:
            return None
        return max(0.0, self.total - self.done) * self.elapsed / new


class Bars:
    """Progress on standard error.

    On a terminal each task has a live line, which is erased when the task ends. Elsewhere each stage has a
    line when it begins, and every task that takes long a line from time to time.
    """

    def __init__(self) -> None:
        self._bars: list[ShownBar] = []
        self._stages: tuple[str, ...] = ()
        self._shown = 0  # the number of live lines on the terminal
        self._lock = threading.RLock()
        self._ticking = False

    def finish(self) -> None:
        """Erase the live lines, and show no task any more: the command ends, whatever is still running."""
        self._bars = []
        self.clear()

    @contextmanager
    def __call__(self, title: str, total: int | None, unit: str, /, *, done: int = 0) -> Iterator[Bar]:
        """Open a bar."""
        bar = self._open(title, total, unit, done)
        try:
            yield bar
        finally:
            self._close(bar)

    def plan(self, *stages: str) -> None:
        """State which stages follow."""
        if self._bars or not stages:
            return
        self._stages = stages
        if len(stages) > 1:
            listed = ", ".join(f"{number} {stage}" for number, stage in enumerate(stages, 1))
            self.note(f"Stages: {listed}.")

    def note(self, message: str, /) -> None:
        """Print a message above the live lines."""
        self.write(wrapped(printable(message, lines=True), err=True))

    def warn(self, message: str, /) -> None:
        """Print a warning above the live lines."""
        self.note(message)

    def write(self, text: str) -> None:
        """Print text to standard error above the live lines."""
        with self._lock:
            self.clear()
            click.echo(text, err=True)

    def clear(self) -> None:
        """Erase the live lines, so that text can be printed."""
        # A signal may come while this thread or another one draws.
        got = self._lock.acquire(timeout=_LOCK_S)
        try:
            if self._shown:
                click.echo(_start_of(self._shown) + "\x1b[J", nl=False, err=True)
                self._shown = 0
        finally:
            if got:
                self._lock.release()

    def _open(self, title: str, total: int | None, unit: str, done: int) -> ShownBar:
        stage = title if title in self._stages else None
        if stage and len(self._stages) > 1:
            title = f"{self._stages.index(stage) + 1}/{len(self._stages)} {title}"
        bar = ShownBar(title, total, unit, done, stage=stage)
        with self._lock:
            self._bars.append(bar)
            if not _is_live():
                self._write_lines()
            elif stage:
                self._draw()
            if not self._ticking:
                self._ticking = True
                threading.Thread(target=self._tick, name="cxrbuild-bars", daemon=True).start()
        return bar

    def _close(self, bar: ShownBar) -> None:
        with self._lock:
            if bar in self._bars:
                self._bars.remove(bar)
            if self._stages and bar.stage == self._stages[-1]:
                self._stages = ()
            self.clear()

    def _tick(self) -> None:
        while True:
            time.sleep(_TICK_S)
            with self._lock:
                if not self._bars:
                    self._ticking = False
                    return
                if _is_live():
                    self._draw()
                else:
                    self._write_lines()

    def _is_innermost(self, bar: ShownBar) -> bool:
        return next(one for one in reversed(self._bars) if one.thread == bar.thread) is bar

    def _draw(self) -> None:
        # A task without a count shows no more than the task within it.
        shown = [
            bar
            for bar in self._bars
            if (bar.stage or bar.elapsed >= _DELAY_S) and (bar.total is not None or self._is_innermost(bar))
        ]
        lines = [_live_line(bar, self._is_innermost(bar)) for bar in shown[:_MOST_LINES]]
        if lines:
            erase = f"{_start_of(self._shown)}\x1b[J"
            click.echo(erase + "\n".join(lines), nl=False, err=True)
            self._shown = len(lines)

    def _write_lines(self) -> None:
        now = time.monotonic()
        for bar in self._bars:
            if now >= bar.next_line and self._is_innermost(bar):
                bar.next_line = now + min(_MOST_S, max(_LEAST_S, _GROWTH * bar.elapsed))
                click.echo(bar.describe(), err=True)


BARS = Bars()
"""The progress of this process: there is one standard error."""


class WarningsAlone(Silent):
    """The progress of ``--quiet``: it shows warnings, and nothing else."""

    def warn(self, message: str, /) -> None:
        """Print a warning to standard error."""
        BARS.warn(message)


def _is_live() -> bool:
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def _start_of(lines: int) -> str:
    """Return what moves the cursor to the start of so many lines, on the last of which it is."""
    return "\r" + (f"\x1b[{lines - 1}A" if lines > 1 else "")


def _live_line(bar: ShownBar, innermost: bool) -> str:
    from tqdm import tqdm

    # Columns stay free for the ^C of a terminal: a line that wraps could not be erased.
    width = os.get_terminal_size(sys.stderr.fileno()).columns - 4
    text = bar.describe(estimate=innermost)
    room = min(_MOST_BAR, width - len(text) - 3)
    if bar.total and room >= _LEAST_BAR:
        layout = text.replace("{", "{{").replace("}", "}}") + " [{bar}]"
        done, ncols = min(bar.done, bar.total), len(text) + 3 + room
        return str(tqdm.format_meter(done, bar.total, bar.elapsed, ncols, ascii=".#", bar_format=layout))
    return text if len(text) <= width else text[: max(0, width - 3)] + "..."


def _duration(seconds: float) -> str:
    """Return a duration as hours, minutes and seconds.

    Examples
    --------
    >>> _duration(7.2), _duration(75), _duration(3700)
    ('00:07', '01:15', '1:01:40')
    """
    from tqdm import tqdm

    return str(tqdm.format_interval(round(seconds)))


def _megabytes(count: float) -> str:
    return f"{count / 1e6:,.1f} MB"
