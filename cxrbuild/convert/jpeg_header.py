"""Read the header of a JPEG: the segments before its first scan (T.81, B.2)."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from cxrbuild.convert.exclusion import NotConvertible, check_size

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
_WITHOUT_LENGTH = {0x00, 0x01, *range(0xD0, 0xD9)}
_COMMENT, _SCAN, _END = 0xFE, 0xDA, 0xD9


class Header(NamedTuple):
    """Hold what the segments before the first scan declare.

    Parameters
    ----------
    frame
        The frame's marker.
    size
        Columns and rows.
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
    size: tuple[int, int]
    channels: int
    segments: bytes
    scan: int
    exif: bytes
    xmp: bytes
    has_adobe: bool
    is_plain: bool

    @property
    def is_progressive(self) -> bool:
        """Whether a scan may hold a part of the coefficients."""
        return self.frame in _PROGRESSIVE


# A file that is not copied is decoded at once: its header is not read again.
@lru_cache(maxsize=1)
def read_header(data: bytes, max_pixels: int) -> Header:
    """Read the segments before the first scan, and join those that the pixels depend on.

    EXIF, ICC profile and comments are removed, so that nothing in them can fail, warn or be passed on.

    Parameters
    ----------
    data
        The file.
    max_pixels
        The most pixels that it may declare.

    Raises
    ------
    NotConvertible
        The header is incomplete or damaged, or of a kind that has no decoder.
    """
    kept = [data[:2]]
    frame, size, channels, exif, xmp, exifs = 0, (0, 0), 0, b"", b"", 0
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
            frame, (size, channels) = marker, _read_frame(body, max_pixels)
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
            return Header(frame, size, channels, b"".join(kept), position, exif, xmp, has_adobe, is_plain)
        # libjpeg distinguishes colour spaces by JFIF's and Adobe's segments.
        is_metadata = marker == _COMMENT or 0xE0 <= marker <= 0xEF
        if not is_metadata or body.startswith((b"JFIF\0", b"Adobe")):
            kept.append(data[position:end])
        is_plain &= end >= position + 4
        position = max(end, position + 2)


def _read_frame(frame: bytes, max_pixels: int) -> tuple[tuple[int, int], int]:
    """Check a frame header, and return the size and the number of channels that it declares."""
    if len(frame) < 6:
        raise NotConvertible("unreadable", "a JPEG with a truncated frame header")
    bits, channels = frame[0], frame[5]
    height, width = int.from_bytes(frame[1:3]), int.from_bytes(frame[3:5])
    if not height and width:
        raise NotConvertible("unsupported", "a JPEG that declares its height after a scan (DNL)")
    check_size(width, height, max_pixels)
    if bits != 8 or channels not in (1, 3, 4):
        raise NotConvertible("unsupported", f"a JPEG of {channels} channels of {bits} bits")
    return (width, height), channels
