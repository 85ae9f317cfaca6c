"""Describe a region of an image by position, size, shape, symmetry and contrast."""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Bins per axis of the histogram that symmetry is measured on.
_SYMMETRY_BINS = 12


@dataclass(frozen=True)
class RegionFeatures:
    """The features of a region; lengths are fractions of the image's longer side.

    Attributes
    ----------
    size
        Natural logarithm of the longer side of the bounding box.
    edge
        Distance of the box's centre from the nearest edge of the image, at most 0.15.
    top
        Distance from the upper edge as a fraction of the height, at most 0.3.
    corner
        Chebyshev distance from the nearest corner, at most 0.3.
    left
        Distance from the left edge as a fraction of the width.
    fill
        Absolute difference between the filled region's share of its box and 0.6, the share of arrows.
    solidity
        The region's area divided by the area of its convex hull.
    symmetry
        Mirror symmetry along the better of the two principal axes, 0 to 1.
    asymmetry
        Difference between the two symmetries: an arrow is symmetric along one axis only.
    ink
        Share of the region's pixels that are nearly black or nearly white.
    contrast
        Mean grey-level step at the region's edges, in hundreds.
    row
        Number of regions of similar height next to it, at most 2.
    """

    size: float
    edge: float
    top: float
    corner: float
    left: float
    fill: float
    solidity: float
    symmetry: float
    asymmetry: float
    ink: float
    contrast: float
    row: float

    def vector(self) -> NDArray[np.float64]:
        """Return the features as an array of shape (12,)."""
        import numpy as np

        return np.array(astuple(self))


def describe_region(
    luma: NDArray[np.uint8],
    gradient: NDArray[np.uint8],
    mask: NDArray[np.bool_],
    place: tuple[slice, slice],
    *,
    min_step: int,
    neighbours: int,
) -> RegionFeatures:
    """Compute the features of one region.

    Parameters
    ----------
    luma
        The image, shape (height, width).
    gradient
        Its morphological gradient, of the same shape.
    mask
        The region's pixels inside its bounding box.
    place
        The bounding box, as rows and columns of the image.
    min_step
        The gradient in grey levels from which a pixel is an edge.
    neighbours
        The number of regions of similar height next to it.
    """
    from scipy import ndimage

    height, width = luma.shape
    longer = max(height, width)
    rows, columns = place
    filled = ndimage.binary_fill_holes(mask)
    # The gradient reaches one pixel outside the mark, and the edges were dilated by one.
    for iterations in (2, 1, 0):
        shape = ndimage.binary_erosion(filled, iterations=iterations) if iterations else filled
        if shape.sum() >= 8:
            break
    values, steps = luma[place], gradient[place]
    edges = mask & (steps >= min_step)
    x, y = (columns.start + columns.stop) / 2, (rows.start + rows.stop) / 2
    symmetries = _symmetries(shape)
    return RegionFeatures(
        size=math.log(max(mask.shape) / longer),
        edge=min(0.15, min(x, y, width - x, height - y) / longer),
        top=min(0.3, y / height),
        corner=min(0.3, max(min(x, width - x), min(y, height - y)) / longer),
        left=x / width,
        fill=abs(float(filled.mean()) - 0.6),
        solidity=_solidity(shape),
        symmetry=max(symmetries),
        asymmetry=max(symmetries) - min(symmetries),
        ink=float(((values >= 235) | (values <= 20))[shape].mean()),
        contrast=float(steps[edges].mean()) / 100,
        row=min(2, neighbours),
    )


def _solidity(shape: NDArray[np.bool_]) -> float:
    import numpy as np
    from scipy.spatial import ConvexHull

    corners = np.argwhere(shape)[:, None, :] + np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    return float(shape.sum() / ConvexHull(corners.reshape(-1, 2)).volume)


def _symmetries(shape: NDArray[np.bool_]) -> tuple[float, float]:
    """Return the share of a shape that overlaps its mirror image along each of its principal axes."""
    import numpy as np

    points = np.argwhere(shape).astype(np.float64)
    points -= points.mean(axis=0)
    _, axes = np.linalg.eigh(np.cov(points.T))
    rotated = points @ axes
    rotated /= max(1.0, float(np.abs(rotated).max()))

    def histogram(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
        counts, _, _ = np.histogram2d(first, second, bins=_SYMMETRY_BINS, range=[[-1, 1], [-1, 1]])
        return np.asarray(counts)

    # Points on a bin's border, as of a thin line, rule out flipping one histogram.
    upright = histogram(rotated[:, 0], rotated[:, 1])
    mirrored = histogram(-rotated[:, 0], rotated[:, 1]), histogram(rotated[:, 0], -rotated[:, 1])
    first, second = (float(np.minimum(upright, other).sum() / upright.sum()) for other in mirrored)
    return first, second
