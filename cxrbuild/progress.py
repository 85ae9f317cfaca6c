"""The interface for progress bars, so that the work does not depend on how they are drawn."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Bar(Protocol):
    """The progress of one task."""

    def update(self, n: float = 1, /) -> object:
        """Report ``n`` more units as done."""


class Progress(Protocol):
    """Open a bar for a task: the command line passes a function that draws bars, tests a silent one."""

    def __call__(self, title: str, total: int | None, unit: str, /) -> AbstractContextManager[Bar]:
        """Open a bar.

        Parameters
        ----------
        title
            The name of the task.
        total
            The number of units, ``None`` where it is not known.
        unit
            The name of a unit; ``"B"`` for bytes.
        """


class _SilentBar:
    def update(self, n: float = 1, /) -> None:
        """Do nothing."""


@contextmanager
def silent(title: str, total: int | None, unit: str, /) -> Iterator[Bar]:  # noqa: ARG001
    """Open a bar that draws nothing."""
    yield _SilentBar()
