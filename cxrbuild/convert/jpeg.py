"""Read a JPEG: its pixels, and whether the file itself is an upright one-channel JPEG."""

from __future__ import annotations

import re
import warnings
from io import BytesIO
from typing import TYPE_CHECKING

from cxrbuild.convert.exclusion import NotConvertible
from cxrbuild.convert.jpeg_header import Header, read_header
from cxrbuild.convert.jpeg_scans import Scans, read_scans
from cxrbuild.convert.orientation import UPRIGHT, find_orientation, to_mode, turn_upright

if TYPE_CHECKING:
    from PIL.Image import Image

SIGNATURE = b"\xff\xd8\xff"
_END = b"\xff\xd9"
# A marker of APPn or a comment; a zero follows a data byte of FF.
_METADATA = re.compile(rb"\xff[\xe0-\xef\xfe]")

_COLOURS = {1: "grey", 3: "colour", 4: "CMYK"}


def read_jpeg(
    data: bytes, max_pixels: int, *, color: bool = False, min_side: int | None = None, orient: bool = True
) -> tuple[Image, str]:
    """Decode a JPEG, upright.

    YCbCr is decoded to its Y, which is the luma of ITU-R 601 already. CMYK is inverted if the file has
    Adobe's marker, and not inverted otherwise, as TensorFlow does. A file with several images (MPO) gives
    its first one, as in every JPEG reader: the others are previews or a second view.

    A scan that ends early is an exclusion. Other damage within a scan is not: libjpeg conceals it.

    Parameters
    ----------
    data
        The file.
    max_pixels
        The most pixels that it may declare.
    color
        Return RGB instead of luma.
    min_side
        Allow decoding at a half, quarter or eighth of the size while both sides keep this many pixels.
    orient
        Turn the image as its metadata declares.

    Returns
    -------
    Image
        The pixels, mode L or RGB.
    str
        The samples of the file, for example ``8-bit colour``.

    Raises
    ------
    NotConvertible
        The reason is unreadable, truncated, too_large or unsupported.
    """
    from PIL import ImageChops

    header = read_header(data, max_pixels)
    image = _decode_completely(header, _scans_of(header, data), color, min_side)
    if header.channels == 4:
        # Pillow inverts all CMYK.
        image = image if header.has_adobe else ImageChops.invert(image)
    image = to_mode(image, "RGB" if color else "L")
    orientation = find_orientation(header.exif, header.xmp) if orient else UPRIGHT
    return turn_upright(image, orientation.value), f"8-bit {_COLOURS[header.channels]}"


def find_copy_size(data: bytes, max_pixels: int) -> tuple[int, int] | None:
    """Return the size of a JPEG whose file can be copied, None for one that has to be encoded.

    A file is copied if it is an upright image of one channel that other readers open as it is. It is shown
    complete without being rendered: at an eighth of its size libjpeg reads every bit of the scan in half the
    time.

    Parameters
    ----------
    data
        The file.
    max_pixels
        The most pixels that it may declare.

    Returns
    -------
    tuple of int, or None
        Width and height.

    Raises
    ------
    NotConvertible
        As for `read_jpeg`.
    """
    header = read_header(data, max_pixels)
    is_plain = header.channels == 1 and header.is_plain
    if not (is_plain and find_orientation(header.exif, header.xmp) == UPRIGHT):
        return None
    # Without metadata, the header that is decoded below is the file's own.
    if len(header.segments) != header.scan and not _opens_as_it_is(data):
        return None
    scans = _scans_of(header, data)
    if scans.with_surplus is not None:
        # What a scan lacks may be coefficients that a reduced image does not use.
        _decode_completely(header, scans, color=False, min_side=None)
        return header.size
    try:
        _decode(header, scans.data, color=False, min_side=1)
    except NotConvertible:
        _decode(header, scans.data, color=False, min_side=None)  # its message names the bytes
    return header.size


def has_metadata(data: bytes, max_pixels: int) -> bool:
    """Return whether a JPEG holds EXIF, XMP, comments, profiles or bytes after its end.

    Parameters
    ----------
    data
        A complete JPEG.
    max_pixels
        The most pixels that it may declare.

    Raises
    ------
    NotConvertible
        As for `read_jpeg`.
    """
    header = read_header(data, max_pixels)
    scans = data[header.scan :]
    return header.segments + scans != data or bool(_METADATA.search(scans)) or not data.endswith(_END)


def _scans_of(header: Header, data: bytes) -> Scans:
    return read_scans(data, header.scan, channels=header.channels, is_progressive=header.is_progressive)


def _decode_completely(header: Header, scans: Scans, color: bool, min_side: int | None) -> Image:
    image = _decode(header, scans.data, color, min_side)
    if scans.with_surplus is not None and image != _decode(header, scans.with_surplus, color, min_side):
        raise NotConvertible("truncated", "a JPEG; a scan ends before it is complete")
    return image


def _decode(header: Header, scans: bytes, color: bool, min_side: int | None) -> Image:
    from PIL.JpegImagePlugin import JpegImageFile

    try:
        # The plugin itself: Image.open would warn of large images, but the size is checked already.
        image: Image = JpegImageFile(BytesIO(header.segments + scans))
        mode = image.mode if color or header.channels != 3 else "L"
        image.draft(mode, image.size if min_side is None else (min_side, min_side))
        image.load()
    except MemoryError:
        raise
    except Exception as error:
        truncated = str(error).startswith("image file is truncated")
        raise NotConvertible("truncated" if truncated else "unreadable", f"a JPEG; {error}") from error
    return image


def _opens_as_it_is(data: bytes) -> bool:
    """Return whether Pillow reads a file's own header without a warning, and finds no orientation in it."""
    from PIL import ExifTags
    from PIL.JpegImagePlugin import JpegImageFile

    try:
        with warnings.catch_warnings(action="error"), JpegImageFile(BytesIO(data)) as image:
            return image.mode == "L" and image.getexif().get(ExifTags.Base.Orientation) not in range(2, 9)
    except MemoryError:
        raise
    except Exception:
        return False
