"""Which films may show the same: those whose windows have equal codes, found without comparing all pairs.

The windows' cosines are whitened, so that what all chests have in common counts for little, and cut by random
planes into bits. Windows whose bits are equal in one of several tables meet. Films are candidates where their
whole frames meet, or where three windows of each meet at places that fit together. The number of bits grows
with the logarithm of the number of windows, so that meetings by chance stay in proportion to the films.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxrbuild.auditing.descriptors import MIRROR, WIDTH, Floats

Numbers = NDArray[np.int64]

_SEED = 20200609
_SAMPLE = 40_000
_TABLES, _LEAST = 12, 3
# Bits beyond the logarithm of the number of windows: fewer find more, and more by chance.
_SPARE_WHOLE, _SPARE = 6, 4
# How many places of a pair are looked at.
_PLACES = 2
_TRUST = 0.004
# Root mean square, in shares of the frame: how far windows are off their place, how far they lie apart.
_ERROR, _SPREAD = 0.03, 0.08
# The least cosine between whitened windows that meet, and between those that must then be found in place.
_ALIKE, _VERY_ALIKE = 0.8, 0.87
_NEAR, _IN_PLACE = 0.05, 5
# A code that more windows have than this tells nothing: black corners, a viewer's frame.
_CROWD = 50
# So many pairs of windows are compared at once, that their cosines fit into the processor's cache.
_PIECE = 4096
# Places fit together in steps of this much of the frame, and of this factor of its size (log 2).
_STEP, _FACTOR = 0.12, 0.4


@dataclass(frozen=True)
class Candidates:
    """Pairs of films that may show the same, and where one lies in the other.

    Attributes
    ----------
    a, b
        The films' numbers, ``a < b``.
    mirrored
        Whether ``b`` must be mirrored first.
    place
        What takes shares of a's frame to shares of b's: ``(n, 4)``: scale of x and y, shift of x and y.
    """

    a: Numbers
    b: Numbers
    mirrored: NDArray[np.bool_]
    place: Floats


def find_candidates(films: Sequence[tuple[Floats, Floats]]) -> Candidates:
    """Find the pairs of films that may show the same.

    Parameters
    ----------
    films
        For each film its windows and their cosines, as ``patches.describe`` gives them.
    """
    if len(films) < 2:
        return Candidates(*(np.empty(0, np.int64),) * 2, np.empty(0, bool), np.empty((0, 4), np.float32))
    windows = np.concatenate([windows for windows, _ in films])
    cosines = np.concatenate([cosines for _, cosines in films])
    film = np.repeat(np.arange(len(films)), [len(windows) for windows, _ in films])
    first = np.concatenate([[True], film[1:] != film[:-1]])
    found = []
    for chosen, least, spare in ((first, 1, _SPARE_WHOLE), (~first, _LEAST, _SPARE)):
        index = np.flatnonzero(chosen)
        plain, mirrored = _whitened(cosines[index])
        a, b, is_mirrored = _meetings(plain, mirrored, film[index], spare)
        agreed = _agreed(film, windows, index[a], index[b], is_mirrored, least)
        if least > 1:
            agreed = _in_place(agreed, windows[index], plain, mirrored, film[index], len(films))
        found.append(agreed)
    return _best(found, len(films))


def _meetings(
    plain: Floats, mirrored: Floats, film: Numbers, spare: int
) -> tuple[Numbers, Numbers, NDArray[np.bool_]]:
    """Return the pairs of windows of different films that have an equal code, the earlier film's first."""
    n = len(plain)
    if n < 2:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, bool)
    bits = max(6, math.ceil(math.log2(n)) + spare)
    random = np.random.default_rng(_SEED)
    met = []
    for _ in range(_TABLES):
        planes = random.standard_normal((WIDTH, bits)).astype(np.float32)
        code, order = _sorted_codes(plain, planes)
        low, high = (np.searchsorted(code, code, side) for side in ("left", "right"))
        count = np.where(high - low > _CROWD, 0, high - np.arange(n) - 1)
        met.append(_alike(np.arange(n) + 1, count, order, order, plain, plain, film) << 1)
        code_there, there = _sorted_codes(mirrored, planes)
        low, high = (np.searchsorted(code, code_there, side) for side in ("left", "right"))
        count = np.where(high - low > _CROWD, 0, high - low)
        met.append(_alike(low, count, there, order, mirrored, plain, film) << 1 | 1)
    keys = np.sort(np.concatenate(met))
    keys = keys[np.concatenate([[True], keys[1:] != keys[:-1]])] if len(keys) else keys
    return (keys >> 1) // n, (keys >> 1) % n, (keys & 1).astype(bool)


def _sorted_codes(sides: Floats, planes: Floats) -> tuple[Numbers, Numbers]:
    """Return on which side of each plane each window lies, a bit for each plane, sorted; and the order."""
    code = np.zeros(len(sides), np.int64)
    for column in np.packbits(sides @ planes > 0, axis=1).T:
        code = code << 8 | column
    order = np.argsort(code, kind="stable")
    return code[order], order


def _alike(
    low: Numbers, count: Numbers, asked: Numbers, there: Numbers, of_a: Floats, of_b: Floats, film: Numbers
) -> Numbers:
    """Return the pairs of windows that meet and are alike, as ``earlier * n + later``.

    Parameters
    ----------
    low, count
        The first of the windows ``there`` that each of ``asked`` meets, and how many from there on.
    asked, there
        Windows.
    of_a, of_b
        The cosines of all windows, of those asked and of those they meet.
    film
        The films of all windows: those of one film do not meet.
    """
    a = np.repeat(asked, count)
    b = there[np.arange(len(a)) + np.repeat(low - np.cumsum(count) + count, count)]
    apart = film[a] != film[b]
    a, b = a[apart], b[apart]
    alike = np.zeros(len(a), bool)
    for start in range(0, len(a), _PIECE):
        piece = slice(start, start + _PIECE)
        alike[piece] = np.einsum("ij,ij->i", of_a[a[piece]], of_b[b[piece]]) > _ALIKE
    a, b = a[alike], b[alike]
    # Mirroring is its own inverse: which of the two is mirrored does not matter.
    keys: Numbers = np.minimum(a, b) * len(film) + np.maximum(a, b)
    return keys


def _whitened(cosines: Floats) -> tuple[Floats, Floats]:
    """Return the windows' cosines whitened and of length 1, as they are and mirrored."""
    sample = cosines[:: -(-len(cosines) // _SAMPLE)]
    sample = np.concatenate([sample, sample * MIRROR])
    mean = sample.mean(0)
    weight, axes = np.linalg.eigh(np.cov((sample - mean).T))
    # A little of the mean weight beside each axis' own, so that no axis is all noise.
    axes = (axes / np.sqrt(np.maximum(weight, 0) + 0.1 * weight.mean() + 1e-9)).astype(np.float32)
    plain, mirrored = (cosines - mean) @ axes, (cosines * MIRROR - mean) @ axes
    for side in (plain, mirrored):
        side /= np.maximum(np.linalg.norm(side, axis=1, keepdims=True), 1e-6)
    return plain, mirrored


def _agreed(
    film: Numbers, windows: Floats, a: Numbers, b: Numbers, mirrored: NDArray[np.bool_], least: int
) -> tuple[Numbers, Numbers, Floats]:
    """Return for pairs of films the places that at least so many windows agree on, and how many do."""
    pair = ((film[a] * (film[-1] + 1) + film[b]) << 1) | mirrored
    if least > 1:  # most films meet by chance, in a window or two: they need no further look
        _, where, count = np.unique(pair, return_inverse=True, return_counts=True)
        often = (count >= least)[where]
        a, b, mirrored, pair = a[often], b[often], mirrored[often], pair[often]
    there = windows[b].copy()
    there[mirrored, 0] = 1 - there[mirrored, 0]
    scale = there[:, 2:] / windows[a][:, 2:]
    shift = there[:, :2] - scale * windows[a][:, :2]
    # Where a's middle lies in b, and how large a is there.
    middle = np.floor((shift + scale / 2) / _STEP).astype(np.int64)
    size = np.floor(np.log2(scale) / _FACTOR).astype(np.int64)
    sane = (np.abs(middle) < 16).all(1) & (np.abs(size) < 8).all(1)
    key = pair
    for column in (middle[:, 0], middle[:, 1]):
        key = (key << 5) | (column + 16)
    for column in (size[:, 0], size[:, 1]):
        key = (key << 4) | (column + 8)
    key = key[sane]
    _, where, count = np.unique(key, return_inverse=True, return_counts=True)
    pairs = np.zeros(len(count), np.int64)
    pairs[where] = pair[sane]
    enough = count >= least

    def mean(column: Floats) -> Floats:
        return np.bincount(where, column, len(count)) / count

    fitted = []
    error, spread = np.zeros(len(count)), np.zeros(len(count))
    for axis in (0, 1):
        x, y = windows[a][sane, axis], there[sane, axis]
        dx, dy = x - mean(x)[where], y - mean(y)[where]
        # Windows come in few sizes; how far apart they lie tells the scale better, if they do lie apart.
        fit = (mean(dx * dy) + _TRUST * mean(scale[sane, axis])) / (mean(dx * dx) + _TRUST)
        fitted.append((fit, mean(y) - fit * mean(x)))
        error += mean((dy - fit[where] * dx) ** 2)
        spread += mean(dx * dx)
    place = np.stack([fitted[0][0], fitted[1][0], fitted[0][1], fitted[1][1]], 1)
    if least > 1:
        enough &= (error < _ERROR**2) & (spread > _SPREAD**2)
    return pairs[enough], count[enough], place[enough].astype(np.float32)


def _in_place(
    agreed: tuple[Numbers, Numbers, Floats],
    windows: Floats,
    plain: Floats,
    mirrored: Floats,
    film: Numbers,
    films: int,
) -> tuple[Numbers, Numbers, Floats]:
    """Return the places at which, codes aside, enough of one film's windows are found in the other."""
    pairs, count, place = agreed
    start = np.searchsorted(film, np.arange(films + 1))
    kept = np.zeros(len(pairs), bool)
    for i, pair in enumerate(pairs.tolist()):
        a, b = divmod(pair >> 1, films)
        of_a, of_b = slice(start[a], start[a + 1]), slice(start[b], start[b + 1])
        x, y, half = (windows[of_b, column] for column in (0, 1, 2))
        if pair & 1:
            x = 1 - x
        scale_x, scale_y, shift_x, shift_y = place[i]
        size = np.abs(np.log2(windows[of_a, 2, None] * scale_x / half))
        found = (mirrored if pair & 1 else plain)[of_b]
        hit = (np.abs(windows[of_a, 0, None] * scale_x + shift_x - x) < _NEAR) & (size < _FACTOR)
        hit &= np.abs(windows[of_a, 1, None] * scale_y + shift_y - y) < _NEAR
        hit &= plain[of_a] @ found.T > _VERY_ALIKE
        kept[i] = hit.any(1).sum() >= _IN_PLACE
    return pairs[kept], count[kept], place[kept]


def _best(found: Sequence[tuple[Numbers, Numbers, Floats]], films: int) -> Candidates:
    """Return for each pair of films the places that most windows agree on; the whole frame before others."""
    pair = np.concatenate([pairs for pairs, _, _ in found])
    count = np.concatenate([found[0][1] + len(found[1][1]) + films, *(counts for _, counts, _ in found[1:])])
    place = np.concatenate([places for _, _, places in found])
    order = np.lexsort((-count, pair))
    pair, place = pair[order], place[order]
    again = np.concatenate([[False] * _PLACES, pair[_PLACES:] == pair[:-_PLACES]])[: len(pair)]
    pair, place = pair[~again], place[~again]
    return Candidates((pair >> 1) // films, (pair >> 1) % films, (pair & 1).astype(bool), place)
