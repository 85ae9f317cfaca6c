"""Convert films to 8-bit one-channel JPEG.

A file is a PNG, a JPEG or a DICOM by its content; its name is not asked. What it becomes is luma as ITU-R
601 weighs it, upright, transparency over black, and nothing of its header; but a JPEG that is that already
is copied with all of its segments, EXIF and comments among them. ICC profiles are dropped unread: models are
trained on code values, and TensorFlow, OpenCV and torchvision do not read them either.

The modules of this package hold one format each; `refusal` says why a file is not converted.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Literal, NamedTuple

from cxrbuild.convert import dicom, jpeg, png
from cxrbuild.convert.refusal import REASONS, NotConvertible, Reason

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["REASONS", "Jpeg", "NotConvertible", "Reason", "Settings", "to_jpeg"]

_OTHERS = {
    b"GIF8": "a GIF",
    b"BM": "a BMP",
    b"II*\0": "a TIFF",
    b"MM\0*": "a TIFF",
    b"RIFF": "a WebP or another RIFF file",
    b"\0\0\0\x0cjP  ": "a JPEG 2000 file",
    b"\xff\x4f\xff\x51": "a JPEG 2000 codestream",
    b"%PDF": "a PDF",
    b"PK\3\4": "a zip archive",
    b"\x1f\x8b": "a gzip file",
    b"version https://git-lfs": "a pointer of Git LFS in place of the file",
}


class Settings(NamedTuple):
    """How films are converted: JPEG quality as libjpeg scales it, and the most pixels of a film.

    The recipe's ``[conversion]`` in a form that a worker process can read without reading the catalogue.
    """

    quality: int
    max_pixels: int


@dataclass(frozen=True)
class Jpeg:
    """An 8-bit one-channel JPEG.

    Parameters
    ----------
    data
        The file.
    width, height
        Its size in pixels.
    conversion
        Whether it is the source file byte for byte, or was encoded.
    source_format
        The source file's format, bits of a sample and colour, as ``PNG 16-bit grey``.
    """

    data: bytes
    width: int
    height: int
    conversion: Literal["copied", "encoded"]
    source_format: str


def to_jpeg(data: bytes, settings: Settings) -> Jpeg:
    """Convert a film to 8-bit one-channel JPEG.

    A JPEG that is one already, and lies upright, is copied byte for byte once it was decoded whole. The
    same film, settings and Pillow give the same bytes.

    Parameters
    ----------
    data
        The source file: PNG, JPEG or DICOM.
    settings
        JPEG quality and the most pixels.

    Raises
    ------
    NotConvertible
        The film cannot be converted; its ``reason`` is a key of `REASONS`.
    """
    if data.startswith(jpeg.SIGNATURE):
        image, samples, is_the_file = jpeg.read_jpeg(data, settings.max_pixels)
        if is_the_file:
            return Jpeg(data, image.width, image.height, "copied", f"JPEG {samples}")
        name = "JPEG"
    elif data.startswith(png.SIGNATURE):
        (image, samples), name = png.read_png(data, settings.max_pixels), "PNG"
    elif dicom.is_dicom(data):
        (image, samples), name = dicom.read_dicom(data, settings.max_pixels), "DICOM"
    else:
        raise _unknown(data)
    encoded = _encoded(image, settings.quality)
    return Jpeg(encoded, image.width, image.height, "encoded", f"{name} {samples}")


def _encoded(image: Image, quality: int) -> bytes:
    stream = BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def _unknown(data: bytes) -> NotConvertible:
    if not data:
        return NotConvertible("unreadable", "an empty file")
    if data[:512].lstrip(b"\xef\xbb\xbf\t\r\n ").lower().startswith((b"<!doctype html", b"<html")):
        return NotConvertible("unsupported", "an HTML page")
    for start, name in _OTHERS.items():
        if data.startswith(start):
            return NotConvertible("unsupported", name)
    return NotConvertible("unsupported", f"a file that begins with the bytes {data[:8].hex(' ')}")
