r"""Time how the search for candidate pairs grows with the number of images, and how much memory it needs.

    OPENBLAS_NUM_THREADS=1 python tests/benchmarks/bench_candidates.py --build BUILD \
        [--images 100000 ...] [--folder FOLDER]

Candidates are searched among a build's images and generated ones: each keypoint of a generated image is the
mean of two keypoints of real images, so that generated images are as similar as chests are. The result is the
time per image, the number of candidates, and the memory of this process. Comparing all pairs would take time
per image in proportion to the number of images. One processor is used. A million images need 5 GB below the
folder for descriptors, and some 20 GB for temporary files.
"""

from __future__ import annotations

import argparse
import itertools
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from ratios import record

from cxrbuild.auditing.candidates import find_candidates
from cxrbuild.auditing.images import read_images
from cxrbuild.auditing.store import DescriptorStore, DescriptorTable
from cxrbuild.executors import open_executor
from cxrbuild.progress import silent
from cxrbuild.records import read_records

# Windows does not report what processes used.
assert sys.platform != "win32"

COLUMNS = ("keypoints", "dct_coefficients")
AT_ONCE = 2000
Columns = tuple[NDArray[np.float16], NDArray[np.float16]]


def generate(keypoints: NDArray[np.float16], coefficients: NDArray[np.float16]) -> Iterator[Columns]:
    """Yield columns of generated images without end."""
    random = np.random.default_rng(0)
    while True:
        one, other = random.integers(len(keypoints), size=(2, AT_ONCE))
        share = random.uniform(0.3, 0.7, (AT_ONCE, keypoints.shape[1], 1)).astype(np.float32)
        mixed = [share * column[one] + (1 - share) * column[other] for column in (keypoints, coefficients)]
        # An image has as many keypoints as the one with fewer.
        exists = ((keypoints[one] > 0) & (keypoints[other] > 0)).all(2, keepdims=True)
        length = np.linalg.norm(mixed[1], axis=2, keepdims=True)
        yield (
            (mixed[0] * exists).astype(np.float16),
            (mixed[1] / np.maximum(length, 1e-6) * exists).astype(np.float16),
        )


def main() -> None:
    """Print a line for each number of images."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--images", type=int, nargs="+", default=[100_000])
    parser.add_argument("--folder", type=Path, help="for descriptors and temporary files")
    args = parser.parse_args()

    rows = read_records(args.build / "manifest.parquet")
    rows = rows.sample(frac=1, random_state=0)
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        folder = Path(name)
        store = DescriptorStore(folder)
        with open_executor("local", 1) as pool:
            read_images(rows, args.build, store, pool, workers=1, progress=silent)
        real = [store.table(rows["jpeg_sha256"].tolist()).read(column) for column in COLUMNS]
        generated = generate(*real)
        count = len(rows)
        (folder / "columns").mkdir()
        files = [(folder / "columns" / column).open("wb") for column in COLUMNS]
        for file, values in zip(files, real, strict=True):
            file.write(values.tobytes())
        seconds = {}
        for size in sorted({count, *args.images}):
            while count < size:
                for file, values in zip(files, next(generated), strict=True):
                    file.write(values[: size - count].tobytes())
                count = min(size, count + AT_ONCE)
            for file in files:
                file.flush()
            table = DescriptorTable(folder / "columns", np.arange(size))
            seconds[size] = measure(table, folder, len(rows))
    for small, large in itertools.pairwise(seconds):
        ratio = seconds[large] * small / (seconds[small] * large)
        record(f"time an image to find candidates, {large:,} images / {small:,}", ratio)


def measure(table: DescriptorTable, folder: Path, real: int) -> float:
    """Print the time of one search and the most memory that this process had until then; return the first."""
    start, wall = time.process_time(), time.perf_counter()
    found = find_candidates(table, folder)
    seconds, wall = time.process_time() - start, time.perf_counter() - wall
    size = len(table)
    print(
        f"{size:9,} images{' (most made)' if size > 2 * real else ''}: {seconds:.1f} s of processor time, "
        f"{1000 * seconds / size:.2f} ms per image ({wall:.0f} s by the clock), "
        f"{len(found.a):,} candidates of {size * (size - 1) // 2:,} pairs, {found.skipped_pairs:,} skipped, "
        f"memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB at most",
        flush=True,
    )
    record(
        f"search for candidates among {size:,} images, GB of memory",
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
        at_most=4,
    )
    return seconds


if __name__ == "__main__":
    main()
