"""The benchmarks that need no images run, and record ratios."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from command import CHECKOUT

BENCHMARKS = CHECKOUT / "tests" / "benchmarks"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bench_plan.py", "bench_verify.py"])
def test_a_benchmark_runs_and_records_ratios(name: str, tmp_path: Path) -> None:
    ratios = tmp_path / "ratios.jsonl"
    subprocess.run(
        [sys.executable, BENCHMARKS / name, "--images", "10000", "20000", "--folder", tmp_path],
        env=os.environ | {"CXRBUILD_RATIOS": str(ratios)}, check=True,
    )  # fmt: skip
    rows = [json.loads(line) for line in ratios.read_text().splitlines()]
    assert {row["benchmark"] for row in rows} == {name}
    assert any("20,000 images / 10,000" in row["what"] for row in rows)
    assert all(value > 0 for row in rows for value in row["values"])


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not report what processes used")
def test_the_functions_that_a_benchmark_times_are_where_it_looks_for_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    for modules in import_module("bench_plan").STAGES.values():
        for module, names in modules.items():
            assert [name for name in names if not callable(getattr(import_module(module), name, None))] == []
