"""The page of reliability: a row for each long suite, and figures of runs that passed alone."""

from __future__ import annotations

import pytest
from command import CHECKOUT
from figures import PAGE, update_page

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


def test_figures_of_a_run_that_failed_are_refused() -> None:
    with pytest.raises(ValueError, match="failed"):
        update_page(ROW, [LINE | {"results": {"passed": 2, "failed": 1}}])
    with pytest.raises(ValueError, match="0 rows"):
        update_page("", [LINE])
