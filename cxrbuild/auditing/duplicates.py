"""Decide which candidate pairs are duplicates: the same pixels, near-duplicates, or only similar."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

from cxrbuild.artifact.audit import DuplicateSearch
from cxrbuild.artifact.audit_finding import Change, PairKind
from cxrbuild.auditing import stages
from cxrbuild.auditing.candidates import Candidates, find_candidates
from cxrbuild.auditing.keypoints import Sides
from cxrbuild.auditing.pair_jobs import PairJob, hash_images, register_pairs
from cxrbuild.auditing.registration import Registration
from cxrbuild.auditing.store import DescriptorTable
from cxrbuild.executors import run_batches
from cxrbuild.progress import Progress

NEAR_DUPLICATE, SIMILAR = 0.9, 0.7
"""The similarity from which a pair is a near-duplicate, and from which it is reported as similar."""

# The pixels of more similar pairs are compared.
_MAY_BE_EQUAL = 0.98
# The overlap below which an image is cropped, and the angle in degrees above which it is rotated.
_CROPPED, _ROTATED = 0.94, 1
_BATCH = 64


@dataclass(frozen=True)
class Match:
    """Two images that are duplicates or similar.

    Attributes
    ----------
    a, b
        Their numbers, ``a < b``.
    kind
        ``same bytes``, ``same pixels``, ``near-duplicate`` (the same radiograph, changed) or ``similar``
        (often one patient on two days).
    similarity
        1 for the same bytes and pixels, else the median correlation of their fine detail.
    changes
        How one differs from the other: ``mirrored``, ``cropped``, ``rotated``.
    """

    a: int
    b: int
    kind: PairKind
    similarity: float
    changes: tuple[Change, ...] = ()


def find_matches(
    images: DescriptorTable,
    paths: Sequence[Path] | None,
    state: Path,
    executor: Executor,
    *,
    workers: int,
    progress: Progress,
    sides: Sides | None = None,
) -> tuple[list[Match], DuplicateSearch]:
    """Find duplicates and similar pairs.

    Parameters
    ----------
    images
        The images' descriptors.
    paths
        The images. Pixels of pairs that may be equal are compared. ``None``: there are no pixels to compare,
        and no match has the kind ``same pixels``.
    state
        A folder for temporary files.
    executor, workers
        The executor, and the number of its workers.
    progress
        Opens progress bars.
    sides
        Which dataset each image is in, where two are compared: see `Keypoints`.

    Returns
    -------
    list of Match
        The pairs, by number.
    DuplicateSearch
        How completely duplicates were searched.
    """
    with progress(stages.FINDING, len(images), "image"):
        candidates = find_candidates(images, state, sides=sides, progress=progress)
    count = len(candidates.a)
    jobs = (_make_jobs(images, candidates, slice(i, i + _BATCH)) for i in range(0, count, _BATCH))
    best: dict[tuple[int, int], tuple[Registration, bool]] = {}
    with progress(stages.COMPARING, candidates.pairs, "pair") as bar:
        for batch, registered in run_batches(executor, register_pairs, jobs, ahead=3 * workers):
            for job, registration in zip(batch, registered, strict=True):
                known = best.get(job.pair)
                if registration.similarity >= SIMILAR and (
                    known is None or _rank(registration, job.mirrored) > _rank(*known)
                ):
                    best[job.pair] = registration, job.mirrored
            bar.update(sum(job.is_first for job in batch))
    pixels = {} if paths is None else _hash_pixels(best, paths, executor, workers, progress)
    return [_match(pair, *best[pair], pixels) for pair in sorted(best)], candidates.describe_search()


def _make_jobs(images: DescriptorTable, candidates: Candidates, batch: slice) -> tuple[PairJob, ...]:
    columns = candidates.a, candidates.b, candidates.first, candidates.mirrored
    a, b, first, mirrored = (values[batch].tolist() for values in columns)
    of_a, of_b = (images.read("thumbnail", numbers[batch]) for numbers in (candidates.a, candidates.b))
    return tuple(
        PairJob(
            (a[i], b[i]), first[i], mirrored[i],
            (of_a[i], of_b[i, :, ::-1] if mirrored[i] else of_b[i]), transform,
        )
        for i, transform in enumerate(candidates.transforms[batch])
    )  # fmt: skip


def _rank(registration: Registration, mirrored: bool) -> tuple[float, bool]:
    # Batches end in any order: where an image is symmetric, the plain transform is taken.
    return registration.similarity, not mirrored


def _may_be_equal(registration: Registration, mirrored: bool) -> bool:
    return registration.similarity > _MAY_BE_EQUAL and not mirrored


def _hash_pixels(
    found: dict[tuple[int, int], tuple[Registration, bool]],
    paths: Sequence[Path],
    executor: Executor,
    workers: int,
    progress: Progress,
) -> dict[int, str | None]:
    """Return a hash of the pixels of every image that may equal another; ``None`` if it cannot be read."""
    numbers = sorted({number for pair, match in found.items() if _may_be_equal(*match) for number in pair})
    batches = (
        tuple((number, paths[number]) for number in numbers[i : i + _BATCH])
        for i in range(0, len(numbers), _BATCH)
    )
    hashes: dict[int, str | None] = {}
    with progress(stages.COMPARING_PIXELS, len(numbers), "image") as bar:
        for batch, result in run_batches(executor, hash_images, batches, ahead=3 * workers):
            hashes.update(zip((number for number, _ in batch), result, strict=True))
            bar.update(len(batch))
    return hashes


def _match(
    pair: tuple[int, int], registration: Registration, mirrored: bool, pixels: dict[int, str | None]
) -> Match:
    a, b = pair
    if registration.similarity < NEAR_DUPLICATE:
        return Match(a, b, "similar", registration.similarity)
    if _may_be_equal(registration, mirrored) and pixels.get(a) is not None and pixels[a] == pixels[b]:
        return Match(a, b, "same pixels", 1.0)
    return Match(a, b, "near-duplicate", registration.similarity, tuple(_changes(registration, mirrored)))


def _changes(registration: Registration, mirrored: bool) -> Iterator[Change]:
    """Yield the changes that the affine transform shows."""
    if mirrored:
        yield "mirrored"
    if min(registration.overlap) < _CROPPED:
        yield "cropped"
    (xx, xy), (yx, yy) = registration.affine_transform[:, :2]
    # Frames are scaled to squares, so that the rotation of an oblong image is partly a shear.
    if abs(math.atan2(yx - xy, xx + yy)) > math.radians(_ROTATED):
        yield "rotated"
