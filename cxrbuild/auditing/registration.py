"""Whether two films show the same: one is laid over the other, and what then lies over what is compared.

Chests are alike in what is large; what tells films apart is fine: edges of ribs, vessels, a cable. The second
film is moved, scaled and turned until the large fits (Lucas and Kanade's method), from coarse to fine. Then
the fine is compared square by square, and the median of the squares' correlations is the similarity: a letter
or an arrow spoils a few squares, another film, even of the same patient, spoils them all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from cxrbuild.auditing.descriptors import SIDE, Floats, blurred

# From coarse to fine: pixels of the thumbnail to one, turns, and the least correlation to go on with.
_LEVELS = ((4, 6, 0.6), (2, 6, 0.75))
# Share of the film's variance at which a difference counts half.
_DOUBT = 0.05
_SQUARE = 16
_LEAST_OVERLAP = 0.2
# Variance of a square's fine, in squared steps of the thumbnail, below which it is empty.
_LEAST_DETAIL = 4.0


@dataclass(frozen=True)
class Alignment:
    """How one film lies over another.

    Attributes
    ----------
    similarity
        Median correlation of the squares, from -1 to 1; 0 where the films hardly overlap.
    overlap
        Share of the first and of the second film that lies over the other.
    affine
        What takes shares of the first frame to shares of the second, ``(2, 3)``.
    """

    similarity: float
    overlap: tuple[float, float]
    affine: NDArray[np.float64]


NOWHERE = Alignment(0.0, (0.0, 0.0), np.eye(2, 3))


def align(a: NDArray[np.int8], b: NDArray[np.int8], place: Floats) -> Alignment:
    """Lay one film over another and compare.

    Parameters
    ----------
    a, b
        The films' thumbnails, flattened, ``(SIDE, SIDE)``.
    place
        Where to begin: scale of x and y, shift of x and y, in shares of the frames.
    """
    affine = np.array([[place[0], 0, place[2]], [0, place[1], place[3]]], np.float64)
    flat_a, flat_b = a.astype(np.float32), b.astype(np.float32)
    for step, turns, least in _LEVELS:
        affine, correlation = _moved(_means(flat_a, step), _means(flat_b, step), affine, turns)
        if correlation <= least:
            return NOWHERE
    return _compared(flat_a, flat_b, affine)


def _means(film: Floats, step: int) -> Floats:
    n = SIDE // step
    means: Floats = film.reshape(n, step, n, step).mean((1, 3))
    return means


def _moved(
    a: Floats, b: Floats, affine: NDArray[np.float64], turns: int
) -> tuple[NDArray[np.float64], float]:
    """Return the place after some turns of Gauss and Newton, and how well the films correlate there."""
    side = len(a)
    x, y = _grid(side)
    target = a.ravel()
    slope_y, slope_x = (np.gradient(b, axis=axis).astype(np.float32) * side for axis in (0, 1))
    film_and_slopes = np.stack([b, slope_x, slope_y])
    for turn in range(turns + 1):
        u, v = _taken(affine, x, y)
        inside = _inside(u, v, side)
        if np.count_nonzero(inside) < _LEAST_OVERLAP / 2 * len(inside):
            return affine, 0.0
        u, v, px, py = u[inside], v[inside], x[inside], y[inside]
        seen, *slopes = _sampled(film_and_slopes, u, v)
        want = target[inside]
        seen, want = seen - seen.mean(), want - want.mean()
        if not want.any():
            # A flat image matches nothing; the weights below would divide by zero.
            return affine, 0.0
        power, match = float(seen @ seen), float(want @ seen)
        if turn == turns:
            break
        # Contrast is no difference: the second film is scaled to the first.
        gain = max(match / max(power, 1e-6), 0.2)
        gx, gy = (slope * gain for slope in slopes)
        jacobian = np.stack([gx * px, gx * py, gx, gy * px, gy * py, gy])
        jacobian -= jacobian.mean(1, keepdims=True)
        rest = want - gain * seen
        # What does not fit at all, a letter or the edge of a black margin, must not pull.
        trust = 1 / (1 + rest * rest / (_DOUBT * float(want @ want) / len(want)))
        weighted = jacobian * trust
        normal = (weighted @ jacobian.T).astype(np.float64)
        normal[np.diag_indices(6)] = normal.diagonal() * 1.001 + 1e-6
        change = np.linalg.solve(normal, weighted @ rest).reshape(2, 3)
        # No turn may take the frame further than a tenth of it.
        affine = affine + change * min(1.0, 0.1 / max(float(np.abs(change).max()), 1e-9))
    scale = np.linalg.svd(affine[:, :2], compute_uv=False)
    if scale[1] < 0.25 or scale[0] > 4:
        return affine, 0.0
    return affine, match / max(math.sqrt(power * float(want @ want)), 1e-6)


def _compared(a: Floats, b: Floats, affine: NDArray[np.float64]) -> Alignment:
    x, y = _grid(SIDE)
    u, v = _taken(affine, x, y)
    inside = _inside(u, v, SIDE)
    share = float(inside.mean())
    there = share * abs(float(np.linalg.det(affine[:, :2])))
    if min(share, there) < _LEAST_OVERLAP:
        return NOWHERE
    # The film of which less is seen shows it finer than the other can: it is blurred to be as coarse.
    zoom = abs(float(np.linalg.det(affine[:, :2]))) ** 0.5
    softened = 0.5 * max(zoom, 1 / zoom) ** 2 - 0.5
    if softened > 0.05:
        a, b = (a, blurred(b, softened**0.5)) if zoom > 1 else (blurred(a, softened**0.5), b)
    want = np.where(inside, _fine(a).ravel(), 0)
    seen = np.where(inside, _sampled(_fine(b)[None], np.clip(u, 0, 1), np.clip(v, 0, 1))[0], 0)
    n, p, q, pp, qq, pq = (
        _squares(values) for values in (inside * 1.0, want, seen, want * want, seen * seen, want * seen)
    )
    full = n > 0.6 * _SQUARE * _SQUARE
    n, p, q, pp, qq, pq = (values[full] for values in (n, p, q, pp, qq, pq))
    var_a, var_b = pp / n - (p / n) ** 2, qq / n - (q / n) ** 2
    # Squares without anything in them, such as a black margin, say nothing.
    told = np.minimum(var_a, var_b) > _LEAST_DETAIL
    if told.sum() < 6:
        return NOWHERE
    correlation = (pq / n - p * q / n**2)[told] / np.sqrt(var_a * var_b)[told]
    return Alignment(float(np.median(correlation)), (share, min(there, 1.0)), affine)


def _fine(flat: Floats) -> Floats:
    return blurred(flat, 0.8) - blurred(flat, 3.0)


def _squares(values: Floats) -> Floats:
    n = SIDE // _SQUARE
    sums: Floats = values.reshape(n, _SQUARE, n, _SQUARE).sum((1, 3)).ravel()
    return sums


@lru_cache(maxsize=4)
def _grid(side: int) -> tuple[Floats, Floats]:
    shares = (np.arange(side, dtype=np.float32) + 0.5) / side
    x, y = np.meshgrid(shares, shares)
    return x.ravel(), y.ravel()


def _taken(affine: NDArray[np.float64], x: Floats, y: Floats) -> tuple[Floats, Floats]:
    u = affine[0, 0] * x + affine[0, 1] * y + affine[0, 2]
    v = affine[1, 0] * x + affine[1, 1] * y + affine[1, 2]
    return u.astype(np.float32), v.astype(np.float32)


def _inside(u: Floats, v: Floats, side: int) -> NDArray[np.bool_]:
    edge = 0.5 / side
    return (u > edge) & (u < 1 - edge) & (v > edge) & (v < 1 - edge)


def _sampled(films: Floats, u: Floats, v: Floats) -> Floats:
    """Return films' values at shares of their frame, straight between pixels: ``(films, shares)``."""
    count, side, _ = films.shape
    x, y = np.clip(u * side - 0.5, 0, side - 1.001), np.clip(v * side - 0.5, 0, side - 1.001)
    left, top = x.astype(np.int32), y.astype(np.int32)
    dx, dy = x - left, y - top
    flat, at = films.reshape(count, -1), top * side + left
    upper: Floats = flat.take(at, axis=1)
    below: Floats = flat.take(at + side, axis=1)
    upper += (flat.take(at + 1, axis=1) - upper) * dx
    below += (flat.take(at + side + 1, axis=1) - below) * dx
    upper += (below - upper) * dy
    return upper
