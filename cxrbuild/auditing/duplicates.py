"""Films that stand in a dataset more than once: as bytes, as pixels, or changed as people change them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cxrbuild.auditing.candidates import Candidates, find_candidates
from cxrbuild.auditing.descriptors import Film, read_film
from cxrbuild.auditing.registration import Alignment, align
from cxrbuild.convert import NotConvertible, read_image
from cxrbuild.executors import run_batches
from cxrbuild.progress import Progress

# From here on two films are the same film, and from here on alike enough to be named.
SAME, ALIKE = 0.9, 0.7
_MAY_BE_EQUAL = 0.98
_PIECE = 64


@dataclass(frozen=True)
class Match:
    """Two images that show the same film.

    Attributes
    ----------
    a, b
        Their numbers, ``a < b``.
    kind
        ``same bytes``, ``same pixels``, ``near`` (the same film, changed) or ``alike``
        (so alike that a person should look: most often one patient on two days).
    similarity
        1 for the same bytes and pixels, else the median correlation of what is fine in them.
    changes
        How one was made of the other, as far as it can be told: ``mirrored``, ``cut``, ``turned``.
    """

    a: int
    b: int
    kind: str
    similarity: float
    changes: tuple[str, ...]


def read_films(
    paths: Sequence[Path],
    digests: Sequence[str],
    executor: Executor,
    *,
    workers: int,
    progress: Progress,
) -> list[Film | str]:
    """Read images in few numbers, in many processes; for one that is not as it was, what is wrong.

    Parameters
    ----------
    paths
        The images.
    digests
        The SHA-256 that each must have.
    executor, workers
        Where to read, and how many work there.
    progress
        Told how many are done.
    """
    asked = list(zip(paths, digests, strict=True))
    pieces = (tuple(asked[i : i + _PIECE]) for i in range(0, len(asked), _PIECE))
    films: dict[Path, Film | str] = {}
    with progress("reading films", len(paths), "image") as bar:
        for piece, found in run_batches(executor, _read_piece, pieces, ahead=3 * workers):
            films.update(zip((path for path, _ in piece), found, strict=True))
            bar.update(len(piece))
    return [films[path] for path in paths]


def find_matches(
    films: Sequence[Film], paths: Sequence[Path], executor: Executor, *, workers: int, progress: Progress
) -> list[Match]:
    """Find the images that show the same film.

    Parameters
    ----------
    films
        The images in few numbers.
    paths
        The images, to compare those pixel by pixel that seem to be equal.
    executor, workers
        Where to compare, and how many work there.
    progress
        Told how many candidates were compared.
    """
    found = find_candidates([(film.windows, film.cosines) for film in films])
    pieces = (tuple(range(i, min(i + _PIECE, len(found.a)))) for i in range(0, len(found.a), _PIECE))
    jobs = (tuple(_job(films, found, i) for i in piece) for piece in pieces)
    best: dict[tuple[int, int], tuple[Alignment, bool]] = {}
    with progress("comparing films", len(found.a), "pair") as bar:
        for piece, aligned in run_batches(executor, _align_piece, jobs, ahead=3 * workers):
            for job, alignment in zip(piece, aligned, strict=True):
                before = best.get(job.pair)
                if alignment.similarity >= ALIKE and (
                    before is None or alignment.similarity > before[0].similarity
                ):
                    best[job.pair] = alignment, job.mirrored
            bar.update(len(piece))
    return [_match(pair, *best[pair], paths) for pair in sorted(best)]


@dataclass(frozen=True)
class _Job:
    pair: tuple[int, int]
    mirrored: bool
    thumbnails: tuple[NDArray[np.int8], NDArray[np.int8]]
    place: NDArray[np.float32]


def _job(films: Sequence[Film], found: Candidates, i: int) -> _Job:
    a, b, mirrored = int(found.a[i]), int(found.b[i]), bool(found.mirrored[i])
    other = films[b].thumbnail
    return _Job((a, b), mirrored, (films[a].thumbnail, other[:, ::-1] if mirrored else other), found.place[i])


def _read_piece(asked: tuple[tuple[Path, str], ...]) -> list[Film | str]:
    films: list[Film | str] = []
    for path, digest in asked:
        try:
            data = path.read_bytes()
            if hashlib.sha256(data).hexdigest() != digest:
                films.append("changed since the build")
            else:
                films.append(read_film(data))
        except FileNotFoundError:
            films.append("gone")
        except (OSError, NotConvertible) as error:
            films.append(f"cannot be read ({error})")
    return films


def _align_piece(jobs: tuple[_Job, ...]) -> list[Alignment]:
    return [align(*job.thumbnails, job.place) for job in jobs]


def _match(pair: tuple[int, int], alignment: Alignment, mirrored: bool, paths: Sequence[Path]) -> Match:
    a, b = pair
    if alignment.similarity < SAME:
        return Match(a, b, "alike", alignment.similarity, ())
    if alignment.similarity > _MAY_BE_EQUAL and not mirrored and _pixels(paths[a]) == _pixels(paths[b]):
        return Match(a, b, "same pixels", 1.0, ())
    return Match(a, b, "near", alignment.similarity, tuple(_changes(alignment, mirrored)))


def _pixels(path: Path) -> tuple[tuple[int, int], bytes]:
    film = read_image(path)
    return film.size, film.tobytes()


def _changes(alignment: Alignment, mirrored: bool) -> Iterator[str]:
    """Yield how the second film was changed, as far as it can be told from where it lies."""
    if mirrored:
        yield "mirrored"
    if min(alignment.overlap) < 0.94:
        yield "cut"
    (xx, xy), (yx, yy) = alignment.affine[:, :2]
    # Frames are squeezed into squares, so that a turn of an oblong film is a little of a shear too.
    if abs(math.atan2(yx - xy, xx + yy)) > math.radians(1):
        yield "turned"
