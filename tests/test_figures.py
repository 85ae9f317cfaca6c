"""The page of reliability: a row for each long suite, and figures of runs that passed alone."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from command import CHECKOUT
from figures import PAGE, Figures, require_plain, update_page

ROW = "| `tests/reliability/test_a.py` | does things | 1 kills | 2020-01-01 |\n"
LINE = {
    "suite": "tests/reliability/test_a.py", "date": "2026-01-01", "results": {"passed": 2},
    "counts": {"kills": 1500}, "longest": {"all ended": 0.25},
}  # fmt: skip


def test_every_long_suite_has_a_row() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for folder in ("reliability", "differential"):
        for suite in (CHECKOUT / "tests" / folder).glob("test_*.py"):
            assert f"| `{suite.relative_to(CHECKOUT).as_posix()}` |" in page


def test_runs_of_a_suite_are_added_up() -> None:
    page = update_page(ROW, [LINE, LINE | {"date": "2026-01-02", "longest": {"all ended": 0.5}}])
    assert page == (
        "| `tests/reliability/test_a.py` | does things | 3,000 kills, all ended within 0.5 s | 2026-01-02 |\n"
    )


def test_one_of_something_is_in_the_singular() -> None:
    counts = {"cards": 1, "kills of fetch": 1, "damaged files with sums as released": 1, "PNG as samples": 2}
    page = update_page(ROW, [LINE | {"counts": counts, "longest": {}}])
    assert " 1 card, 1 kill of fetch, 1 damaged file with sums as released, 2 PNG as samples " in page


def test_figures_of_a_run_that_failed_are_refused() -> None:
    with pytest.raises(ValueError, match="failed"):
        update_page(ROW, [LINE | {"results": {"passed": 2, "failed": 1}}])
    with pytest.raises(ValueError, match="0 rows"):
        update_page("", [LINE])


@dataclass
class Kills:
    number: int = 1


@pytest.mark.parametrize(
    "value", [Counter(a=1), Path("a"), np.int64(1), np.float64(1), Kills(), {1}, b"a"], ids=type
)
def test_a_value_that_workers_cannot_send_is_refused(value: object) -> None:
    for what in (value, [value], {"a": {"b": (1, value)}}):
        with pytest.raises(TypeError, match=r"^record_property\('a'\): expected a plain.*convert it"):
            require_plain("record_property('a')", what)
    with pytest.raises(TypeError, match=r"^figures\.add\('kills'\): .*of the type"):
        Figures().add("kills", value)
    with pytest.raises(TypeError, match=r"^figures\.took\('kills'\): .*of the type"):
        Figures().took("kills", value)


def test_plain_values_are_those_that_workers_send() -> None:
    execnet = pytest.importorskip("execnet")
    for value in ("a", 1, 1.5, True, None, [1], (1, "a"), {"a": {"b": [1.5]}}):
        require_plain("here", value)
        assert execnet.loads(execnet.dumps(value)) == value


RECORDING = """
from collections import Counter
from pathlib import Path
import pytest

def test_good(figures):
    figures.add("kills", 2)
    figures.took("all ended", 0.5)

@pytest.mark.parametrize("value", [Counter(a=1), Path("a")])
def test_bad(record_property, value):
    record_property("found", value)

def test_figure(figures):
    figures.add("kills", Path("a"))

def test_after(figures):
    figures.add("kills")
"""


def test_a_test_that_records_another_value_fails_and_its_worker_goes_on(tmp_path: Path) -> None:
    pytest.importorskip("xdist")
    (tmp_path / "test_recording.py").write_text(RECORDING)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-n", "1", "-p", "xdist", "-p", "figures", "-p", "no:cacheprovider",
         tmp_path],
        cwd=tmp_path, capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": str(CHECKOUT / "tests"), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    assert "3 failed, 2 passed" in done.stdout
    assert "crashed" not in done.stdout
    assert "test_recording.py: 3 kills, all ended within 0.5 s" in done.stdout
    for line in (
        "record_property('found'): expected a plain text, number, list or dict",
        "figures.add('kills'): expected a plain text, number, list or dict",
    ):
        assert f"TypeError: {line}" in done.stdout
