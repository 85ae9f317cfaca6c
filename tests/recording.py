"""A progress that records which stages were stated, which bars were opened, and how far they came."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from cxrbuild.progress import Bar, Silent


class Recorded(Silent):
    """What a task reported, by the title of each bar: the total, and what was done of it."""

    def __init__(self) -> None:
        self.planned: list[str] = []
        self.totals: dict[str, int | None] = {}
        self.done: dict[str, float] = {}
        self.open: list[str] = []
        self.notes: list[str] = []

    def plan(self, *stages: str) -> None:
        self.planned = list(stages)

    def note(self, message: str, /) -> None:
        self.notes.append(message)

    @contextmanager
    def __call__(self, title: str, total: int | None, _unit: str, /, *, done: int = 0) -> Iterator[Bar]:
        self.totals[title], self.done[title] = total, done
        self.open.append(title)
        try:
            yield _RecordedBar(self.done, title)
        finally:
            self.open.remove(title)

    def require_ended(self) -> None:
        """Require that each stage, and no other bar, was opened, in order, and came to its end."""
        assert list(self.totals) == self.planned
        assert self.open == []
        for title, total in self.totals.items():
            assert total is None or 0 < total == self.done[title], title


class _RecordedBar:
    def __init__(self, done: dict[str, float], title: str) -> None:
        self.counted, self.title = done, title

    def update(self, n: float = 1, /) -> None:
        self.counted[self.title] += n
