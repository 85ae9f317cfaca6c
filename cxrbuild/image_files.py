"""Which files are images: by their first bytes, and by the suffix where the bytes are not available."""

from __future__ import annotations

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
# Value representations, PS3.5 6.2.
_REPRESENTATIONS = (
    b"AE AS AT CS DA DS DT FD FL IS LO LT OB OD OF OL OV OW PN SH SL SQ SS ST SV TM UC UI UL UN UR US UT UV"
).split()
# What a data set without preamble begins with: group length, character set, image type, dates, class, UIDs.
_FIRST_ELEMENTS = {0x0000, 0x0001, 0x0005, 0x0008, 0x0012, 0x0013, 0x0014, 0x0016, 0x0018}


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
    """Return whether a file begins as DICOM: behind a preamble (PS3.10, 7.1), or without one.

    Without one, the first element must be one that can come first, with a value representation or, in
    implicit VR, a plausible length.
    """
    if head[128:132] == b"DICM":
        return True
    group, element = int.from_bytes(head[:2], "little"), int.from_bytes(head[2:4], "little")
    if len(head) < 16 or not ((group == 8 and element in _FIRST_ELEMENTS) or (group == 2 and element <= 1)):
        return False
    return head[4:6] in _REPRESENTATIONS or int.from_bytes(head[4:8], "little") < 1024


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
