"""The tests that take the most processor time, where `--durations` gives the time by the clock.

    pytest -n 2 --dist loadgroup --processor-time 20

The time includes the processes that a test starts, on Linux those that go on too, such as the one from which
worker processes are forked. A fixture counts for the test that makes it.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Generator
from pathlib import Path

import pytest


def _used() -> float:
    """Return the seconds of processor time of this process and of its children."""
    used = sum(os.times()[:4])
    try:
        for child in Path("/proc/thread-self/children").read_text().split():
            # Its own time, then that of its children that ended, in ticks: columns 14 to 17 of proc(5).
            columns = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[11:15]
            used += sum(map(int, columns)) / os.sysconf("SC_CLK_TCK")
    except OSError:  # not Linux, or a child that ended meanwhile
        pass
    return used


class _Clock:
    """Adds to each report the processor time of its phase: setup, call or teardown."""

    def __init__(self) -> None:
        self.before = 0.0

    def pytest_runtest_logstart(self) -> None:
        self.before = _used()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        now = _used()
        report.user_properties.append(("processor time", now - self.before))
        self.before = now
        return report


class _Summary:
    def __init__(self, lines: int) -> None:
        self.lines = lines
        self.tests: Counter[str] = Counter()
        self.files: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for name, seconds in report.user_properties:
            if name == "processor time":
                self.tests[report.nodeid] += seconds
                self.files[report.nodeid.partition("::")[0]] += seconds

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.section(f"processor time: {self.files.total():.0f} s")
        for counted in (self.files, self.tests):
            for name, seconds in counted.most_common(self.lines):
                terminalreporter.line(f"{seconds:6.1f} s  {name}")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--processor-time", type=int, metavar="N", help="list the N files and tests that take most of it"
    )


def pytest_configure(config: pytest.Config) -> None:
    lines = config.getoption("--processor-time")
    if lines is None:
        return
    config.pluginmanager.register(_Clock())
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Summary(lines))
