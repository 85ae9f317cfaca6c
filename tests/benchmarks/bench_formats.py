"""Compare `cxrbuild curate` with both formats of shards and with Parquet alone: CPU and wall time.

    python tests/benchmarks/bench_formats.py --data DATA [--rounds 5] [--scratch FOLDER]

DATA is a folder that `cxrbuild fetch` filled. The two run in turns, each into a new folder. CPU time is that
of the command and all its processes.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ratios import record

# Windows does not report what processes used.
assert sys.platform != "win32"


def time_curate(data: Path, out: Path, formats: list[str]) -> tuple[float, float]:
    """Return the CPU and wall seconds of the command."""
    arguments = ["curate", "--drop-lateral", "--data", data, "--out", out, "--quiet", "--allow-missing"]
    arguments += [word for name in formats for word in ("--format", name)]
    os.sync()  # writes of the former run must not count in this one
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, "-m", "cxrbuild", *map(str, arguments)], check=True)
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, seconds


def main() -> None:
    """Print a line for each round, and the medians."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scratch", type=Path)
    args = parser.parse_args()
    cpu, wall = [], []
    with tempfile.TemporaryDirectory(dir=args.scratch) as scratch:
        time_curate(args.data, Path(scratch) / "first", ["parquet"])  # so that every file is in the cache
        for n in range(args.rounds):
            one = time_curate(args.data, Path(scratch) / f"one-{n}", ["parquet"])
            both = time_curate(args.data, Path(scratch) / f"both-{n}", ["parquet", "tfrecord"])
            cpu.append(both[0] / one[0])
            wall.append(both[1] / one[1])
            print(
                f"round {n + 1}: Parquet {one[0]:.2f} s CPU, {one[1]:.2f} s; both {both[0]:.2f} s CPU, "
                f"{both[1]:.2f} s; ratios {cpu[-1]:.2f}, {wall[-1]:.2f}"
            )
    record("`curate` with both formats / with Parquet alone", cpu, at_most=1.15)
    print(f"median ratios: CPU {statistics.median(cpu):.2f}, wall {statistics.median(wall):.2f}")


if __name__ == "__main__":
    main()
