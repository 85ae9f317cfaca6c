"""Read chest radiographs of any supported format, and convert them to 8-bit one-channel JPEG.

The content of a file decides whether it is a PNG, a JPEG or a DICOM file; its name is ignored. All readers
of images use this package, so that the training image, the audit, the marks and the review page agree.

- `read_image` returns pixels: upright, transparency over black, 8 bits, grey or RGB.
- `to_jpeg` returns a JPEG: luma as ITU-R 601 weighs it, without the source's metadata. A JPEG that already
  is 8-bit, one-channel and upright is copied byte for byte, with its EXIF and comments.

ICC profiles are ignored: models are trained on code values, and TensorFlow, OpenCV and torchvision do not
apply profiles either. One module holds one format; `exclusion` holds the reasons why a file is not converted.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from cxrbuild.convert.decode import decode
from cxrbuild.convert.exclusion import NotConvertible, Reason

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["MAX_PIXELS", "Jpeg", "NotConvertible", "Reason", "Settings", "read_image", "to_jpeg"]

MAX_PIXELS = 178_956_970
"""The most pixels that `read_image` accepts by default, as Pillow does."""


class Settings(NamedTuple):
    """Hold the recipe's ``[conversion]`` in a form that worker processes read without the catalog.

    Parameters
    ----------
    quality
        JPEG quality as libjpeg scales it, 1 to 100.
    max_pixels
        The most pixels of an image.
    """

    quality: int
    max_pixels: int


@dataclass(frozen=True)
class Jpeg:
    """Hold an 8-bit one-channel JPEG.

    Parameters
    ----------
    data
        The bytes of the JPEG file.
    width, height
        Its size in pixels.
    conversion
        Whether the bytes are the source file's, or were encoded.
    source_format
        The source file's format, bits of a sample and colour, for example ``PNG 16-bit grey``.
    """

    data: bytes
    width: int
    height: int
    conversion: Literal["copied", "encoded"]
    source_format: str


def to_jpeg(data: bytes, settings: Settings) -> Jpeg:
    """Convert an image file to 8-bit one-channel JPEG.

    An upright JPEG of one channel is decoded completely and then copied byte for byte. The same file,
    settings and Pillow give the same bytes.

    Parameters
    ----------
    data
        The source file: PNG, JPEG or DICOM.
    settings
        JPEG quality and the most pixels.

    Raises
    ------
    NotConvertible
        The file cannot be converted; ``reason`` is an exclusion of the stage ``convert``.
    """
    decoded = decode(data, settings.max_pixels)
    width, height = decoded.image.size
    if decoded.is_the_file:
        return Jpeg(data, width, height, "copied", decoded.source_format)
    stream = BytesIO()
    decoded.image.save(stream, "JPEG", quality=settings.quality)
    return Jpeg(stream.getvalue(), width, height, "encoded", decoded.source_format)


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
