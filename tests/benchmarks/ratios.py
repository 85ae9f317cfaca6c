"""Ratios of the benchmarks: each one records its own, and this program writes them to docs/performance.md.

    CXRBUILD_RATIOS=ratios.jsonl python tests/benchmarks/bench_fetch.py ARCHIVE    # adds lines to the file
    python tests/benchmarks/ratios.py ratios.jsonl                                  # writes the table

A ratio that was recorded again replaces the earlier one. Without the variable, nothing is recorded.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from string import ascii_uppercase

PAGE = Path(__file__).resolve().parents[2] / "docs" / "performance.md"
_BEGIN, _END = "<!-- begin of the ratios -->\n", "<!-- end of the ratios -->\n"
_LIBRARIES = ("pillow", "numpy", "pandas", "pyarrow", "pydantic", "dask", "tensorflow")


def record(
    what: str, values: float | Sequence[float], *, at_most: float | None = None, at_least: float | None = None
) -> None:
    """Record a ratio, or another figure that needs no clock.

    Parameters
    ----------
    what
        What is divided by what.
    values
        Its value in each round.
    at_most, at_least
        Its target.
    """
    file = os.environ.get("CXRBUILD_RATIOS")
    if not file:
        return
    rounds = [values] if isinstance(values, float | int) else list(values)
    target = f"at most {at_most:g}" if at_most is not None else None
    line = {
        "benchmark": Path(sys.argv[0]).name, "what": what, "values": rounds,
        "target": f"at least {at_least:g}" if at_least is not None else target,
        "date": datetime.now(UTC).date().isoformat(), "machine": _machine(),
    }  # fmt: skip
    with Path(file).open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(line) + "\n")


def _machine() -> str:
    model = platform.machine()
    cpu = Path("/proc/cpuinfo")
    if cpu.exists():
        names = [
            line.split(":", 1)[1].strip() for line in cpu.read_text().splitlines() if "model name" in line
        ]
        model = names[0] if names else model
        # It decides which convolutions TensorFlow takes.
        model += ", AVX-512" if "avx512f" in cpu.read_text() else ""
    memory = ""
    if sys.platform != "win32":
        memory = f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 1e9:.0f} GB of memory, "
    libraries = ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
    return (
        f"{os.cpu_count()} processors ({model}), {memory}{platform.system()}, "
        f"Python {platform.python_version()}, {libraries}"
    )


def format_table(lines: Iterable[str]) -> str:
    """Return the table and the machines of the recorded lines, as Markdown."""
    rows = {(row["benchmark"], row["what"]): row for row in map(json.loads, lines)}
    machines = sorted({row["machine"] for row in rows.values()})
    names = dict(zip(machines, ascii_uppercase, strict=False))
    table = [
        "| benchmark | ratio | value | target | date | machine |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows.values():
        values = row["values"]
        shown = f"{statistics.median(values):.3g}"
        if len(values) > 1:
            shown += f" ({min(values):.3g} to {max(values):.3g}, {len(values)} rounds)"
        table.append(
            f"| `{row['benchmark']}` | {row['what']} | {shown} | {row['target'] or ''} | {row['date']} | "
            f"{names[row['machine']]} |"
        )
    listed = [f"- Machine {name}: {machine}." for machine, name in names.items()]
    return "\n".join([*table, "", *listed, ""])


if __name__ == "__main__":
    page = PAGE.read_text(encoding="utf-8")
    before, rest = page.split(_BEGIN)
    after = rest.split(_END)[1]
    measured = format_table(Path(sys.argv[1]).read_text(encoding="utf-8").splitlines())
    PAGE.write_text(before + _BEGIN + "\n" + measured + "\n" + _END + after, encoding="utf-8")
