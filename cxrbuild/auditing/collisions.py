"""Find keypoints of different images with equal hash codes: locality-sensitive hashing in bounded memory.

The whitened DCT coefficients of patches are projected on random planes: the signs are the bits of a hash
code. In each of several hash tables, keypoints with equal codes share a bucket, and collide. The number of
bits grows with the logarithm of the number of keypoints, so that the number of random collisions is
proportional to the number of images.

Codes are in temporary files. One table at a time is in memory, sorted, with 16 bytes for each keypoint. A
sketch of 64 more bits of each keypoint removes collisions that are hardly similar, without reading their
coefficients. Collisions are written to temporary files too, one for each range of images, from which they are
read in batches.
"""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cxrbuild.auditing.descriptors import COEFFICIENTS, MIRROR
from cxrbuild.auditing.keypoints import Flags, Integers, Keypoints, Sides, Whitening
from cxrbuild.files import naming
from cxrbuild.progress import Bar, Progress, silent

Words = NDArray[np.uint64]

_SEED = 20200609
_TABLES = 12
_MIN_BITS, _WORD_BITS = 6, 32
# In a larger bucket, of many equal images or of black corners, each keypoint collides with the next few only.
_LARGEST_BUCKET, _WINDOW = 50, 10
# Sketches have two words, one of the mirrored patch: mirroring exchanges them. Keypoints with a cosine
# similarity of 0.8 differ in 13 bits on average, with a standard deviation of 3.2.
_SKETCH_DIFFERENCE = 18
_IMAGES_AT_ONCE, _CODES_AT_ONCE, _PAIRS_AT_ONCE, _COLLISIONS_AT_ONCE = 256, 1 << 19, 1 << 20, 1 << 22
_MIN_IMAGES_PER_FILE, _MOST_FILES = 1 << 14, 256
# A word of a sorted hash table has the code and the number of a keypoint.
_CODE_SHIFT, _NUMBER = np.uint64(_WORD_BITS), np.uint64((1 << _WORD_BITS) - 1)
# A collision is one number: the images, whether one is mirrored, the keypoints.
_IMAGE_BITS, _SLOT_BITS = 25, 6
_SLOTS = (1 << _SLOT_BITS) - 1
_PAIR_SHIFT = _IMAGE_BITS + 1 + 2 * _SLOT_BITS
# The prefix of the folder of temporary files.
_TEMPORARY = "collisions-"
MOST_IMAGES = 1 << _IMAGE_BITS
"""The most images that can be compared."""


@dataclass(frozen=True)
class Collisions:
    """Pairs of keypoints of different images that collide, sorted by pair of images.

    Attributes
    ----------
    a, b
        The numbers of the images, ``a < b``.
    mirrored
        Whether one of them is mirrored first.
    slot_a, slot_b
        The numbers of the keypoints.
    """

    a: Integers
    b: Integers
    mirrored: Flags
    slot_a: Integers
    slot_b: Integers

    def select(self, chosen: Flags) -> Collisions:
        """Return some of the collisions."""
        return Collisions(
            self.a[chosen], self.b[chosen], self.mirrored[chosen], self.slot_a[chosen], self.slot_b[chosen]
        )


@contextmanager
def open_collisions(
    keypoints: Keypoints,
    whitening: Whitening,
    *,
    spare_bits: int,
    least: int,
    folder: Path,
    progress: Progress = silent,
) -> Iterator[Iterator[Collisions]]:
    """Find the collisions of keypoints, and give them in batches, each with all collisions of some images.

    Most images collide by chance, in a keypoint or two.

    Parameters
    ----------
    keypoints
        The keypoints of at most ``MOST_IMAGES`` images.
    whitening
        The whitening of their coefficients.
    spare_bits
        Bits of the hash codes in addition to the logarithm of the number of keypoints: with fewer, more pairs
        collide, and more by chance.
    least
        The number of collisions that a pair of images needs.
    folder
        The folder for temporary files; no other process uses it.
    progress
        Opens progress bars.
    """
    images = len(keypoints.table)
    per_file = max(_MIN_IMAGES_PER_FILE, -(-images // _MOST_FILES))
    for left in folder.glob(f"{_TEMPORARY}*"):  # by a killed run
        shutil.rmtree(left)
    with (
        naming(folder),
        tempfile.TemporaryDirectory(prefix=_TEMPORARY, dir=folder, ignore_cleanup_errors=True) as temporary,
    ):
        paths = [Path(temporary) / str(n) for n in range(-(-images // per_file))]
        ends = (np.arange(len(paths)) + 1) * per_file << _PAIR_SHIFT
        with ExitStack() as stack:
            files = [stack.enter_context(path.open("wb")) for path in paths]
            bar = stack.enter_context(progress("comparing hash codes", _TABLES, "table"))
            for numbers in _find_collisions(keypoints, whitening, spare_bits, Path(temporary), bar):
                numbers.sort()
                parts = np.split(numbers, np.searchsorted(numbers, ends[:-1]))
                for file, part in zip(files, parts, strict=True):
                    file.write(part.tobytes())
        with progress("comparing keypoints", len(paths), "file") as bar:
            yield _read_all(paths, least, bar)


def _read_all(paths: list[Path], least: int, bar: Bar) -> Iterator[Collisions]:
    for path in paths:
        yield from _read(path, least)
        bar.update()


def _read(path: Path, least: int) -> Iterator[Collisions]:
    """Yield the collisions of a temporary file in batches, without pairs of images with fewer."""
    size = path.stat().st_size // 8
    if not size:
        return
    numbers = np.memmap(path, np.int64, "r").view(np.ndarray)
    parts = -(-size // _COLLISIONS_AT_ONCE)
    first, last = int(numbers.min()) >> _PAIR_SHIFT, int(numbers.max()) >> _PAIR_SHIFT
    for part in range(parts):
        low, high = (first + (last + 1 - first) * n // parts << _PAIR_SHIFT for n in (part, part + 1))
        chosen = [batch[(batch >= low) & (batch < high)] for batch in np.array_split(numbers, parts)]
        collisions = np.sort(np.concatenate(chosen))
        # `numpy.unique` would take ten times as long.
        collisions = collisions[np.diff(collisions, prepend=-1) > 0]
        starts = np.flatnonzero(np.diff(collisions >> 2 * _SLOT_BITS, prepend=-1))
        counts = np.diff(starts, append=len(collisions))
        yield _decode(collisions[np.repeat(counts >= least, counts)])


def _encode(a: Integers, b: Integers, *, mirrored: bool) -> Integers:
    """Return one number for each pair of keypoints."""
    # The inverse of mirroring is mirroring: it is the same pair whichever of the two is mirrored.
    earlier, later = np.minimum(a, b), np.maximum(a, b)
    images = (earlier >> _SLOT_BITS) << _IMAGE_BITS | later >> _SLOT_BITS
    slots = (earlier & _SLOTS) << _SLOT_BITS | later & _SLOTS
    numbers: Integers = (images << 1 | mirrored) << 2 * _SLOT_BITS | slots
    return numbers


def _decode(numbers: Integers) -> Collisions:
    pairs = numbers >> 2 * _SLOT_BITS
    return Collisions(
        pairs >> 1 + _IMAGE_BITS, pairs >> 1 & MOST_IMAGES - 1, (pairs & 1).astype(bool),
        numbers >> _SLOT_BITS & _SLOTS, numbers & _SLOTS,
    )  # fmt: skip


def _find_collisions(
    keypoints: Keypoints, whitening: Whitening, spare_bits: int, folder: Path, bar: Bar
) -> Iterator[Integers]:
    """Yield the collisions of similar keypoints of different images, encoded; some more than once."""
    numbers, sketches, tables = _hash(keypoints, whitening, spare_bits, folder)
    for table in tables:
        plain, mirrored = _read_sorted(table, numbers)
        start = begun = 0
        while start < len(plain):
            # Up to the end of a bucket.
            last = plain[min(start + _CODES_AT_ONCE, len(plain)) - 1] | _NUMBER
            stop, end = (int(np.searchsorted(words, last, "right")) for words in (plain, mirrored))
            buckets = plain[start:stop]
            for a, b in _pair_within(buckets):
                near = _are_near(a, b, sketches[a], sketches[b], keypoints.sides)
                yield _encode(a[near], b[near], mirrored=False)
            for a, b in _pair_between(mirrored[begun:end], buckets):
                sketch = sketches[a]
                exchanged = sketch << _CODE_SHIFT | sketch >> _CODE_SHIFT
                near = _are_near(a, b, exchanged, sketches[b], keypoints.sides)
                yield _encode(a[near], b[near], mirrored=True)
            start, begun = stop, end
        bar.update()


def _read_sorted(table: Path, numbers: NDArray[np.uint32]) -> tuple[Words, Words]:
    """Return the sorted words of a hash table, those of the keypoints and those of their mirrored patches.

    The file is read in parts: whole columns of intermediate values take more memory than the words.
    """
    plain, mirrored = (np.empty(len(numbers), np.uint64) for _ in range(2))
    with table.open("rb") as stream:
        for start in range(0, len(numbers), _CODES_AT_ONCE):
            codes = np.fromfile(stream, np.uint32, 2 * _CODES_AT_ONCE).reshape(-1, 2).astype(np.uint64)
            part = slice(start, start + len(codes))
            for side, words in enumerate((plain, mirrored)):
                words[part] = codes[:, side] << _CODE_SHIFT | numbers[part]
    plain.sort()
    mirrored.sort()
    return plain, mirrored


def _hash(
    keypoints: Keypoints, whitening: Whitening, spare_bits: int, folder: Path
) -> tuple[NDArray[np.uint32], Words, list[Path]]:
    """Compute the sketches and the hash codes of all keypoints.

    Returns
    -------
    numpy.ndarray
        The number of each keypoint: that of its image and that within its image.
    numpy.ndarray
        The sketches, by number.
    list of pathlib.Path
        A file for each hash table, with the codes of each keypoint and of its mirrored patch.
    """
    images = len(keypoints.table)
    bits = math.ceil(math.log2(images * len(keypoints.slots))) + spare_bits
    bits = min(_WORD_BITS, max(_MIN_BITS, bits))
    random = np.random.default_rng(_SEED)
    # The first two words are the sketch, each two others the codes of a table. Unused bits are zero.
    words_of_planes = np.zeros((COEFFICIENTS, 1 + _TABLES, 2, _WORD_BITS), np.float32)
    for n, used in enumerate([_WORD_BITS] + [bits] * _TABLES):
        drawn = whitening.axes @ random.standard_normal((COEFFICIENTS, used)).astype(np.float32)
        words_of_planes[:, n, :, :used] = np.stack([drawn, drawn * MIRROR[:, None]], axis=1)
    planes = words_of_planes.reshape(COEFFICIENTS, -1)
    # The mean does not change where it is mirrored.
    offset = whitening.mean @ planes
    numbers, sketches = [], np.zeros(images << _SLOT_BITS, np.uint64)
    tables = [folder / f"table-{n}" for n in range(_TABLES)]
    with ExitStack() as stack:
        files = [stack.enter_context(path.open("wb")) for path in tables]
        for start in range(0, images, _IMAGES_AT_ONCE):
            positions, coefficients = keypoints.read(slice(start, start + _IMAGES_AT_ONCE))
            image, slot = np.nonzero(positions[..., 2] > 0)
            signs = coefficients[image, slot] @ planes > offset
            words = np.packbits(signs, axis=1).view(">u4").astype(np.uint32)
            number = (image + start << _SLOT_BITS | slot).astype(np.uint32)
            numbers.append(number)
            sketches[number] = words[:, 0].astype(np.uint64) << _CODE_SHIFT | words[:, 1]
            for n, file in enumerate(files):
                file.write(words[:, 2 * n + 2 : 2 * n + 4].tobytes())
    return np.concatenate(numbers), sketches, tables


def _pair_within(buckets: Words) -> Iterator[tuple[Integers, Integers]]:
    """Yield the pairs of keypoints that share a bucket."""
    starts, sizes = _find_buckets(buckets)
    bucket = np.repeat(np.arange(len(starts)), sizes)
    low = np.arange(len(buckets)) + 1
    count = (starts + sizes)[bucket] - low
    count = np.where(sizes[bucket] > _LARGEST_BUCKET, np.minimum(count, _WINDOW), count)
    return _expand(buckets, low, count, buckets)


def _pair_between(query: Words, buckets: Words) -> Iterator[tuple[Integers, Integers]]:
    """Yield each keypoint of ``query`` with those of its bucket."""
    starts, sizes = _find_buckets(buckets)
    codes = buckets[starts] >> _CODE_SHIFT
    bucket = np.minimum(np.searchsorted(codes, query >> _CODE_SHIFT), len(codes) - 1)
    exists = codes[bucket] == query >> _CODE_SHIFT
    query, bucket = query[exists], bucket[exists]
    size = sizes[bucket]
    count = np.where(size > _LARGEST_BUCKET, _WINDOW, size)
    # In a larger bucket each keypoint begins at its own rank, so that all keypoints of an image collide with
    # those of the same images.
    rank = np.arange(len(bucket)) - np.searchsorted(bucket, bucket)
    return _expand(query, starts[bucket] + np.minimum(rank, size - count), count, buckets)


def _find_buckets(sorted_codes: Words) -> tuple[Integers, Integers]:
    """Return where each bucket begins, and its size."""
    codes = sorted_codes >> _CODE_SHIFT
    starts = np.flatnonzero(np.concatenate([[True], codes[1:] != codes[:-1]]))
    return starts, np.diff(starts, append=len(codes))


def _expand(
    query: Words, low: Integers, count: Integers, buckets: Words
) -> Iterator[tuple[Integers, Integers]]:
    """Yield each keypoint of ``query`` with ``count`` of ``buckets`` from ``low`` on, in batches."""
    total = np.cumsum(count)
    pairs = int(total[-1]) if len(total) else 0
    limits = np.searchsorted(total, np.arange(0, pairs, _PAIRS_AT_ONCE), "right").tolist()
    for start, stop in pairwise([*limits, len(query)]):
        some = count[start:stop]
        a = np.repeat(query[start:stop] & _NUMBER, some).astype(np.int64)
        position = np.arange(len(a)) + np.repeat(low[start:stop] - np.cumsum(some) + some, some)
        yield a, (buckets[position] & _NUMBER).astype(np.int64)


def _are_near(a: Integers, b: Integers, sketch_a: Words, sketch_b: Words, sides: Sides | None) -> Flags:
    """Return which keypoints are of images to compare and have sketches that differ little."""
    near: Flags = np.bitwise_count(sketch_a ^ sketch_b) <= _SKETCH_DIFFERENCE
    image_a, image_b = a >> _SLOT_BITS, b >> _SLOT_BITS
    near &= image_a != image_b
    if sides is not None:
        side_a, side_b = sides[image_a], sides[image_b]
        # One of the first dataset with one of the second, in either order.
        near &= ((side_a & 1) & (side_b >> 1) | (side_a >> 1) & (side_b & 1)).astype(bool)
    return near
