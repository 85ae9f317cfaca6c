"""Compare the time of `cxrbuild curate --format parquet` with a bare decode-and-encode of the same images.

    python tests/benchmarks/bench_curate.py --data DATA [--rounds 5] [--scratch FOLDER]

DATA is a folder that `cxrbuild fetch` filled. Both run in turns, with the same number of processes. The ratio
divides the command's time by the mean of the bare times before and after it. The bare work writes nothing.
The command writes a quarter of a gigabyte to FOLDER, by default the folder of temporary files, so the ratio
depends on the speed of that disk; a disk in memory (/dev/shm) removes this effect. On an ext4 without a
journal, creating 6,354 files took 1.2 to 1.6 s instead of 0.2 to 0.3 s for five to six minutes after 30,000
files had been removed: wait six minutes after removing the files of a former run. Peak memory is the sum of
the resident set sizes of the command and all its processes, sampled every 100 ms (shared pages count for
each process). Then the command curates the finished build a second time.
"""

from __future__ import annotations

import argparse
import io
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from PIL import Image

_EVERY_S = 0.1


def bare(path: Path) -> int:
    """Decode an image to grey and encode it, in memory; return the JPEG's size in bytes."""
    out = io.BytesIO()
    with Image.open(path) as image:
        image.convert("L").save(out, "JPEG", quality=95)
    return out.tell()


def time_bare(images: list[Path], processes: int) -> float:
    """Return the seconds of the bare work, including the start of the processes."""
    start = time.perf_counter()
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        pool.map(bare, images, chunksize=24)
    return time.perf_counter() - start


def time_curate(data: Path, out: Path, processes: int) -> tuple[float, int]:
    """Return the seconds of the command, and the peak memory of all its processes in bytes."""
    arguments = ["curate", "--drop-lateral", "--data", data, "--out", out, "--format", "parquet", "--quiet"]
    arguments += ["--workers", processes, "--allow-missing"]
    start = time.perf_counter()
    command = subprocess.Popen([sys.executable, "-m", "cxrbuild", *map(str, arguments)])
    peak = 0

    def watch() -> None:
        nonlocal peak
        while command.poll() is None:
            peak = max(peak, _memory(command.pid))
            time.sleep(_EVERY_S)

    watcher = threading.Thread(target=watch)
    watcher.start()
    status = command.wait()
    seconds = time.perf_counter() - start
    watcher.join()
    if status:
        sys.exit(f"curate ended with {status}")
    return seconds, peak


def _memory(pid: int) -> int:
    """Return the resident set sizes of a process and its descendants, in bytes (Linux's /proc)."""
    try:
        own = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (OSError, IndexError):
        return 0
    return own + sum(_memory(int(child)) for child in children)


def main() -> None:
    """Print a line for each round, and the medians."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scratch", type=Path)
    parser.add_argument("--processes", type=int, default=2)
    args = parser.parse_args()

    from cxrbuild.records import read_records

    ratios, peaks = [], []
    with tempfile.TemporaryDirectory(dir=args.scratch) as scratch:
        out = Path(scratch) / "build"
        time_curate(args.data, out, args.processes)  # so that every file is in the cache
        manifest = read_records(out / "manifest.parquet")
        images = [
            args.data / "sources" / source / path
            for source, path in zip(manifest["source"], manifest["source_path"], strict=True)
        ]
        size = sum(image.stat().st_size for image in images)
        print(f"{len(images):,} images, {size / 1e6:,.0f} MB, {args.processes} processes, built in {scratch}")
        os.sync()
        bares = [time_bare(images, args.processes)]
        for n in range(args.rounds):
            os.sync()  # writes of the former round must not count in this round
            # A new folder: nothing is removed between the rounds.
            out = Path(scratch) / f"build-{n}"
            first, peak = time_curate(args.data, out, args.processes)
            again, _ = time_curate(args.data, out, args.processes)
            os.sync()
            bares.append(time_bare(images, args.processes))
            plain = statistics.mean(bares[-2:])
            ratios.append(first / plain)
            peaks.append(peak)
            print(
                f"round {n + 1}: bare {plain:.2f} s, curate {first:.2f} s, ratio {first / plain:.2f}, "
                f"peak {peak / 1e6:,.0f} MB; second curate {again:.2f} s, {again / first:.3f} of the first"
            )
    print(f"median ratio {statistics.median(ratios):.2f}, greatest peak {max(peaks) / 1e6:,.0f} MB")


if __name__ == "__main__":
    main()
