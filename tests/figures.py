"""Figures of the long suites: what the tests counted, added up at the end of a run.

pytest -m slow tests/reliability --figures figures.jsonl    # adds a line for each suite
python tests/figures.py figures.jsonl                       # writes the sums to docs/reliability.md
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reliability.md"


# The ending of a noun in the plural.
_PLURAL = re.compile(r"(?<=[a-z]{2})s(?= |$)")


class Figures:
    """What one test counted."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.longest: dict[str, float] = {}

    def add(self, what: str, number: int = 1) -> None:
        """Count something: a noun in the plural."""
        require_plain(f"figures.add({what!r})", [what, number])
        self.counts[what] += number

    def took(self, what: str, seconds: float) -> None:
        """Record how long something took; the longest is kept."""
        require_plain(f"figures.took({what!r})", [what, seconds])
        self.longest[what] = max(seconds, self.longest.get(what, 0.0))


def require_plain(place: str, value: object) -> None:
    """Require a value that a worker of pytest-xdist can send: any other ends the worker after the test.

    The types are compared, not their classes: execnet sends no `Counter`, and no number of NumPy.

    Raises
    ------
    TypeError
        The value, or one in it, is of another type.
    """
    if type(value) is dict:
        parts: Iterable[object] = [*value, *value.values()]
    elif type(value) in (list, tuple):
        parts = value
    elif type(value) in (str, int, float, bool, type(None)):
        return
    else:
        raise TypeError(
            f"{place}: expected a plain text, number, list or dict, which pytest-xdist can send; found "
            f"{value!r}, of the type {type(value).__name__}: convert it, as with `int`, `str` or `dict`"
        )
    for part in parts:
        require_plain(place, part)


@pytest.fixture
def record_property(record_property: Callable[[str, object], None]) -> Callable[[str, object], None]:
    """Record a property of a test, as pytest's own fixture does, but none that cannot be sent."""

    def record(name: str, value: object) -> None:
        require_plain(f"record_property({name!r})", [name, value])
        record_property(name, value)

    return record


@pytest.fixture
def figures(record_property: Callable[[str, object], None]) -> Iterator[Figures]:
    """Count what a test does, for the figures of its suite."""
    found = Figures()
    yield found
    record_property("figures", {"counts": dict(found.counts), "longest": dict(found.longest)})


class _Collector:
    """The figures of a run, by test file."""

    def __init__(self, file: Path | None) -> None:
        self.file = file
        self.suites: dict[str, Figures] = defaultdict(Figures)
        self.results: dict[str, Counter[str]] = defaultdict(Counter)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        suite = report.nodeid.partition("::")[0]
        if report.when == "call" or not report.passed:
            result = "passed" if report.passed else "skipped" if report.skipped else "failed"
            self.results[suite][result] += 1
        if report.when == "teardown":
            for name, value in report.user_properties:
                if name == "figures":
                    _merge(self.suites[suite], value)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self.suites:
            return
        terminalreporter.section("figures")
        for suite, found in sorted(self.suites.items()):
            terminalreporter.line(f"{suite}: {_describe(found)}")
        if self.file is not None:
            with self.file.open("a") as stream:
                for suite, found in sorted(self.suites.items()):
                    line = {
                        "suite": suite, "date": datetime.now(UTC).date().isoformat(),
                        "results": self.results[suite], "counts": found.counts, "longest": found.longest,
                    }  # fmt: skip
                    stream.write(json.dumps(line) + "\n")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--figures", type=Path, metavar="FILE", help="add the figures of each suite to a file")


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Collector(config.getoption("figures")))


def _merge(into: Figures, line: dict[str, Any]) -> None:
    for what, number in line["counts"].items():
        into.add(what, number)
    for what, seconds in line["longest"].items():
        into.took(what, seconds)


def _describe(found: Figures) -> str:
    # One of something: the first noun is in the singular.
    parts = [
        f"{number:,} {_PLURAL.sub('', what, count=1) if number == 1 else what}"
        for what, number in found.counts.items()
    ]
    parts += [f"{what} within {seconds:.1f} s" for what, seconds in found.longest.items()]
    return ", ".join(parts)


def update_page(page: str, lines: Iterable[dict[str, Any]]) -> str:
    """Return the page with the figures of the runs in the rows of their suites.

    A row is `| suite | what it does | figures | date |`; only the last two cells change.

    Raises
    ------
    ValueError
        A run failed, or the page has no row of a suite.
    """
    suites: dict[str, Figures] = defaultdict(Figures)
    dates: dict[str, str] = {}
    for line in lines:
        suite = line["suite"]
        if line["results"].get("failed"):
            raise ValueError(f"a run of {suite} failed")
        _merge(suites[suite], line)
        dates[suite] = max(line["date"], dates.get(suite, ""))
    for suite, found in suites.items():
        row = re.compile(rf"^(\| `{re.escape(suite)}` \|[^|\n]*\|)[^|\n]*\|[^|\n]*\|$", re.MULTILINE)
        page, rows = row.subn(rf"\g<1> {_describe(found)} | {dates[suite]} |", page)
        if rows != 1:
            raise ValueError(f"{rows} rows of {suite}")
    return page


if __name__ == "__main__":
    runs = [json.loads(line) for name in sys.argv[1:] for line in Path(name).read_text().splitlines()]
    PAGE.write_text(update_page(PAGE.read_text(), runs))
