"""Register two images, and compare where they overlap.

Chests are similar at a large scale. Fine detail distinguishes images: edges of ribs, vessels, a cable. An
affine transform registers the second image to the first by its large structures (Lucas and Kanade's method),
from coarse to fine. Fine detail is then compared in square blocks. The median correlation of the blocks is
the similarity: a letter or an arrow changes a few blocks, another image, even of the same patient, changes
all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cxrbuild.auditing.descriptors import THUMBNAIL_SIDE, Floats, gaussian_filter

if TYPE_CHECKING:
    from PIL.Image import Image

# From coarse to fine: thumbnail pixels per pixel, iterations, and the correlation needed to continue.
_LEVELS = ((4, 6, 0.6), (2, 6, 0.75))
# The share of the image's variance at which a difference has half its weight.
_OUTLIER_SHARE = 0.05
_BLOCK = 16
_MIN_OVERLAP = 0.2
_MIN_BLOCKS = 6
# Variance of a block's fine detail, in squared steps of the thumbnail, below which it counts as empty.
_MIN_VARIANCE = 4.0


@dataclass(frozen=True)
class Registration:
    """How two images overlap, and how similar they are there.

    Attributes
    ----------
    similarity
        Median correlation of the blocks, from -1 to 1; 0 where the images hardly overlap.
    overlap
        Share of the first and of the second image that is in the overlap.
    affine_transform
        Maps shares of the first frame to shares of the second, ``(2, 3)``.
    """

    similarity: float
    overlap: tuple[float, float]
    affine_transform: NDArray[np.float64]


NOT_REGISTERED = Registration(0.0, (0.0, 0.0), np.eye(2, 3))


def register(a: NDArray[np.int8], b: NDArray[np.int8], start: Floats) -> Registration:
    """Register the second of two images to the first, and compare them.

    Parameters
    ----------
    a, b
        The images' normalized thumbnails, ``(THUMBNAIL_SIDE, THUMBNAIL_SIDE)``.
    start
        The first estimate: scale of x and y, shift of x and y, in shares of the frames.
    """
    affine = np.array([[start[0], 0, start[2]], [0, start[1], start[3]]], np.float64)
    pixels_a, pixels_b = a.astype(np.float32), b.astype(np.float32)
    for step, iterations, least in _LEVELS:
        affine, correlation = _optimize(_reduce(pixels_a, step), _reduce(pixels_b, step), affine, iterations)
        if correlation <= least:
            return NOT_REGISTERED
    return _compare(pixels_a, pixels_b, affine)


def _reduce(pixels: Floats, step: int) -> Floats:
    n = THUMBNAIL_SIDE // step
    means: Floats = pixels.reshape(n, step, n, step).mean((1, 3))
    return means


def _optimize(
    a: Floats, b: Floats, affine: NDArray[np.float64], iterations: int
) -> tuple[NDArray[np.float64], float]:
    """Return the affine transform after some Gauss-Newton iterations, and the images' correlation there."""
    from PIL.Image import fromarray

    side = len(a)
    x, y = _grid(side)
    target = a.ravel()
    gradient_y, gradient_x = np.gradient(b)
    moving = [fromarray(pixels) for pixels in (b, gradient_x * side, gradient_y * side)]
    for iteration in range(iterations + 1):
        u, v = _transform(affine, x, y)
        inside = _is_inside(u, v, side)
        if np.count_nonzero(inside) < _MIN_OVERLAP / 2 * len(inside):
            return affine, 0.0
        moved, *gradients = (_warp(image, affine)[inside] for image in moving)
        px, py, expected = x[inside], y[inside], target[inside]
        moved, expected = moved - moved.mean(), expected - expected.mean()
        if not expected.any():
            # An image of one grey level matches nothing; the weights below would divide by zero.
            return affine, 0.0
        power, match = float(moved @ moved), float(expected @ moved)
        if iteration == iterations:
            break
        # A difference in contrast is ignored: the second image is scaled to the first.
        gain = max(match / max(power, 1e-6), 0.2)
        gx, gy = (gain * gradient for gradient in gradients)
        jacobian = np.stack([gx * px, gx * py, gx, gy * px, gy * py, gy])
        jacobian -= jacobian.mean(1, keepdims=True)
        residual = expected - gain * moved
        variance = float(expected @ expected) / len(expected)
        # Outliers, such as a letter or the edge of a black margin, have little weight.
        weight = 1 / (1 + residual * residual / (_OUTLIER_SHARE * variance))
        weighted = jacobian * weight
        normal = (weighted @ jacobian.T).astype(np.float64)
        normal[np.diag_indices(6)] = normal.diagonal() * 1.001 + 1e-6
        change = np.linalg.solve(normal, weighted @ residual).reshape(2, 3)
        # One iteration moves the frame by a tenth of it at most.
        affine = affine + change * min(1.0, 0.1 / max(float(np.abs(change).max()), 1e-9))
    scale = np.linalg.svd(affine[:, :2], compute_uv=False)
    if scale[1] < 0.25 or scale[0] > 4:
        return affine, 0.0
    return affine, match / max(math.sqrt(power * float(expected @ expected)), 1e-6)


def _compare(a: Floats, b: Floats, affine: NDArray[np.float64]) -> Registration:
    from PIL.Image import fromarray

    x, y = _grid(THUMBNAIL_SIDE)
    u, v = _transform(affine, x, y)
    inside = _is_inside(u, v, THUMBNAIL_SIDE)
    area = abs(float(np.linalg.det(affine[:, :2])))
    share_a = float(inside.mean())
    share_b = share_a * area
    if min(share_a, share_b) < _MIN_OVERLAP:
        return NOT_REGISTERED
    # The image of which less is in the overlap has finer detail there: it is smoothed to match the other.
    zoom = area**0.5
    variance = 0.5 * max(zoom, 1 / zoom) ** 2 - 0.5
    if variance > 0.05:
        sigma = round(variance**0.5, 1)
        a, b = (a, gaussian_filter(b, sigma)) if zoom > 1 else (gaussian_filter(a, sigma), b)
    detail_a = np.where(inside, _fine_detail(a).ravel(), 0)
    detail_b = np.where(inside, _warp(fromarray(_fine_detail(b)), affine), 0)
    products = inside * 1.0, detail_a, detail_b, detail_a**2, detail_b**2, detail_a * detail_b
    sums = np.stack([_sum_blocks(values) for values in products])
    n, p, q, pp, qq, pq = sums[:, sums[0] > 0.6 * _BLOCK * _BLOCK]
    variances = np.stack([pp / n - (p / n) ** 2, qq / n - (q / n) ** 2])
    # Empty blocks, such as those of a black margin, do not count.
    detailed = variances.min(0) > _MIN_VARIANCE
    if detailed.sum() < _MIN_BLOCKS:
        return NOT_REGISTERED
    covariances = (pq / n - p * q / n**2)[detailed]
    correlations = covariances / np.sqrt(variances[:, detailed].prod(0))
    return Registration(float(np.median(correlations)), (share_a, min(share_b, 1.0)), affine)


def _fine_detail(pixels: Floats) -> Floats:
    return gaussian_filter(pixels, 0.8) - gaussian_filter(pixels, 3.0)


def _sum_blocks(values: Floats) -> Floats:
    n = THUMBNAIL_SIDE // _BLOCK
    sums: Floats = values.reshape(n, _BLOCK, n, _BLOCK).sum((1, 3)).ravel()
    return sums


@lru_cache(maxsize=4)
def _grid(side: int) -> tuple[Floats, Floats]:
    shares = (np.arange(side, dtype=np.float32) + 0.5) / side
    x, y = np.meshgrid(shares, shares)
    return x.ravel(), y.ravel()


def _transform(affine: NDArray[np.float64], x: Floats, y: Floats) -> tuple[Floats, Floats]:
    u = affine[0, 0] * x + affine[0, 1] * y + affine[0, 2]
    v = affine[1, 0] * x + affine[1, 1] * y + affine[1, 2]
    return u.astype(np.float32), v.astype(np.float32)


def _is_inside(u: Floats, v: Floats, side: int) -> NDArray[np.bool_]:
    edge = 0.5 / side
    return (u > edge) & (u < 1 - edge) & (v > edge) & (v < 1 - edge)


def _warp(image: Image, affine: NDArray[np.float64]) -> Floats:
    """Return an image's values at the transformed pixels of the frame, by linear interpolation, as a row."""
    from PIL.Image import Resampling, Transform

    # Pillow counts in pixels.
    data = (affine * (1, 1, image.width)).ravel().tolist()
    warped = image.transform(image.size, Transform.AFFINE, data, Resampling.BILINEAR)
    values: Floats = np.asarray(warped).ravel()
    return values
