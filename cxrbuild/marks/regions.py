"""Find regions of an image by edge detection, and by colour that differs from the rest of the image."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cxrbuild.marks.features import RegionFeatures, describe_region

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

# Left, top, right, bottom in pixels; right and bottom are exclusive.
Box = tuple[int, int, int, int]

# Longer side in pixels at which an image is searched: a panel letter still has ten.
MAX_SIDE = 640
# Grey-level step between neighbouring pixels that makes an edge; tissue seldom has it.
_MIN_STEP = 64
_MAX_REGION_SHARE = 0.35
_MAX_REGIONS = 400
_MIN_CHROMA = 25.0


@dataclass(frozen=True)
class EdgeRegion:
    """A connected component of sharp edges.

    Attributes
    ----------
    box
        The bounding box in pixels of the searched image.
    features
        What the models classify.
    is_outline
        Whether it is a thin line around something as bright as its surroundings.
    """

    box: Box
    features: RegionFeatures
    is_outline: bool


@dataclass(frozen=True)
class ColourRegion:
    """A connected component whose colour differs from the rest of the image."""

    box: Box
    is_outline: bool


@dataclass(frozen=True)
class ImageRegions:
    """The regions of one image.

    Attributes
    ----------
    width, height
        The size of the searched image in pixels.
    edges
        The regions found by edge detection.
    coloured
        The regions found by colour.
    cast
        The mean chroma of the image, 0 to about 120.
    """

    width: int
    height: int
    edges: tuple[EdgeRegion, ...]
    coloured: tuple[ColourRegion, ...]
    cast: float


def find_regions(image: Image) -> ImageRegions:
    """Search an image for sharp edges and for colour.

    Parameters
    ----------
    image
        The image in RGB, its longer side at most `MAX_SIDE` pixels.
    """
    import numpy as np

    rgb, luma = np.asarray(image), np.asarray(image.convert("L"))
    coloured, cast = _find_coloured(rgb, luma)
    height, width = luma.shape
    return ImageRegions(width, height, tuple(_find_edge_regions(luma)), tuple(coloured), cast)


def _find_coloured(rgb: NDArray[np.uint8], luma: NDArray[np.uint8]) -> tuple[list[ColourRegion], float]:
    """Find colour that differs from the colour cast, which may change with brightness."""
    import numpy as np
    from scipy import ndimage

    if (rgb.max(axis=2) - rgb.min(axis=2)).max() < _MIN_CHROMA:
        return [], 0.0
    # The colour differences of ITU-R BT.601, unrounded.
    blue = (rgb[..., 2] - luma.astype(np.float32)) * 0.564
    red = (rgb[..., 0] - luma.astype(np.float32)) * 0.713
    level = luma // 16
    cast = 0.0
    for value in range(16):
        pixels = level == value
        if count := int(pixels.sum()):
            median = float(np.median(blue[pixels])), float(np.median(red[pixels]))
            blue[pixels] -= median[0]
            red[pixels] -= median[1]
            cast += math.hypot(*median) * count / luma.size
    differs = np.hypot(blue, red) > _MIN_CHROMA
    # Dilated by two pixels, the letters of a word are one region.
    labels, _ = ndimage.label(ndimage.binary_dilation(differs, np.ones((5, 5))), np.ones((3, 3)))
    labels[~differs] = 0
    found = []
    for number, place in enumerate(ndimage.find_objects(labels), 1):
        if place is None:
            continue
        mask = labels[place] == number
        # Specks and the line of a screen's frame are not marks.
        if mask.sum() >= 12 and min(mask.shape) >= 3:
            found.append(ColourRegion(_box(place), _is_thin(mask)))
    return found, cast


def _find_edge_regions(luma: NDArray[np.uint8]) -> list[EdgeRegion]:
    """Find the connected components of the edges, at most `_MAX_REGIONS`, the largest first."""
    import numpy as np
    from scipy import ndimage

    gradient = ndimage.morphological_gradient(luma, 3)
    edges = gradient >= _MIN_STEP
    # Dilated by one pixel, both sides of a stroke and the dots of a line are one region.
    labels, _ = ndimage.label(ndimage.binary_dilation(edges, np.ones((3, 3))), np.ones((3, 3)))
    places = [
        (number, place)
        for number, place in enumerate(ndimage.find_objects(labels), 1)
        if max(_shape(place)) >= 6 and math.prod(_shape(place)) <= _MAX_REGION_SHARE * luma.size
    ]
    places = sorted(places, key=lambda found: -math.prod(_shape(found[1])))[:_MAX_REGIONS]
    neighbours = _count_neighbours(np.array([_box(place) for _, place in places]).reshape(-1, 4))
    regions = []
    for (number, place), count in zip(places, neighbours, strict=True):
        mask = labels[place] == number
        features = describe_region(luma, gradient, mask, place, min_step=_MIN_STEP, neighbours=count)
        regions.append(EdgeRegion(_box(place), features, _is_outline(luma, mask, place)))
    return regions


def _count_neighbours(boxes: NDArray[np.int64]) -> list[int]:
    """Count, for each box, the boxes of similar height on the same line and close to it."""
    import numpy as np

    lefts, tops, rights, bottoms = boxes.T
    heights = bottoms - tops
    counts = []
    for index, (left, top, right, bottom) in enumerate(boxes):
        height = bottom - top
        close = (
            (heights > height / 2)
            & (heights < 2 * height)
            & (np.abs(tops + bottoms - top - bottom) < 1.2 * height)
            & (np.minimum(np.abs(lefts - right), np.abs(left - rights)) < 1.5 * height)
        )
        close[index] = False
        counts.append(int(close.sum()))
    return counts


def _is_outline(luma: NDArray[np.uint8], mask: NDArray[np.bool_], place: tuple[slice, slice]) -> bool:
    """Return whether a thin line encloses something as bright as what surrounds it."""
    import numpy as np

    rows, columns = place
    if min(mask.shape) < 0.05 * max(luma.shape) or not _is_thin(mask):
        return False
    around = luma[max(0, rows.start - 4) : rows.stop + 4, max(0, columns.start - 4) : columns.stop + 4]
    border = np.concatenate([around[0], around[-1], around[:, 0], around[:, -1]])
    inside = luma[place][_enclosed(mask) & ~mask]
    return bool(abs(float(np.median(inside)) - float(np.median(border))) < _MIN_STEP)


def _enclosed(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the pixels that have the mask on all four sides; unlike filled holes, the line may have gaps."""
    import numpy as np

    def reached(axis: int, *, reverse: bool) -> NDArray[np.bool_]:
        view = np.flip(mask, axis) if reverse else mask
        seen = np.logical_or.accumulate(view, axis)
        return np.flip(seen, axis) if reverse else seen

    enclosed: NDArray[np.bool_] = np.logical_and.reduce(
        [reached(axis, reverse=reverse) for axis in (0, 1) for reverse in (False, True)]
    )
    return enclosed


def _is_thin(mask: NDArray[np.bool_]) -> bool:
    """Return whether a mask runs along most of its box's edges and leaves the inside free."""
    from scipy import ndimage

    enclosed = _enclosed(mask)
    inside = ndimage.binary_erosion(enclosed, iterations=max(2, min(mask.shape) // 8))
    return bool(
        enclosed.mean() > 0.7
        and inside.any()
        and mask[inside].mean() < 0.05
        and mask.sum() < 0.35 * enclosed.sum()
    )


def _box(place: tuple[slice, slice]) -> Box:
    rows, columns = place
    return columns.start, rows.start, columns.stop, rows.stop


def _shape(place: tuple[slice, slice]) -> tuple[int, int]:
    return place[0].stop - place[0].start, place[1].stop - place[1].start
