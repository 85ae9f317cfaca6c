"""Find candidate pairs of images from collisions of their keypoints, without comparing all pairs.

Two images are candidates where their whole frames collide, or where three keypoints of each collide at
positions that one transform maps to each other. Each image keeps its best candidates up to a limit, so that
the number of registrations is proportional to the number of images, even where all images resemble each
other.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cxrbuild.artifact.audit import DuplicateSearch
from cxrbuild.auditing.agreement import SIZE_BIN, find_agreeing
from cxrbuild.auditing.collisions import MOST_IMAGES, Collisions, open_collisions
from cxrbuild.auditing.descriptors import MOST_KEYPOINTS, Floats
from cxrbuild.auditing.keypoints import Flags, Integers, Keypoints, Sides, Whitening, fit_whitening
from cxrbuild.auditing.store import DescriptorTable
from cxrbuild.errors import CxrbuildError
from cxrbuild.progress import Progress, silent

MOST_PER_IMAGE = 20
"""The most candidates of an image, by rank. A pair remains that is among the best of either image."""

# Bits of the hash codes in addition to the logarithm of the number of keypoints.
_SPARE_BITS_FRAME, _SPARE_BITS = 6, 4
# The cosine similarity that is needed of keypoints that collide.
_COLLIDING = 0.8
# The number of collisions that must agree on a transform, and of keypoints that must verify it.
_COLLISIONS, _VERIFIED = 3, 5
# Transforms agree if the centre differs by less than this share of the frame.
_CENTRE_BIN = 0.12
# Root mean square, in shares of the frame: residual of the positions, and the least distance between
# keypoints.
_RESIDUAL, _SPREAD = 0.03, 0.08
# The weight of the sizes of patches against the distances of keypoints, where a scale is estimated.
_SIZE_WEIGHT = 0.004
# The distance, in shares of the frame, within which a keypoint verifies a transform.
_VERIFYING_DISTANCE = 0.05
# The transforms of one pair that are tried.
_TRANSFORMS = 2
# Transforms of this many times the limit are verified.
_VERIFIED_PER_IMAGE = 4 * MOST_PER_IMAGE
# Coefficients of so many pairs of keypoints are in memory at once.
_KEYPOINTS_AT_ONCE = 1 << 15


@dataclass(frozen=True)
class Candidates:
    """Pairs of images that may be duplicates, and the transform between them.

    Attributes
    ----------
    a, b
        The images' numbers, ``a < b``, in order. A pair occurs several times, with different transforms.
    mirrored
        Whether ``b`` is mirrored first.
    transforms
        Maps shares of a's frame to shares of b's, ``(n, 4)``: scale of x and y, shift of x and y.
    limited_images
        The number of images with more candidates than the limit.
    skipped_pairs
        The number of pairs that are not candidates because of the limit.
    """

    a: Integers
    b: Integers
    mirrored: Flags
    transforms: Floats
    limited_images: int = 0
    skipped_pairs: int = 0

    @cached_property
    def first(self) -> Flags:
        """Which candidates are the first of their pair: progress and results count pairs, not transforms."""
        same = (np.diff(self.a) == 0) & (np.diff(self.b) == 0)
        return np.concatenate([np.ones(min(len(self.a), 1), bool), ~same])

    @property
    def pairs(self) -> int:
        """The number of pairs."""
        return int(self.first.sum())

    def describe_search(self) -> DuplicateSearch:
        """Return how completely the images were searched, as ``audit.json`` records it."""
        return DuplicateSearch(
            compared_pairs=self.pairs,
            most_per_image=MOST_PER_IMAGE,
            limited_images=self.limited_images,
            skipped_pairs=self.skipped_pairs,
        )


@dataclass(frozen=True)
class _Matches:
    """Transforms between pairs of images: ``pair`` is ``(a * images + b) * 2 + mirrored``."""

    pair: Integers
    score: NDArray[np.float32]
    transforms: NDArray[np.float32]

    def select(self, chosen: Flags | NDArray[np.intp]) -> _Matches:
        """Return some of the matches."""
        return _Matches(self.pair[chosen], self.score[chosen], self.transforms[chosen])


def find_candidates(
    images: DescriptorTable,
    folder: Path,
    *,
    most: int = MOST_PER_IMAGE,
    sides: Sides | None = None,
    progress: Progress = silent,
) -> Candidates:
    """Find the pairs of images that may be duplicates.

    Parameters
    ----------
    images
        The descriptors of the images.
    folder
        A folder for temporary files.
    most
        The most candidates of an image.
    sides
        Which dataset each image is in, where two are compared: see `Keypoints`.
    progress
        Opens progress bars.

    Raises
    ------
    CxrbuildError
        There are more images than can be numbered.
    """
    if len(images) > MOST_IMAGES:
        raise CxrbuildError(
            "too many images for a search for duplicates", expected=f"at most {MOST_IMAGES:,}",
            found=f"{len(images):,}", todo="Audit parts of the dataset as builds of their own",
        )  # fmt: skip
    if len(images) < 2:
        nothing = np.empty(0, np.int64)
        return Candidates(nothing, nothing, np.empty(0, bool), np.empty((0, 4), np.float32))
    frames, points = (Keypoints(images, slots, sides) for slots in (range(1), range(1, MOST_KEYPOINTS)))
    by_frame = _search(frames, fit_whitening(frames), _SPARE_BITS_FRAME, folder, least=1, progress=progress)
    whitening = fit_whitening(points)
    by_points = _search(points, whitening, _SPARE_BITS, folder, least=_COLLISIONS, progress=progress)
    checked = _limit(by_points, len(images), _VERIFIED_PER_IMAGE)
    verified = _verify(by_points.select(checked), points, whitening, progress)

    matches = _merge(by_frame, verified)
    kept = _limit(matches, len(images), most)
    skipped = np.unique(np.concatenate([matches.pair[~kept], by_points.pair[~checked]]) >> 1)
    limited = len(np.unique(np.concatenate(np.divmod(skipped, len(images)))))
    matches = matches.select(kept)
    matches = matches.select(np.argsort(matches.pair, kind="stable"))
    a, b = np.divmod(matches.pair >> 1, len(images))
    mirrored = (matches.pair & 1).astype(bool)
    return Candidates(a, b, mirrored, matches.transforms, limited, len(skipped))


def _search(
    keypoints: Keypoints,
    whitening: Whitening,
    spare_bits: int,
    folder: Path,
    *,
    least: int,
    progress: Progress,
) -> _Matches:
    """Return the transforms between images that at least so many similar collisions agree on."""
    found = [_Matches(np.empty(0, np.int64), np.empty(0, np.float32), np.empty((0, 4), np.float32))]
    with open_collisions(
        keypoints, whitening, spare_bits=spare_bits, least=least, folder=folder, progress=progress
    ) as batches:
        for batch in batches:
            similarity = _similarities(batch, keypoints, whitening)
            similar = similarity > _COLLIDING
            found.append(_agree(batch.select(similar), similarity[similar], keypoints, least))
    return _Matches(
        np.concatenate([matches.pair for matches in found]),
        np.concatenate([matches.score for matches in found]),
        np.concatenate([matches.transforms for matches in found]),
    )


def _similarities(collisions: Collisions, keypoints: Keypoints, whitening: Whitening) -> Floats:
    """Return the cosine similarity of the keypoints of each collision."""
    similarity = np.zeros(len(collisions.a), np.float32)
    for start in range(0, len(similarity), _KEYPOINTS_AT_ONCE):
        batch = slice(start, start + _KEYPOINTS_AT_ONCE)
        of_a = keypoints.read_coefficients(collisions.a[batch], collisions.slot_a[batch])
        of_b = keypoints.read_coefficients(collisions.b[batch], collisions.slot_b[batch])
        whitened = whitening.apply(of_a), whitening.apply(of_b, collisions.mirrored[batch])
        similarity[batch] = np.einsum("ij,ij->i", *whitened)
    return similarity


def _agree(collisions: Collisions, similarity: Floats, keypoints: Keypoints, least: int) -> _Matches:
    """Return for pairs of images the transforms that at least so many collisions agree on.

    The score is the sum of the similarities of these collisions.
    """
    here = keypoints.read_positions(collisions.a, collisions.slot_a)
    there = keypoints.read_positions(collisions.b, collisions.slot_b)
    there[collisions.mirrored, 0] = 1 - there[collisions.mirrored, 0]
    scale = there[:, 2:] / here[:, 2:]
    shift = there[:, :2] - scale * here[:, :2]
    centre = np.floor((shift + scale / 2) / _CENTRE_BIN).astype(np.int64)
    size = np.floor(np.log2(scale) / SIZE_BIN).astype(np.int64)
    plausible = (np.abs(centre) < 16).all(1) & (np.abs(size) < 8).all(1)
    pair = (collisions.a * len(keypoints.table) + collisions.b) << 1 | collisions.mirrored
    # The rank of a pair in this batch is a small number, however many images there are.
    key: Integers = np.cumsum(np.diff(pair, prepend=-1) > 0, dtype=np.int64)
    for column in (centre[:, 0], centre[:, 1]):
        key = (key << 5) | (column + 16)
    for column in (size[:, 0], size[:, 1]):
        key = (key << 4) | (column + 8)
    pair, here, there, scale = pair[plausible], here[plausible], there[plausible], scale[plausible]
    _, first, where, count = np.unique(
        key[plausible], return_index=True, return_inverse=True, return_counts=True
    )
    enough = count >= least

    def mean(column: Floats) -> Floats:
        means: Floats = np.bincount(where, column, len(count)) / count
        return means

    scales, shifts = [], []
    residual, spread = np.zeros(len(count)), np.zeros(len(count))
    for axis in (0, 1):
        x, y = here[:, axis], there[:, axis]
        dx, dy = x - mean(x)[where], y - mean(y)[where]
        # Patches have few sizes. Where keypoints are far from each other, their distances give the scale.
        fit = (mean(dx * dy) + _SIZE_WEIGHT * mean(scale[:, axis])) / (mean(dx * dx) + _SIZE_WEIGHT)
        scales.append(fit)
        shifts.append(mean(y) - fit * mean(x))
        residual += mean((dy - fit[where] * dx) ** 2)
        spread += mean(dx * dx)
    transforms = np.stack([*scales, *shifts], 1).astype(np.float32)
    score = np.bincount(where, similarity[plausible], len(count)).astype(np.float32)
    if least > 1:
        enough &= (residual < _RESIDUAL**2) & (spread > _SPREAD**2)
    return _Matches(pair[first], score, transforms).select(enough)


def _verify(matches: _Matches, keypoints: Keypoints, whitening: Whitening, progress: Progress) -> _Matches:
    """Return the transforms that map enough keypoints of one image to similar ones of the other."""
    a, b = np.divmod(matches.pair >> 1, len(keypoints.table))
    mirrored = (matches.pair & 1).astype(bool)
    agreeing = find_agreeing(
        keypoints, whitening, a, b, mirrored, matches.transforms, distance=_VERIFYING_DISTANCE
    )
    verified = []
    with progress("verifying candidates", len(a), "transform") as bar:
        for batch in agreeing:
            verified.append(batch.in_a.sum(1) >= _VERIFIED)
            bar.update(len(batch.in_a))
    return matches.select(np.concatenate([np.empty(0, bool), *verified]))


def _merge(by_frame: _Matches, by_points: _Matches) -> _Matches:
    """Return the best transforms of each pair; those of whole frames rank before those of keypoints."""
    frame_score = by_frame.score + by_points.score.max(initial=0) + 1
    matches = _Matches(
        np.concatenate([by_frame.pair, by_points.pair]),
        np.concatenate([frame_score, by_points.score]),
        np.concatenate([by_frame.transforms, by_points.transforms]),
    )
    matches = matches.select(np.lexsort((-matches.score, matches.pair)))
    pair = matches.pair
    again = np.concatenate([[False] * _TRANSFORMS, pair[_TRANSFORMS:] == pair[:-_TRANSFORMS]])[: len(pair)]
    return matches.select(~again)


def _limit(matches: _Matches, images: int, most: int) -> Flags:
    """Return which matches are of a pair that is among the ``most`` best of either image."""
    pairs, where = np.unique(matches.pair >> 1, return_inverse=True)
    score = np.full(len(pairs), -np.inf)
    np.maximum.at(score, where, matches.score)
    a, b = np.divmod(pairs, images)
    kept = np.zeros(len(pairs), bool)
    image, number = np.concatenate([a, b]), np.tile(np.arange(len(pairs)), 2)
    order = np.lexsort((number, -score[number], image))
    image, number = image[order], number[order]
    rank = np.arange(len(image)) - np.searchsorted(image, image)
    kept[number[rank < most]] = True
    chosen: Flags = kept[where]
    return chosen
