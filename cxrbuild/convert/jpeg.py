"""The luma of a JPEG."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, NamedTuple

from cxrbuild.convert.orientation import orientation_of, upright
from cxrbuild.convert.refusal import NotConvertible, check_size

if TYPE_CHECKING:
    from PIL.Image import Image

SIGNATURE = b"\xff\xd8\xff"

# Huffman-coded baseline, extended and progressive; beside them T.81 has others that hardly a reader knows.
_FRAMES = {0xC0, 0xC1, 0xC2}
_OTHER_FRAMES = {0xC3, 0xC5, 0xC6, 0xC7, *range(0xC9, 0xD0)} - {0xCC}
_COLOURS = {1: "grey", 3: "colour", 4: "CMYK"}
_ALONE = {0x00, 0x01, *range(0xD0, 0xD9)}
_COMMENT, _SCAN, _END = 0xFE, 0xDA, 0xD9


class _Header(NamedTuple):
    channels: int
    stream: bytes
    orientation: int
    adobe: bool
    several: bool


def read_jpeg(data: bytes, max_pixels: int) -> tuple[Image, str, bool]:
    """Decode a JPEG to luma, upright.

    YCbCr is decoded to its Y, which is the luma of ITU-R 601 already. CMYK is inverted where Adobe's
    marker stands, and not where it does not, as TensorFlow does it. Of a file with several pictures (MPO)
    the first is read, as by every reader of JPEG: the others are previews or a second view.

    A scan that breaks off is refused, but not damage within one: libjpeg conceals it, and Pillow does not
    pass on libjpeg's warning.

    Returns
    -------
    Image
        The luma, mode L.
    str
        The samples of the file, as ``8-bit colour``.
    bool
        Whether the file itself is what was decoded: one channel, upright, one picture.

    Raises
    ------
    NotConvertible
        The reason is unreadable, truncated, too_large or unsupported.
    """
    from PIL import ImageChops
    from PIL.JpegImagePlugin import JpegImageFile

    header = _header(data, max_pixels)
    try:
        # The plugin itself, since Image.open would warn of large images, whose size is checked by now.
        image: Image = JpegImageFile(BytesIO(header.stream))
        if header.channels == 3:
            image.draft("L", image.size)
        image.load()
    except MemoryError:
        raise
    except Exception as error:
        cut = str(error).startswith("image file is truncated")
        raise NotConvertible("truncated" if cut else "unreadable", f"a JPEG; {error}") from error
    if header.channels == 4:
        # Pillow inverts all CMYK.
        image = (image if header.adobe else ImageChops.invert(image)).convert("L")
    image = upright(image, header.orientation)
    is_the_file = header.channels == 1 and header.orientation == 1 and not header.several
    return image, f"8-bit {_COLOURS[header.channels]}", is_the_file


def _header(data: bytes, max_pixels: int) -> _Header:
    """Read the segments before the first scan, and join those that the pixels depend on.

    Without its EXIF, ICC profile and comments, nothing in them can fail, warn or be passed on.
    """
    kept = [data[:2]]
    channels, orientation, adobe, several = 0, 1, False, False
    position = 2
    while True:
        position = data.find(b"\xff", position)
        # Any number of fill bytes may stand before a marker.
        while data[position + 1 : position + 2] == b"\xff" and position >= 0:
            position += 1
        if position < 0 or position + 4 > len(data):
            raise NotConvertible("truncated", f"the first {len(data):,} bytes of a JPEG, without a scan")
        marker = data[position + 1]
        if marker in _ALONE:
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
            channels = _channels(body, max_pixels)
        elif marker == 0xE1 and body.startswith(b"Exif\0\0"):
            orientation = orientation_of(body[6:])
        elif marker == 0xE2 and body.startswith(b"MPF\0"):
            several = True
        elif marker == 0xEE and body.startswith(b"Adobe"):
            adobe = True
        elif marker == _SCAN:
            if not channels:
                raise NotConvertible("unreadable", "a JPEG without a frame header")
            kept.append(data[position:])
            return _Header(channels, b"".join(kept), orientation, adobe, several)
        # libjpeg tells colour spaces apart by JFIF's and Adobe's segments.
        is_about_the_file = marker == _COMMENT or 0xE0 <= marker <= 0xEF
        if not is_about_the_file or body.startswith((b"JFIF\0", b"Adobe")):
            kept.append(data[position:end])
        position = max(end, position + 2)


def _channels(frame: bytes, max_pixels: int) -> int:
    if len(frame) < 6:
        raise NotConvertible("unreadable", "a JPEG with a frame header cut short")
    bits, channels = frame[0], frame[5]
    check_size(int.from_bytes(frame[3:5]), int.from_bytes(frame[1:3]), max_pixels)
    if bits != 8 or channels not in (1, 3, 4):
        raise NotConvertible("unsupported", f"a JPEG of {channels} channels of {bits} bits")
    return channels
