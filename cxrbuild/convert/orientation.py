"""Find the orientation that an image's metadata declares, as Pillow finds it; turn and convert images."""

from __future__ import annotations

import struct
import warnings
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from PIL.Image import Image


class Orientation(NamedTuple):
    """Hold an orientation.

    Parameters
    ----------
    value
        1 (upright) to 8; 1 if the metadata declares none, or cannot be read.
    is_certain
        Whether other readers find the same.
    """

    value: int
    is_certain: bool = True


UPRIGHT = Orientation(1)
_TAG = 0x0112


def find_orientation(exif: bytes, xmp: bytes = b"") -> Orientation:
    """Find the orientation that EXIF or, if it declares none, XMP declares.

    Pillow reads both, so that the result is that of `PIL.ImageOps.exif_transpose`. Damaged metadata counts
    as upright, as in viewers.

    Parameters
    ----------
    exif
        EXIF from its TIFF header on (Exif 2.32, 4.5.2 and 4.6.4); empty if there is none.
    xmp
        The XMP packet; empty if there is none.
    """
    if not exif and not xmp:
        return UPRIGHT
    from PIL import ExifTags
    from PIL.Image import Image

    image = Image()
    if exif:
        image.info["exif"] = b"Exif\0\0" + exif
    if xmp:
        image.info["xmp"] = xmp
    try:
        with warnings.catch_warnings(action="ignore"):
            value = image.getexif().get(ExifTags.Base.Orientation, 1)
        turn = int(value) if value in range(2, 9) else 1
        return Orientation(turn, isinstance(value, int) and _read_as_short(exif) in (value, None))
    except MemoryError:
        raise
    except Exception:
        return Orientation(1, is_certain=False)


def _read_as_short(exif: bytes) -> int | None:
    """Return the orientation as OpenCV reads it: as SHORT, of any type; None if there is none."""
    order = ">" if exif.startswith(b"MM") else "<"
    try:
        (directory,) = struct.unpack_from(f"{order}I", exif, 4)
        (count,) = struct.unpack_from(f"{order}H", exif, directory)
        for entry in range(directory + 2, directory + 2 + 12 * count, 12):
            tag, _, _, value = struct.unpack_from(f"{order}HHIH", exif, entry)
            if tag == _TAG:
                return int(value)
    except struct.error:
        pass
    return None


def to_mode(image: Image, mode: str) -> Image:
    """Convert an image to a mode; one that has it already is not copied, unlike by `Image.convert`."""
    return image if image.mode == mode else image.convert(mode)


def turn_upright(image: Image, orientation: int) -> Image:
    """Turn and mirror an image so that its EXIF orientation becomes 1."""
    from PIL.Image import Transpose

    turn = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }.get(orientation)
    return image if turn is None else image.transpose(turn)
