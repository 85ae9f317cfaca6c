"""Convert an image file to 8-bit one-channel JPEG."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import Literal, NamedTuple

from cxrbuild.convert.decode import decode
from cxrbuild.convert.jpeg import SIGNATURE, find_copy_size, has_metadata


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


def to_jpeg(data: bytes, settings: Settings, *, keep_metadata: bool = True) -> Jpeg:
    """Convert an image file to 8-bit one-channel JPEG.

    An upright JPEG of one channel is checked to be complete and then copied byte for byte. The same file,
    settings and Pillow give the same bytes.

    Parameters
    ----------
    data
        The source file: PNG, JPEG or DICOM.
    settings
        JPEG quality and the most pixels.
    keep_metadata
        Whether a JPEG may be copied with its EXIF, XMP and comments, which can name a patient.

    Raises
    ------
    NotConvertible
        The file cannot be converted; ``reason`` is an exclusion of the stage ``convert``.
    """
    size = find_copy_size(data, settings.max_pixels) if data.startswith(SIGNATURE) else None
    if size is not None and (keep_metadata or not has_metadata(data, settings.max_pixels)):
        return Jpeg(data, *size, "copied", "JPEG 8-bit grey")
    decoded = decode(data, settings.max_pixels)
    width, height = decoded.image.size
    stream = BytesIO()
    decoded.image.save(stream, "JPEG", quality=settings.quality)
    return Jpeg(stream.getvalue(), width, height, "encoded", decoded.source_format)
