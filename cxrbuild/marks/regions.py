"""Find what sharp edges enclose on a film, and what is coloured otherwise than the film at large."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

# Longer side in pixels at which a film is searched: a panel letter still has ten.
SIDE = 640
_STEP = 64
_LARGEST = 0.35
_MOST_REGIONS = 400
_CHROMA = 25.0
_BINS = 12


@dataclass(frozen=True)
class Features:
    """What tells regions apart; lengths in units of the film's longer side.

    Attributes
    ----------
    size
        Natural logarithm of the longer side of the region's box.
    edge
        How far the middle of the box is from the nearest edge of the film, at most 0.15.
    top
        How far it is from the upper edge, in heights, at most 0.3.
    corner
        How far it is from the nearest corner, at most 0.3.
    left
        How far it is from the left edge, in widths.
    fill
        How far the filled outline's share of the box is from 0.6, that of arrows and triangles.
    solid
        Its share of its convex hull.
    symmetry
        How far it is its own mirror image along one of its axes, the better one.
    asymmetry
        How much less it is so along the other: an arrow has one axis of symmetry.
    ink
        The share of it that is nearly black or white.
    step
        The mean step at its edges, in hundreds of grey levels.
    row
        How many regions of its height stand beside it, at most 2.
    """

    size: float
    edge: float
    top: float
    corner: float
    left: float
    fill: float
    solid: float
    symmetry: float
    asymmetry: float
    ink: float
    step: float
    row: float


@dataclass(frozen=True)
class Region:
    """What a film's sharp edges enclose: its box in pixels of the searched film, and its features."""

    left: int
    top: int
    right: int
    bottom: int
    features: Features
    outline: bool


@dataclass(frozen=True)
class Scan:
    """All that was found on one film.

    Attributes
    ----------
    width, height
        The size of the searched film in pixels.
    regions
        What its sharp edges enclose.
    coloured
        The boxes of what is coloured otherwise than the film at large, and whether each is an outline.
    cast
        The mean chroma of the film at large, 0 to some 120.
    """

    width: int
    height: int
    regions: list[Region]
    coloured: list[tuple[tuple[int, int, int, int], bool]]
    cast: float


def scan_film(image: Image) -> Scan:
    """Search a film for sharp edges and for colour.

    Parameters
    ----------
    image
        The film in RGB, its longer side at most `SIDE` pixels.
    """
    import numpy as np

    rgb = np.asarray(image)
    luma = (rgb @ np.array([0.299, 0.587, 0.114]) + 0.5).astype(np.uint8)
    coloured, cast = _coloured(rgb, luma)
    height, width = luma.shape
    return Scan(width, height, _regions(luma), coloured, cast)


def _coloured(
    rgb: NDArray[np.uint8], luma: NDArray[np.uint8]
) -> tuple[list[tuple[tuple[int, int, int, int], bool]], float]:
    """Find what is coloured otherwise than the film at large, whose colour may change with brightness."""
    import numpy as np
    from scipy import ndimage

    if (rgb.max(axis=2) - rgb.min(axis=2)).max() < _CHROMA:
        return [], 0.0
    # ITU-R BT.601's colour differences.
    blue = (rgb[..., 2] - luma.astype(np.float32)) * 0.564
    red = (rgb[..., 0] - luma.astype(np.float32)) * 0.713
    level = luma // 16
    cast = 0.0
    for value in range(16):
        here = level == value
        if count := int(here.sum()):
            middle = float(np.median(blue[here])), float(np.median(red[here]))
            blue[here] -= middle[0]
            red[here] -= middle[1]
            cast += math.hypot(*middle) * count / luma.size
    odd = np.hypot(blue, red) > _CHROMA
    # Widened, the letters of a word are one mark.
    labels, _ = ndimage.label(ndimage.binary_dilation(odd, np.ones((5, 5))), np.ones((3, 3)))
    labels[~odd] = 0
    found = []
    for number, place in enumerate(ndimage.find_objects(labels), 1):
        if place is None:
            continue
        rows, columns = place
        mask = labels[rows, columns] == number
        # Specks, and the line of a screen's frame, are no marks.
        if mask.sum() >= 12 and min(mask.shape) >= 3:
            found.append(((columns.start, rows.start, columns.stop, rows.stop), _is_thin(mask)))
    return found, cast


def _regions(luma: NDArray[np.uint8]) -> list[Region]:
    """Find what sharp edges enclose."""
    import numpy as np
    from scipy import ndimage

    step = ndimage.maximum_filter(luma, 3) - ndimage.minimum_filter(luma, 3)
    sharp = step >= _STEP
    # Both sides of a stroke, and the dots of a line, belong together.
    labels, _ = ndimage.label(ndimage.binary_dilation(sharp, np.ones((3, 3))), np.ones((3, 3)))
    boxes = [
        (number, place)
        for number, place in enumerate(ndimage.find_objects(labels), 1)
        if max(_extent(place)) >= 6 and math.prod(_extent(place)) <= _LARGEST * luma.size
    ]
    boxes = sorted(boxes, key=lambda box: -math.prod(_extent(box[1])))[:_MOST_REGIONS]
    tops = np.array([place[0].start for _, place in boxes])
    bottoms = np.array([place[0].stop for _, place in boxes])
    lefts = np.array([place[1].start for _, place in boxes])
    rights = np.array([place[1].stop for _, place in boxes])
    regions = []
    for index, (number, place) in enumerate(boxes):
        tall = bottoms[index] - tops[index]
        beside = (
            (bottoms - tops > tall / 2)
            & (bottoms - tops < 2 * tall)
            & (np.abs(tops + bottoms - tops[index] - bottoms[index]) < 1.2 * tall)
            & (np.minimum(np.abs(lefts - rights[index]), np.abs(lefts[index] - rights)) < 1.5 * tall)
        )
        beside[index] = False
        regions.append(_region(luma, step, labels[place] == number, place, int(beside.sum())))
    return regions


def _region(
    luma: NDArray[np.uint8],
    step: NDArray[np.uint8],
    mask: NDArray[np.bool_],
    place: tuple[slice, slice],
    beside: int,
) -> Region:
    from scipy import ndimage

    height, width = luma.shape
    longer = max(height, width)
    rows, columns = place
    filled = ndimage.binary_fill_holes(mask)
    # The step is seen a pixel outside the mark, and was widened by one.
    for times in (2, 1, 0):
        mark = ndimage.binary_erosion(filled, iterations=times) if times else filled
        if mark.sum() >= 8:
            break
    values, steps = luma[place], step[place]
    edges = mask & (steps >= _STEP)
    x, y = (columns.start + columns.stop) / 2, (rows.start + rows.stop) / 2
    symmetries = _symmetries(mark)
    features = Features(
        size=math.log(max(_extent(place)) / longer),
        edge=min(0.15, min(x, y, width - x, height - y) / longer),
        top=min(0.3, y / height),
        corner=min(0.3, max(min(x, width - x), min(y, height - y)) / longer),
        left=x / width,
        fill=abs(float(filled.mean()) - 0.6),
        solid=_solidity(mark),
        symmetry=max(symmetries),
        asymmetry=max(symmetries) - min(symmetries),
        ink=float(((values >= 235) | (values <= 20))[mark].mean()),
        step=float(steps[edges].mean()) / 100,
        row=min(2, beside),
    )
    return Region(
        columns.start, rows.start, columns.stop, rows.stop, features,
        outline=_is_outline(luma, mask, place),
    )  # fmt: skip


def _is_outline(luma: NDArray[np.uint8], mask: NDArray[np.bool_], place: tuple[slice, slice]) -> bool:
    """Whether a thin line goes round something that is as bright as what is outside of it."""
    import numpy as np

    rows, columns = place
    if min(_extent(place)) < 0.05 * max(luma.shape) or not _is_thin(mask):
        return False
    around = luma[max(0, rows.start - 4) : rows.stop + 4, max(0, columns.start - 4) : columns.stop + 4]
    border = np.concatenate([around[0], around[-1], around[:, 0], around[:, -1]])
    within = luma[place][_enclosed(mask) & ~mask]
    return bool(abs(float(np.median(within)) - float(np.median(border))) < _STEP)


def _enclosed(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return what has a mask on all four sides: a line round it may have gaps."""
    import numpy as np

    def after(axis: int, step: int) -> NDArray[np.bool_]:
        view = np.flip(mask, axis) if step < 0 else mask
        seen = np.logical_or.accumulate(view, axis)
        return np.flip(seen, axis) if step < 0 else seen

    enclosed: NDArray[np.bool_] = after(0, 1) & after(0, -1) & after(1, 1) & after(1, -1)
    return enclosed


def _is_thin(mask: NDArray[np.bool_]) -> bool:
    """Whether a mask goes round most of its box and leaves what is inside alone."""
    from scipy import ndimage

    enclosed = _enclosed(mask)
    within = ndimage.binary_erosion(enclosed, iterations=max(2, min(mask.shape) // 8))
    return bool(
        enclosed.mean() > 0.7
        and within.any()
        and mask[within].mean() < 0.05
        and mask.sum() < 0.35 * enclosed.sum()
    )


def _solidity(mark: NDArray[np.bool_]) -> float:
    import numpy as np
    from scipy.spatial import ConvexHull

    corners = np.argwhere(mark)[:, None, :] + np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    return float(mark.sum() / ConvexHull(corners.reshape(-1, 2)).volume)


def _symmetries(mark: NDArray[np.bool_]) -> tuple[float, float]:
    """Return how much of a mark falls on itself when mirrored along each of its principal axes."""
    import numpy as np

    points = np.argwhere(mark).astype(np.float64)
    points -= points.mean(axis=0)
    _, axes = np.linalg.eigh(np.cov(points.T))
    turned = points @ axes
    turned /= max(1.0, float(np.abs(turned).max()))

    def image(first: Any, second: Any) -> NDArray[np.float64]:
        grid: NDArray[np.float64]
        grid, _, _ = np.histogram2d(first, second, bins=_BINS, range=[[-1, 1], [-1, 1]])
        return grid

    upright = image(turned[:, 0], turned[:, 1])
    mirrored = image(-turned[:, 0], turned[:, 1]), image(turned[:, 0], -turned[:, 1])
    first, second = (float(np.minimum(upright, other).sum() / upright.sum()) for other in mirrored)
    return first, second


def _extent(place: tuple[slice, slice]) -> tuple[int, int]:
    return place[0].stop - place[0].start, place[1].stop - place[1].start
