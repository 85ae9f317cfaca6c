"""Find candidate pairs of images by locality-sensitive hashing, without comparing all pairs.

The DCT coefficients of all patches are whitened, so that what all chests have in common has little weight,
and projected on random planes: the signs are the bits of a hash code. In each of several hash tables,
keypoints with equal codes share a bucket, and collide. Two images are candidates where their whole frames
collide, or where three keypoints of each collide at positions that one transform maps to each other. The
number of bits grows with the logarithm of the number of keypoints, so that the number of random collisions is
proportional to the number of images. Each image keeps its best candidates up to a limit, so that the number
of registrations is too, even where all images resemble each other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxrbuild.auditing.descriptors import COEFFICIENTS, MIRROR, Floats

Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]

MOST_PER_IMAGE = 20
"""The most candidates of an image, by rank. A pair remains that is among the best of either image."""

_SEED = 20200609
_WHITENING_SAMPLE = 40_000
_TABLES = 12
# Bits in addition to the logarithm of the number of keypoints: with fewer, more pairs collide, and more by
# chance.
_SPARE_BITS_FRAME, _SPARE_BITS = 6, 4
_MIN_BITS = 6
# A larger bucket is ignored: its code is that of black corners or of a viewer's frame.
_LARGEST_BUCKET = 50
# The cosine similarity that is needed of keypoints that collide, and of those that verify a transform.
_COLLIDING, _VERIFYING = 0.8, 0.87
# The number of collisions that must agree on a transform, and of keypoints that must verify it.
_COLLISIONS, _VERIFIED = 3, 5
# Transforms agree if the centre differs by less than this share of the frame, and the size by this log 2.
_CENTRE_BIN, _SIZE_BIN = 0.12, 0.4
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
# So many pairs of keypoints are compared at once that their coefficients fit into the processor's cache.
_BATCH = 4096


@dataclass(frozen=True)
class Candidates:
    """Pairs of images that may be duplicates, and the transform between them.

    Attributes
    ----------
    a, b
        The images' numbers, ``a < b``. A pair occurs up to two times, with different transforms.
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


@dataclass(frozen=True)
class _Keypoints:
    """Keypoints of all images: ``image`` is the number of each one's image, ascending."""

    image: Integers
    positions: Floats
    plain: Floats
    mirrored: Floats


@dataclass(frozen=True)
class _Matches:
    """Transforms between pairs of images: ``pair`` is ``(a * images + b) * 2 + mirrored``."""

    pair: Integers
    score: NDArray[np.float64]
    transforms: Floats

    def select(self, chosen: Flags | NDArray[np.intp]) -> _Matches:
        """Return some of the matches."""
        return _Matches(self.pair[chosen], self.score[chosen], self.transforms[chosen])


def find_candidates(images: Sequence[tuple[Floats, Floats]], *, most: int = MOST_PER_IMAGE) -> Candidates:
    """Find the pairs of images that may be duplicates.

    Parameters
    ----------
    images
        For each image its keypoints and their DCT coefficients, see `descriptors.ImageDescriptors`.
    most
        The most candidates of an image.
    """
    if len(images) < 2:
        nothing = np.empty(0, np.int64)
        return Candidates(nothing, nothing, np.empty(0, bool), np.empty((0, 4), np.float32))
    positions = np.concatenate([keypoints for keypoints, _ in images])
    coefficients = np.concatenate([coefficients for _, coefficients in images])
    image = np.repeat(np.arange(len(images)), [len(keypoints) for keypoints, _ in images])
    is_frame = np.concatenate([[True], image[1:] != image[:-1]])
    frames = _Keypoints(image[is_frame], positions[is_frame], *_whiten(coefficients[is_frame]))
    points = _Keypoints(image[~is_frame], positions[~is_frame], *_whiten(coefficients[~is_frame]))

    a, b, mirrored = _find_collisions(frames, _SPARE_BITS_FRAME)
    by_frame = _agree(frames, a, b, mirrored, len(images), least=1)
    # Every pair of frames has one collision: they are ranked by their similarity.
    similarity = _cosine_similarity(frames, by_frame.pair, len(images))
    by_frame = _Matches(by_frame.pair, similarity, by_frame.transforms)

    a, b, mirrored = _find_collisions(points, _SPARE_BITS)
    by_points = _agree(points, a, b, mirrored, len(images), least=_COLLISIONS)
    checked = _limit(by_points, len(images), _VERIFIED_PER_IMAGE)
    verified = _verify(by_points.select(checked), points, len(images))

    matches = _merge(by_frame, verified)
    kept = _limit(matches, len(images), most)
    limited = _images_of(matches.pair[~kept], len(images)) | _images_of(by_points.pair[~checked], len(images))
    skipped = len(np.unique(np.concatenate([matches.pair[~kept], by_points.pair[~checked]]) >> 1))
    matches = matches.select(kept)
    matches = matches.select(np.argsort(matches.pair, kind="stable"))
    pair = matches.pair
    return Candidates(
        (pair >> 1) // len(images), (pair >> 1) % len(images), (pair & 1).astype(bool), matches.transforms,
        len(limited), skipped,
    )  # fmt: skip


def _images_of(pairs: Integers, images: int) -> set[int]:
    return {int(image) for image in np.unique(np.concatenate(np.divmod(pairs >> 1, images)))}


def _whiten(coefficients: Floats) -> tuple[Floats, Floats]:
    """Return coefficients whitened and of length 1, of the patches and of the mirrored patches."""
    if not len(coefficients):
        return coefficients, coefficients
    sample = coefficients[:: -(-len(coefficients) // _WHITENING_SAMPLE)]
    sample = np.concatenate([sample, sample * MIRROR])
    mean = sample.mean(0)
    variances, axes = np.linalg.eigh(np.cov((sample - mean).T))
    # Part of the mean variance is added to each axis, so that no axis is only noise.
    axes = (axes / np.sqrt(np.maximum(variances, 0) + 0.1 * variances.mean() + 1e-9)).astype(np.float32)
    plain, mirrored = (coefficients - mean) @ axes, (coefficients * MIRROR - mean) @ axes
    for whitened in (plain, mirrored):
        whitened /= np.maximum(np.linalg.norm(whitened, axis=1, keepdims=True), 1e-6)
    return plain, mirrored


def _find_collisions(keypoints: _Keypoints, spare_bits: int) -> tuple[Integers, Integers, Flags]:
    """Return pairs of keypoints of different images that share a bucket and are similar, and if mirrored."""
    n = len(keypoints.image)
    if n < 2:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, bool)
    bits = max(_MIN_BITS, math.ceil(math.log2(n)) + spare_bits)
    random = np.random.default_rng(_SEED)
    found = []
    for _ in range(_TABLES):
        planes = random.standard_normal((COEFFICIENTS, bits)).astype(np.float32)
        codes, order = _hash(keypoints.plain, planes)
        low, high = (np.searchsorted(codes, codes, side) for side in ("left", "right"))
        count = np.where(high - low > _LARGEST_BUCKET, 0, high - np.arange(n) - 1)
        pairs = _expand(np.arange(n) + 1, count, order, order)
        found.append(_similar_pairs(keypoints, *pairs, keypoints.plain) << 1)
        mirrored_codes, mirrored_order = _hash(keypoints.mirrored, planes)
        low, high = (np.searchsorted(codes, mirrored_codes, side) for side in ("left", "right"))
        count = np.where(high - low > _LARGEST_BUCKET, 0, high - low)
        pairs = _expand(low, count, mirrored_order, order)
        found.append(_similar_pairs(keypoints, *pairs, keypoints.mirrored) << 1 | 1)
    keys = np.unique(np.concatenate(found))
    return (keys >> 1) // n, (keys >> 1) % n, (keys & 1).astype(bool)


def _hash(coefficients: Floats, planes: Floats) -> tuple[Integers, Integers]:
    """Return the hash codes, one bit for each plane, in ascending order; and the keypoints in that order."""
    codes = np.zeros(len(coefficients), np.int64)
    for column in np.packbits(coefficients @ planes > 0, axis=1).T:
        codes = codes << 8 | column
    order = np.argsort(codes, kind="stable")
    return codes[order], order


def _expand(low: Integers, count: Integers, query: Integers, bucketed: Integers) -> tuple[Integers, Integers]:
    """Return each keypoint of ``query`` with each of ``count`` of ``bucketed`` from ``low`` on."""
    a = np.repeat(query, count)
    return a, bucketed[np.arange(len(a)) + np.repeat(low - np.cumsum(count) + count, count)]


def _similar_pairs(keypoints: _Keypoints, a: Integers, b: Integers, of_a: Floats) -> Integers:
    """Return the pairs of similar keypoints of different images, as ``earlier * n + later``."""
    different = keypoints.image[a] != keypoints.image[b]
    a, b = a[different], b[different]
    similar = np.zeros(len(a), bool)
    for start in range(0, len(a), _BATCH):
        batch = slice(start, start + _BATCH)
        similar[batch] = np.einsum("ij,ij->i", of_a[a[batch]], keypoints.plain[b[batch]]) > _COLLIDING
    a, b = a[similar], b[similar]
    # The inverse of mirroring is mirroring: it is the same pair whichever of the two is mirrored.
    keys: Integers = np.minimum(a, b) * len(keypoints.image) + np.maximum(a, b)
    return keys


def _agree(
    keypoints: _Keypoints, a: Integers, b: Integers, mirrored: Flags, images: int, *, least: int
) -> _Matches:
    """Return for pairs of images the transforms that at least so many collisions agree on.

    The score is the number of these collisions.
    """
    pair = ((keypoints.image[a] * images + keypoints.image[b]) << 1) | mirrored
    if least > 1:
        # Most images collide by chance, in a keypoint or two.
        _, where, count = np.unique(pair, return_inverse=True, return_counts=True)
        often = (count >= least)[where]
        a, b, mirrored, pair = a[often], b[often], mirrored[often], pair[often]
    there = keypoints.positions[b].copy()
    there[mirrored, 0] = 1 - there[mirrored, 0]
    here = keypoints.positions[a]
    scale = there[:, 2:] / here[:, 2:]
    shift = there[:, :2] - scale * here[:, :2]
    centre = np.floor((shift + scale / 2) / _CENTRE_BIN).astype(np.int64)
    size = np.floor(np.log2(scale) / _SIZE_BIN).astype(np.int64)
    plausible = (np.abs(centre) < 16).all(1) & (np.abs(size) < 8).all(1)
    key = pair
    for column in (centre[:, 0], centre[:, 1]):
        key = (key << 5) | (column + 16)
    for column in (size[:, 0], size[:, 1]):
        key = (key << 4) | (column + 8)
    _, where, count = np.unique(key[plausible], return_inverse=True, return_counts=True)
    pairs = np.zeros(len(count), np.int64)
    pairs[where] = pair[plausible]
    enough = count >= least

    def mean(column: Floats) -> Floats:
        means: Floats = np.bincount(where, column, len(count)) / count
        return means

    scales, shifts = [], []
    residual, spread = np.zeros(len(count)), np.zeros(len(count))
    for axis in (0, 1):
        x, y = here[plausible, axis], there[plausible, axis]
        dx, dy = x - mean(x)[where], y - mean(y)[where]
        # Patches have few sizes. Where keypoints are far from each other, their distances give the scale.
        fit = (mean(dx * dy) + _SIZE_WEIGHT * mean(scale[plausible, axis])) / (mean(dx * dx) + _SIZE_WEIGHT)
        scales.append(fit)
        shifts.append(mean(y) - fit * mean(x))
        residual += mean((dy - fit[where] * dx) ** 2)
        spread += mean(dx * dx)
    transforms = np.stack([*scales, *shifts], 1).astype(np.float32)
    if least > 1:
        enough &= (residual < _RESIDUAL**2) & (spread > _SPREAD**2)
    return _Matches(pairs, count.astype(np.float64), transforms).select(enough)


def _cosine_similarity(keypoints: _Keypoints, pair: Integers, images: int) -> NDArray[np.float64]:
    """Return the similarity of the frames of pairs; ``keypoints`` has one frame for each image."""
    a, b = np.divmod(pair >> 1, images)
    side = np.where((pair & 1).astype(bool)[:, None], keypoints.mirrored[b], keypoints.plain[b])
    similarity: NDArray[np.float64] = np.einsum("ij,ij->i", keypoints.plain[a], side).astype(np.float64)
    return similarity


def _verify(matches: _Matches, keypoints: _Keypoints, images: int) -> _Matches:
    """Return the transforms that map enough keypoints of one image to similar ones of the other."""
    start = np.searchsorted(keypoints.image, np.arange(images + 1))
    verified = np.zeros(len(matches.pair), bool)
    for i, pair in enumerate(matches.pair.tolist()):
        a, b = divmod(pair >> 1, images)
        of_a, of_b = slice(start[a], start[a + 1]), slice(start[b], start[b + 1])
        x, y, half = (keypoints.positions[of_b, column] for column in (0, 1, 2))
        if pair & 1:
            x = 1 - x
        scale_x, scale_y, shift_x, shift_y = matches.transforms[i]
        here = keypoints.positions[of_a, :, None]
        size = np.abs(np.log2(here[:, 2] * scale_x / half))
        hit = (np.abs(here[:, 0] * scale_x + shift_x - x) < _VERIFYING_DISTANCE) & (size < _SIZE_BIN)
        hit &= np.abs(here[:, 1] * scale_y + shift_y - y) < _VERIFYING_DISTANCE
        hit &= (
            keypoints.plain[of_a] @ (keypoints.mirrored if pair & 1 else keypoints.plain)[of_b].T > _VERIFYING
        )
        verified[i] = hit.any(1).sum() >= _VERIFIED
    return matches.select(verified)


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
