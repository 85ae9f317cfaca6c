"""Which files are images: by their first bytes, and by the suffix where the bytes are not available."""

from __future__ import annotations

import struct
from pathlib import Path

# As many bytes as `image_format` looks at.
HEAD_BYTES = 144

_SUFFIXES = tuple(
    f".{suffix}"
    for suffix in (
        "avif", "bmp", "dcm", "dic", "dicom", "gif", "heic", "heif", "ima", "j2c", "j2k", "jfif",
        "jls", "jp2", "jpc", "jpe", "jpeg", "jpf", "jpg", "jpx", "nii", "nii.gz", "nrrd", "pbm",
        "pgm", "png", "pnm", "ppm", "tif", "tiff", "webp",
    )
)  # fmt: skip
_MARKS = {
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"\0\0\0\x0cjP  ": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
}
# Value representations (PS3.5, 7.1.2): those of a first element, and those with a long length field.
_FIRST_REPRESENTATIONS = {b"CS", b"DA", b"LO", b"OB", b"SH", b"SQ", b"UI", b"UL"}
_LONG = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
# Data sets begin with the group's length, the character set, the image type or a UID.
_LAST_FIRST_ELEMENT, _LONGEST_FIRST_VALUE = 0x0100, 256


def has_image_suffix(path: str) -> bool:
    """Return whether a path ends like an image's."""
    return path.lower().endswith(_SUFFIXES)


def image_format(head: bytes) -> str | None:
    """Return the format that the first bytes of a file show, ``None`` where they are no known image's."""
    if is_dicom(head):
        return "DICOM"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    # Two bytes are too few to know a BMP by: its reserved words are 0, and its header has a known size.
    if (
        head[:2] == b"BM"
        and head[6:10] == b"\0\0\0\0"
        and head[14:18] in (b"(\0\0\0", b"l\0\0\0", b"|\0\0\0")
    ):
        return "BMP"
    return next((name for mark, name in _MARKS.items() if head.startswith(mark)), None)


def is_dicom(head: bytes) -> bool:
    """Return whether a file begins as DICOM: with a preamble (PS3.10, 7.1), or without one.

    Old and exported files may lack the preamble: they begin with an element of group 0002 or 0008.
    """
    if head[128:132] == b"DICM":
        return True
    if len(head) < 16:
        return False
    for order in "<>":
        group, element, length = struct.unpack_from(f"{order}HHI", head)
        if group in (0x0002, 0x0008) and element <= _LAST_FIRST_ELEMENT:
            return head[4:6] in _FIRST_REPRESENTATIONS or (order == "<" and length <= _LONGEST_FIRST_VALUE)
    return False


def read_file_meta(data: bytes) -> tuple[bytes, int]:
    """Return the transfer syntax of a DICOM file, and where its data set begins.

    The length that the group of file meta information gives may be wrong or missing: its elements decide, as
    in pydicom.
    """
    position, syntax = 132 if data[128:132] == b"DICM" else 0, b""
    while data[position : position + 2] == b"\x02\0" and position + 12 <= len(data):
        (element,) = struct.unpack_from("<H", data, position + 2)
        if data[position + 4 : position + 6] in _LONG:
            (length,), position = struct.unpack_from("<I", data, position + 8), position + 12
        else:
            (length,), position = struct.unpack_from("<H", data, position + 6), position + 8
        if element == 0x0010:
            syntax = data[position : position + length].strip(b" \0")
        position += length
    return syntax, position


def read_head(path: str | Path) -> bytes:
    """Return the first bytes of a file, none where there is no such file.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    try:
        with open(path, "rb", buffering=0) as stream:  # noqa: PTH123 - a third of the time, for every image
            return stream.read(HEAD_BYTES)
    except FileNotFoundError:
        return b""
