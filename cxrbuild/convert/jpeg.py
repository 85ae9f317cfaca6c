"""Read a JPEG: its pixels, and whether the file itself is an upright one-channel JPEG."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, NamedTuple

from cxrbuild.convert.exclusion import NotConvertible, check_size
from cxrbuild.convert.orientation import find_orientation, turn_upright

if TYPE_CHECKING:
    from PIL.Image import Image

SIGNATURE = b"\xff\xd8\xff"

# Huffman-coded baseline, extended and progressive frames; few readers decode the other kinds of T.81.
_FRAMES = {0xC0, 0xC1, 0xC2}
_OTHER_FRAMES = {0xC3, 0xC5, 0xC6, 0xC7, *range(0xC9, 0xD0)} - {0xCC}
_COLOURS = {1: "grey", 3: "colour", 4: "CMYK"}
_WITHOUT_LENGTH = {0x00, 0x01, *range(0xD0, 0xD9)}
_COMMENT, _SCAN, _END = 0xFE, 0xDA, 0xD9


class _Header(NamedTuple):
    channels: int
    stream: bytes
    orientation: int
    has_adobe: bool
    has_more_images: bool


def read_jpeg(
    data: bytes, max_pixels: int, *, color: bool = False, min_side: int | None = None
) -> tuple[Image, str, bool]:
    """Decode a JPEG, upright.

    YCbCr is decoded to its Y, which is the luma of ITU-R 601 already. CMYK is inverted if the file has
    Adobe's marker, and not inverted otherwise, as TensorFlow does. A file with several images (MPO) gives
    its first one, as in every JPEG reader: the others are previews or a second view.

    A scan that ends early is an exclusion. Damage within a scan is not: libjpeg conceals it, and Pillow does
    not pass on libjpeg's warning.

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

    Returns
    -------
    Image
        The pixels, mode L or RGB.
    str
        The samples of the file, for example ``8-bit colour``.
    bool
        Whether the file is of one channel, upright and of one image.

    Raises
    ------
    NotConvertible
        The reason is unreadable, truncated, too_large or unsupported.
    """
    from PIL import ImageChops
    from PIL.JpegImagePlugin import JpegImageFile

    header = _read_header(data, max_pixels)
    try:
        # The plugin itself: Image.open would warn of large images, but the size is checked already.
        image: Image = JpegImageFile(BytesIO(header.stream))
        mode = image.mode if color or header.channels != 3 else "L"
        image.draft(mode, image.size if min_side is None else (min_side, min_side))
        image.load()
    except MemoryError:
        raise
    except Exception as error:
        cut = str(error).startswith("image file is truncated")
        raise NotConvertible("truncated" if cut else "unreadable", f"a JPEG; {error}") from error
    if header.channels == 4:
        # Pillow inverts all CMYK.
        image = image if header.has_adobe else ImageChops.invert(image)
    image = turn_upright(image.convert("RGB" if color else "L"), header.orientation)
    is_the_file = header.channels == 1 and header.orientation == 1 and not header.has_more_images
    return image, f"8-bit {_COLOURS[header.channels]}", is_the_file


def _read_header(data: bytes, max_pixels: int) -> _Header:
    """Read the segments before the first scan, and join those that the pixels depend on.

    EXIF, ICC profile and comments are removed, so that nothing in them can fail, warn or be passed on.
    """
    kept = [data[:2]]
    channels, orientation, has_adobe, has_more_images = 0, 1, False, False
    position = 2
    while True:
        position = data.find(b"\xff", position)
        # Any number of fill bytes may precede a marker.
        while data[position + 1 : position + 2] == b"\xff" and position >= 0:
            position += 1
        if position < 0 or position + 4 > len(data):
            raise NotConvertible("truncated", f"the first {len(data):,} bytes of a JPEG, without a scan")
        marker = data[position + 1]
        if marker in _WITHOUT_LENGTH:
            position += 2
            continue
        end = position + 2 + int.from_bytes(data[position + 2 : position + 4])
        body = data[position + 4 : end]
        if marker == _END:
            raise NotConvertible("unreadable", "a JPEG without a scan")
        if end > len(data):
            raise NotConvertible("truncated", f"the first {len(data):,} bytes of a JPEG, without a scan")
        if marker in _OTHER_FRAMES:
            raise NotConvertible("unsupported", f"a JPEG of type SOF{marker - 0xC0}")
        if marker in _FRAMES:
            channels = _read_frame(body, max_pixels)
        elif marker == 0xE1 and body.startswith(b"Exif\0\0"):
            orientation = find_orientation(body[6:])
        elif marker == 0xE2 and body.startswith(b"MPF\0"):
            has_more_images = True
        elif marker == 0xEE and body.startswith(b"Adobe"):
            has_adobe = True
        elif marker == _SCAN:
            if not channels:
                raise NotConvertible("unreadable", "a JPEG without a frame header")
            kept.append(data[position:])
            return _Header(channels, b"".join(kept), orientation, has_adobe, has_more_images)
        # libjpeg distinguishes colour spaces by JFIF's and Adobe's segments.
        is_metadata = marker == _COMMENT or 0xE0 <= marker <= 0xEF
        if not is_metadata or body.startswith((b"JFIF\0", b"Adobe")):
            kept.append(data[position:end])
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
