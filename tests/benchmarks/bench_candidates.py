"""Time how the search for candidate pairs grows with the number of images.

    python tests/benchmarks/bench_candidates.py --build BUILD [--images 100000]

Candidates are searched among a quarter of a build's images, among all of them, and among more images that are
generated: each keypoint of a generated image is the mean of two keypoints of real images, so that generated
images are as similar as chests are. The result is the time per image and the number of candidates. Comparing
all pairs would take time per image in proportion to the number of images. One processor is used.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from cxrbuild.auditing.candidates import find_candidates
from cxrbuild.auditing.descriptors import Floats, read_descriptors
from cxrbuild.records import read_records

Described = tuple[Floats, Floats]


def generate(images: list[Described], random: np.random.Generator) -> Iterator[Described]:
    """Yield generated images without end."""
    while True:
        one, other = (images[i] for i in random.integers(len(images), size=2))
        n = min(len(one[0]), len(other[0]))
        share = random.uniform(0.3, 0.7, (n, 1)).astype(np.float32)
        keypoints, coefficients = (
            share * a[:n] + (1 - share) * b[:n] for a, b in zip(one, other, strict=True)
        )
        yield keypoints, coefficients / np.linalg.norm(coefficients, axis=1, keepdims=True)


def main() -> None:
    """Print a line for each number of images."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--images", type=int, default=50_000)
    args = parser.parse_args()

    images = []
    for path in read_records(args.build / "manifest.parquet")["jpeg_path"]:
        image = read_descriptors((args.build / path).read_bytes())
        images.append((image.keypoints, image.dct_coefficients))
    random = np.random.default_rng(0)
    real = len(images)
    random.shuffle(images)
    generated = generate(images[:real], random)
    sizes = sorted(
        {real // 4, real // 2, real, *(real * 2**i for i in range(1, 20) if real * 2**i <= args.images)}
    )
    for size in sizes:
        images += [next(generated) for _ in range(size - len(images))]
        start = time.perf_counter()
        found = find_candidates(images[:size])
        seconds = time.perf_counter() - start
        pairs = size * (size - 1) // 2
        print(
            f"{size:9,} images{' (most generated)' if size > real else ''}: {seconds:.1f} s, "
            f"{1000 * seconds / size:.2f} ms per image, {len(found.a):,} candidates of {pairs:,} pairs, "
            f"{found.skipped_pairs:,} skipped, "
            f"memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.1f} GB at most"
        )


if __name__ == "__main__":
    main()
