"""Find the orientation that EXIF declares, and turn an image upright by it."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

_ORIENTATION = 0x0112
_SHORT = 3


def find_orientation(exif: bytes) -> int:
    """Return the orientation that EXIF declares, 1 (upright) to 8; 1 if it declares none.

    Damaged EXIF counts as upright, as in viewers: the pixels do not depend on it.

    Parameters
    ----------
    exif
        EXIF from its TIFF header on (Exif 2.32, 4.5.2 and 4.6.4).
    """
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None:
        return 1
    try:
        (directory,) = struct.unpack_from(f"{order}I", exif, 4)
        (count,) = struct.unpack_from(f"{order}H", exif, directory)
        for entry in range(directory + 2, directory + 2 + 12 * count, 12):
            tag, kind, _, value = struct.unpack_from(f"{order}HHIH", exif, entry)
            if tag == _ORIENTATION:
                return value if kind == _SHORT and 1 <= value <= 8 else 1
    except struct.error:
        pass
    return 1


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
