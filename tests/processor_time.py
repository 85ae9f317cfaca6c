"""The tests that take the most processor time, where `--durations` gives the time by the clock.

    pytest -n 2 --dist loadgroup --processor-time 20

The time includes the processes that a test starts and waits for. A fixture counts for the test that makes it.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Generator

import pytest


class _Clock:
    """Adds to each report the processor time of its phase: setup, call or teardown."""

    def __init__(self) -> None:
        self.before = 0.0

    def pytest_runtest_logstart(self) -> None:
        self.before = sum(os.times()[:4])

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        now = sum(os.times()[:4])
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
