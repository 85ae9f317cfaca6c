"""Decode an image file, the format of which its content decides."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cxrbuild.convert import dicom, jpeg, png
from cxrbuild.convert.exclusion import NotConvertible
from cxrbuild.image_files import is_dicom

if TYPE_CHECKING:
    from PIL.Image import Image

_OTHER_FORMATS = {
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
    b"version https://git-lfs": "a Git LFS pointer instead of the file",
}


class Decoded(NamedTuple):
    """Hold an image file's pixels: 8 bits, upright, transparency over black.

    Parameters
    ----------
    image
        Mode L or RGB.
    source_format
        The file's format, bits of a sample and colour, for example ``PNG 16-bit grey``.
    """

    image: Image
    source_format: str


def decode(data: bytes, max_pixels: int, *, color: bool = False, min_side: int | None = None) -> Decoded:
    """Decode a PNG, JPEG or DICOM file.

    Parameters
    ----------
    data
        The file.
    max_pixels
        The most pixels that it may declare.
    color
        Return RGB instead of luma.
    min_side
        Allow a JPEG to be decoded at a half, quarter or eighth of its size while both sides keep this many
        pixels.

    Raises
    ------
    NotConvertible
        The file cannot be decoded.
    """
    if data.startswith(jpeg.SIGNATURE):
        image, samples = jpeg.read_jpeg(data, max_pixels, color=color, min_side=min_side)
        return Decoded(image, f"JPEG {samples}")
    if data.startswith(png.SIGNATURE):
        image, samples = png.read_png(data, max_pixels, color=color)
        return Decoded(image, f"PNG {samples}")
    if is_dicom(data):
        image, samples = dicom.read_dicom(data, max_pixels, color=color)
        return Decoded(image, f"DICOM {samples}")
    raise _unknown_format(data)


def _unknown_format(data: bytes) -> NotConvertible:
    if not data:
        return NotConvertible("unreadable", "an empty file")
    if data[:512].lstrip(b"\xef\xbb\xbf\t\r\n ").lower().startswith((b"<!doctype html", b"<html")):
        return NotConvertible("unsupported", "an HTML page")
    for start, name in _OTHER_FORMATS.items():
        if data.startswith(start):
            return NotConvertible("unsupported", name)
    return NotConvertible("unsupported", f"a file that begins with the bytes {data[:8].hex(' ')}")
