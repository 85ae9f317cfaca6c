"""Read a JPEG: its pixels, and whether the file itself is an upright one-channel JPEG."""

from __future__ import annotations

import warnings
from io import BytesIO
from typing import TYPE_CHECKING, NamedTuple

from cxrbuild.convert.exclusion import NotConvertible, check_size
from cxrbuild.convert.jpeg_scans import read_scans
from cxrbuild.convert.orientation import UPRIGHT, find_orientation, turn_upright

if TYPE_CHECKING:
    from PIL.Image import Image

SIGNATURE = b"\xff\xd8\xff"

# Frames that Pillow decodes: baseline, extended and progressive, of Huffman or of arithmetic coding.
_SEQUENTIAL, _PROGRESSIVE, _ARITHMETIC = {0xC0, 0xC1, 0xC9}, {0xC2, 0xCA}, {0xC9, 0xCA}
_FRAMES = _SEQUENTIAL | _PROGRESSIVE
_OTHER_FRAMES = {
    0xC3: "a lossless JPEG",
    0xC5: "a hierarchical JPEG",
    0xC6: "a hierarchical JPEG",
    0xC7: "a hierarchical JPEG",
    0xCB: "a lossless JPEG of arithmetic coding",
    0xCD: "a hierarchical JPEG",
    0xCE: "a hierarchical JPEG",
    0xCF: "a hierarchical JPEG",
    0xF7: "a JPEG-LS file",
}
_COLOURS = {1: "grey", 3: "colour", 4: "CMYK"}
_WITHOUT_LENGTH = {0x00, 0x01, *range(0xD0, 0xD9)}
_COMMENT, _SCAN, _END = 0xFE, 0xDA, 0xD9


class _Header(NamedTuple):
    """Hold what the segments before the first scan declare.

    Parameters
    ----------
    frame
        The frame's marker.
    channels
        The number of channels.
    segments
        The segments that the pixels depend on, from the start of the file on.
    scan
        The position of the first scan.
    exif, xmp
        The metadata that may declare an orientation.
    has_adobe
        Whether Adobe's marker is there.
    is_plain
        Whether every reader of JPEG takes the header in the same way: no bytes between the segments, one
        image, at most one EXIF segment, Huffman coding.
    """

    frame: int
    channels: int
    segments: bytes
    scan: int
    exif: bytes
    xmp: bytes
    has_adobe: bool
    is_plain: bool


def read_jpeg(
    data: bytes, max_pixels: int, *, color: bool = False, min_side: int | None = None, orient: bool = True
) -> tuple[Image, str, bool]:
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
    bool
        Whether the file itself is an upright image of one channel that other readers open as it is.

    Raises
    ------
    NotConvertible
        The reason is unreadable, truncated, too_large or unsupported.
    """
    from PIL import ImageChops

    header = _read_header(data, max_pixels)
    scans = read_scans(
        data, header.scan, channels=header.channels, is_progressive=header.frame in _PROGRESSIVE
    )
    image = _decode(header, scans.data, color, min_side)
    if scans.with_surplus is not None and image != _decode(header, scans.with_surplus, color, min_side):
        raise NotConvertible("truncated", "a JPEG; a scan ends before it is complete")
    if header.channels == 4:
        # Pillow inverts all CMYK.
        image = image if header.has_adobe else ImageChops.invert(image)
    image = image.convert("RGB" if color else "L")
    orientation = find_orientation(header.exif, header.xmp) if orient else UPRIGHT
    is_the_file = header.channels == 1 and header.is_plain and orientation == UPRIGHT
    samples = f"8-bit {_COLOURS[header.channels]}"
    return turn_upright(image, orientation.value), samples, is_the_file and _opens_as_it_is(data)


def _decode(header: _Header, scans: bytes, color: bool, min_side: int | None) -> Image:
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
        cut = str(error).startswith("image file is truncated")
        raise NotConvertible("truncated" if cut else "unreadable", f"a JPEG; {error}") from error
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


def _read_header(data: bytes, max_pixels: int) -> _Header:
    """Read the segments before the first scan, and join those that the pixels depend on.

    EXIF, ICC profile and comments are removed, so that nothing in them can fail, warn or be passed on.
    """
    kept = [data[:2]]
    frame, channels, exif, xmp, exifs = 0, 0, b"", b"", 0
    has_adobe, is_plain = False, True
    position = 2
    while True:
        start, position = position, data.find(b"\xff", position)
        is_plain &= start == position
        # Any number of fill bytes may precede a marker.
        while data[position + 1 : position + 2] == b"\xff" and position >= 0:
            position += 1
        if position < 0 or position + 4 > len(data):
            raise NotConvertible("truncated", f"the first {len(data):,} bytes of a JPEG, without a scan")
        marker = data[position + 1]
        if marker in _WITHOUT_LENGTH:
            is_plain = False
            position += 2
            continue
        end = position + 2 + int.from_bytes(data[position + 2 : position + 4])
        body = data[position + 4 : end]
        if marker == _END:
            raise NotConvertible("unreadable", "a JPEG without a scan")
        if end > len(data):
            raise NotConvertible("truncated", f"the first {len(data):,} bytes of a JPEG, without a scan")
        if marker in _OTHER_FRAMES:
            raise NotConvertible("unsupported", _OTHER_FRAMES[marker])
        if marker in _FRAMES:
            is_plain &= not frame and marker not in _ARITHMETIC
            frame, channels = marker, _read_frame(body, max_pixels)
        elif marker == 0xE1 and body.startswith(b"Exif\0"):
            # Pillow joins several segments, and reads the first header in them.
            exif += body[6:]
            exifs += 1
        elif marker == 0xE1 and body.startswith(b"http://ns.adobe.com/xap/1.0/\0"):
            xmp = body.partition(b"\0")[2]
        elif marker == 0xE2 and body.startswith(b"MPF\0"):
            is_plain = False
        elif marker == 0xEE and body.startswith(b"Adobe"):
            has_adobe = True
        elif marker == _SCAN:
            if not channels:
                raise NotConvertible("unreadable", "a JPEG without a frame header")
            is_plain &= exifs <= 1
            return _Header(frame, channels, b"".join(kept), position, exif, xmp, has_adobe, is_plain)
        # libjpeg distinguishes colour spaces by JFIF's and Adobe's segments.
        is_metadata = marker == _COMMENT or 0xE0 <= marker <= 0xEF
        if not is_metadata or body.startswith((b"JFIF\0", b"Adobe")):
            kept.append(data[position:end])
        is_plain &= end >= position + 4
        position = max(end, position + 2)


def _read_frame(frame: bytes, max_pixels: int) -> int:
    """Check a frame header, and return how many channels it declares."""
    if len(frame) < 6:
        raise NotConvertible("unreadable", "a JPEG with a frame header cut short")
    bits, channels = frame[0], frame[5]
    check_size(int.from_bytes(frame[3:5]), int.from_bytes(frame[1:3]), max_pixels)
    if bits != 8 or channels not in (1, 3, 4):
        raise NotConvertible("unsupported", f"a JPEG of {channels} channels of {bits} bits")
    return channels
