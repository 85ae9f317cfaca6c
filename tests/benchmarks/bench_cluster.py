"""Compare `cxrbuild curate` on a Dask cluster of this machine with the same number of local processes.

    python tests/benchmarks/bench_cluster.py --data DATA [--processes 4] [--rounds 3] [--scratch FOLDER]

DATA is a folder that `cxrbuild fetch` filled. Both run in turns, each into a new folder. The scheduler and
its workers, of one thread each, are started once and have done one build before; the local processes start
with each command. So the whole command favours the cluster, by the start of a process. The figure of
converting does not: it is the time from the first to the last growth of the journal, looked at every 20 ms.
The ratio is the throughput of the cluster divided by that of the local processes.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ratios import record

_EVERY_S = 0.02


def time_curate(data: Path, out: Path, executor: str, processes: int) -> tuple[float, float]:
    """Return the seconds of the whole command, and those of converting."""
    words = ["curate", "--drop-lateral", "--allow-missing", "--data", data, "--out", out, "--quiet",
             "--format", "parquet", "--workers", processes, "--executor", executor]  # fmt: skip
    journal = out / ".cxrbuild" / "journal"
    begun = time.perf_counter()
    command = subprocess.Popen([sys.executable, "-m", "cxrbuild", *map(str, words)])
    first = last = 0.0
    size = 0
    while command.poll() is None:
        found = journal.stat().st_size if journal.exists() else 0
        if found > size:
            last = time.perf_counter()
            first = first or last
            size = found
        time.sleep(_EVERY_S)
    if command.returncode:
        sys.exit(f"curate ended with {command.returncode}")
    return time.perf_counter() - begun, last - first


def main() -> None:
    """Print a line for each round, and the medians."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scratch", type=Path)
    args = parser.parse_args()

    from distributed import LocalCluster

    whole, converting = [], []
    with (
        LocalCluster(n_workers=args.processes, threads_per_worker=1, dashboard_address=None) as cluster,
        tempfile.TemporaryDirectory(dir=args.scratch) as scratch,
    ):
        executors = {"local": "local", "cluster": cluster.scheduler_address.replace("tcp", "dask")}
        time_curate(args.data, Path(scratch) / "first", executors["cluster"], args.processes)
        for n in range(args.rounds):
            found = {
                name: time_curate(args.data, Path(scratch) / f"{name}-{n}", executor, args.processes)
                for name, executor in executors.items()
            }
            (local, local_converting), (dask, dask_converting) = found["local"], found["cluster"]
            whole.append(local / dask)
            converting.append(local_converting / dask_converting)
            print(
                f"round {n + 1}, {args.processes} processes: whole command local {local:.2f} s, cluster "
                f"{dask:.2f} s, ratio {whole[-1]:.2f}; converting local {local_converting:.2f} s, cluster "
                f"{dask_converting:.2f} s, ratio {converting[-1]:.2f}"
            )
    record("throughput of converting on a cluster / in local processes", converting, at_least=0.85)
    print(f"median of the command {statistics.median(whole):.2f}, of converting", end=" ")
    print(f"{statistics.median(converting):.2f}")


if __name__ == "__main__":
    main()
