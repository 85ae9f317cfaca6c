"""Read an image file as 8-bit pixels, for everything that looks at images."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from cxrbuild.convert.decode import decode

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PIXELS = 178_956_970
"""The most pixels that `read_image` accepts by default, as Pillow does."""


def read_image(
    source: bytes | str | PathLike[str],
    *,
    max_side: int | None = None,
    min_side: int | None = None,
    color: bool = False,
    max_pixels: int = MAX_PIXELS,
) -> Image:
    """Read an image file as 8-bit pixels: upright, transparency over black.

    Parameters
    ----------
    source
        A PNG, JPEG or DICOM file: its path or its bytes.
    max_side
        The most pixels of a side; a larger image is reduced by the mean of areas.
    min_side
        Allow the decoder of a JPEG to halve the image while both sides keep this many pixels, which is
        faster. Ignored if ``max_side`` is given: two times ``max_side`` then.
    color
        Return RGB instead of grey (luma of ITU-R 601).
    max_pixels
        The most pixels that the file may declare.

    Returns
    -------
    PIL.Image.Image
        Mode L, or RGB with ``color``.

    Raises
    ------
    NotConvertible
        The file cannot be read as an image; ``reason`` is an exclusion of the stage ``convert``.
    OSError
        The path cannot be read.
    """
    data = source if isinstance(source, bytes) else Path(source).read_bytes()
    if max_side is not None:
        # Twice the size remains, so that the mean below still includes every pixel.
        min_side = 2 * max_side
    image = decode(data, max_pixels, color=color, min_side=min_side).image
    if max_side is not None and max(image.size) > max_side:
        from PIL.Image import Resampling

        image.thumbnail((max_side, max_side), Resampling.BOX, reducing_gap=None)
    return image
