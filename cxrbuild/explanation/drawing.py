"""Draw images with an attribution map over them, for the page."""

from __future__ import annotations

import base64
import io

import numpy as np
from numpy.typing import NDArray

from cxrbuild.explanation.regions import Mask

SIDE = 168
_QUALITY = 82
# From transparent to yellow: a map of low values stays dark orange, and is readable without colour vision.
_LOW, _HIGH = np.array([190, 30, 0], np.float32), np.array([255, 225, 60], np.float32)
_OPAQUE = 0.8
_LUNGS, _BORDER = (90, 200, 255), (140, 140, 140)


def draw_image(grey: NDArray[np.uint8], lungs: Mask | None, border: Mask) -> str:
    """Return an image with the outlines of lungs and border, as a data URL.

    Parameters
    ----------
    grey
        Shape (side, side).
    lungs, border
        Shape (side, side); the lungs are ``None`` where they are not drawn.
    """
    pixels = _enlarge(grey)
    pixels[_outline(border)] = _BORDER
    if lungs is not None:
        pixels[_outline(lungs)] = _LUNGS
    return _encode(pixels)


def draw_map(grey: NDArray[np.uint8], values: NDArray[np.float32], *, blur: float = 0) -> str:
    """Return an image with a map over it, brightest where the map is greatest, as a data URL.

    Parameters
    ----------
    grey
        Shape (side, side).
    values
        Not negative, shape (side, side).
    blur
        Standard deviation in pixels by which single pixels are spread, so that they can be seen.
    """
    from scipy.ndimage import gaussian_filter, zoom

    smooth = gaussian_filter(values, blur) if blur else values
    most = float(smooth.max())
    large = np.clip(zoom(smooth / most if most > 0 else smooth, SIDE / len(smooth), order=1), 0, 1)
    share = large[..., np.newaxis].astype(np.float32)
    colour = _LOW + share * (_HIGH - _LOW)
    opacity = _OPAQUE * share
    return _encode((_enlarge(grey) * (1 - opacity) + colour * opacity).astype(np.uint8))


def _enlarge(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return an image in colour, shape (SIDE, SIDE, 3)."""
    from PIL import Image

    large = Image.fromarray(grey).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    return np.array(large.convert("RGB"))


def _outline(mask: Mask) -> Mask:
    """Return the outermost pixels of a mask that are not at an edge of the image, enlarged."""
    from scipy.ndimage import binary_erosion

    place = np.arange(SIDE) * len(mask) // SIDE
    large = mask[np.ix_(place, place)]
    return np.asarray(large & ~binary_erosion(large, border_value=1))


def _encode(pixels: NDArray[np.uint8]) -> str:
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=_QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()
