"""How long work tells how far it is, without knowing who listens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Bar(Protocol):
    """One piece of work under way."""

    def update(self, n: float = 1, /) -> object:
        """Say that ``n`` more units are done."""


class Progress(Protocol):
    """Open a bar for a piece of work; the command line hands in one that draws, tests a silent one."""

    def __call__(self, title: str, total: int | None, unit: str, /) -> AbstractContextManager[Bar]:
        """Open a bar.

        Parameters
        ----------
        title
            What is being done.
        total
            How many units it takes, ``None`` where that is not known.
        unit
            What is counted; ``"B"`` for bytes.
        """


class _Silence:
    def update(self, n: float = 1, /) -> None:
        """Say nothing."""


@contextmanager
def silent(title: str, total: int | None, unit: str, /) -> Iterator[Bar]:  # noqa: ARG001
    """Open a bar that draws nothing."""
    yield _Silence()
