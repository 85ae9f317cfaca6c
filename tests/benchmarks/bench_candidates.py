"""Time how the search for films that may be the same grows with the number of films.

    python tests/benchmarks/bench_candidates.py --build BUILD [--films 100000]

Of a build's films some parts are searched, then all of them, then all among films that do not exist: each of
their windows is a mean of the same windows of two real films, so that they are as much alike as chests are.
What counts is the time a film, and how many candidates there are: comparing all pairs would take as many
times longer a film as there are more films. Only one processor is used.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from cxrbuild.auditing.candidates import find_candidates
from cxrbuild.auditing.descriptors import Floats, read_film
from cxrbuild.records import read_records

Described = tuple[Floats, Floats]


def imagined(films: list[Described], random: np.random.Generator) -> Iterator[Described]:
    """Yield films that do not exist, without end."""
    while True:
        one, other = (films[i] for i in random.integers(len(films), size=2))
        n = min(len(one[0]), len(other[0]))
        share = random.uniform(0.3, 0.7, (n, 1)).astype(np.float32)
        windows, cosines = (share * a[:n] + (1 - share) * b[:n] for a, b in zip(one, other, strict=True))
        yield windows, cosines / np.linalg.norm(cosines, axis=1, keepdims=True)


def main() -> None:
    """Print a line for each number of films."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--films", type=int, default=50_000)
    args = parser.parse_args()

    films = []
    for path in read_records(args.build / "manifest.parquet")["jpeg_path"]:
        film = read_film((args.build / path).read_bytes())
        films.append((film.windows, film.cosines))
    random = np.random.default_rng(0)
    real = len(films)
    random.shuffle(films)
    more = imagined(films[:real], random)
    sizes = sorted(
        {real // 4, real // 2, real, *(real * 2**i for i in range(1, 20) if real * 2**i <= args.films)}
    )
    for size in sizes:
        films += [next(more) for _ in range(size - len(films))]
        start = time.perf_counter()
        found = find_candidates(films[:size])
        seconds = time.perf_counter() - start
        pairs = size * (size - 1) // 2
        print(
            f"{size:9,} films{' (most imagined)' if size > real else ''}: {seconds:.1f} s, "
            f"{1000 * seconds / size:.2f} ms a film, {len(found.a):,} candidates of {pairs:,} pairs, "
            f"memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.1f} GB at most"
        )


if __name__ == "__main__":
    main()
