"""Read a PNG: check its chunks, and return its pixels over black."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from typing import TYPE_CHECKING, NamedTuple

from cxrbuild.convert.exclusion import NotConvertible, check_size
from cxrbuild.convert.orientation import find_orientation, turn_upright

if TYPE_CHECKING:
    from PIL.Image import Image

SIGNATURE = b"\x89PNG\r\n\x1a\n"

_PIXELS = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}
_GRAY, _RGB, _PALETTE = 0, 2, 3
_COLOURS = {_GRAY: "grey", _RGB: "RGB", _PALETTE: "palette", 4: "grey with alpha", 6: "RGB with alpha"}


class _Header(NamedTuple):
    depth: int
    colour: int
    key: bytes
    stream: bytes
    orientation: int


def read_png(data: bytes, max_pixels: int, *, color: bool = False) -> tuple[Image, str]:
    """Decode a PNG to luma or RGB, upright, transparency over black.

    Samples span their depth (PNG 3rd edition, 12.4): 16-bit grey ``v`` becomes ``round(v / 257)``. Of
    16-bit colour, and of grey with alpha, Pillow gives the high byte, which differs by at most one level.

    Parameters
    ----------
    data
        The file.
    max_pixels
        The most pixels that it may declare.
    color
        Return RGB instead of luma.

    Returns
    -------
    Image
        The pixels, mode L or RGB.
    str
        The samples of the file, for example ``8-bit RGB``.

    Raises
    ------
    NotConvertible
        The reason is animated, unreadable, truncated, too_large or unsupported.
    """
    from PIL.PngImagePlugin import PngImageFile

    header = _read_chunks(data, max_pixels)
    try:
        # The plugin itself: Image.open would warn of large images, but the size is checked already.
        image = PngImageFile(BytesIO(header.stream))
        image.load()
    except MemoryError:
        raise
    except Exception as error:
        cut = str(error).startswith("image file is truncated")
        raise NotConvertible("truncated" if cut else "unreadable", f"a PNG; {error}") from error
    samples = f"{header.depth}-bit {_COLOURS[header.colour]}"
    pixels = _grey(image, header) if header.colour == _GRAY else _over_black(image, header, color)
    return turn_upright(pixels.convert("RGB" if color else "L"), header.orientation), samples


def _grey(image: Image, header: _Header) -> Image:
    """Return grey as 8 bits; the transparent level is black."""
    from PIL import Image as Images

    transparent = int.from_bytes(header.key) if header.key else None
    if header.depth == 16:
        import numpy as np

        samples = np.asarray(image)
        levels = ((samples.astype(np.uint32) + 128) // 257).astype(np.uint8)
        if transparent is not None:
            levels[samples == transparent] = 0
        return Images.fromarray(levels)
    image = image.convert("L")
    if transparent is not None:
        level = transparent * 255 // (2**header.depth - 1)
        image = image.point([0 if value == level else value for value in range(256)])
    return image


def _over_black(image: Image, header: _Header, color: bool) -> Image:
    """Return colour, or grey with alpha, over black."""
    from PIL import Image as Images

    mode = "RGB" if color else "L"
    if header.key:
        image = image.convert("RGBA")
    if image.mode not in ("LA", "RGBA"):
        return image.convert(mode)
    opaque, alpha = image.convert(mode), image.getchannel("A")
    if alpha.getextrema() == (255, 255):
        return opaque
    black = Images.new(mode, image.size)
    black.paste(opaque, mask=alpha)
    return black


def _read_chunks(data: bytes, max_pixels: int) -> _Header:
    """Check the chunks, and join those that the pixels depend on.

    Texts and ICC profile are removed, so that nothing in them can fail, grow or be passed on. Pillow checks
    neither the checksums of the pixels' chunks nor whether the file is complete: both are checked here.
    """
    kept: list[bytes] = [SIGNATURE]
    seen: set[bytes] = set()
    depth, colour, key, orientation = 0, 0, b"", 1
    position = len(SIGNATURE)
    while b"IEND" not in seen:
        start, position = position, position + 12
        body_length = int.from_bytes(data[start : start + 4])
        position += body_length
        if position > len(data):
            raise NotConvertible("truncated", f"the first {len(data):,} bytes of a PNG")
        kind = data[start + 4 : start + 8]
        body = memoryview(data)[start + 8 : position - 4]
        if not seen and (kind != b"IHDR" or body_length != 13):
            raise NotConvertible("unreadable", "a PNG that does not begin with its header")
        if kind in _PIXELS:
            checksum = zlib.crc32(body, zlib.crc32(kind))
            if checksum != int.from_bytes(data[position - 4 : position]):
                raise NotConvertible("unreadable", f"a PNG with a wrong checksum at byte {start:,}")
            kept.append(data[start:position])
        elif not kind[0] & 0x20:
            raise NotConvertible("unreadable", f"a PNG with an unknown critical chunk at byte {start:,}")
        if kind == b"IHDR":
            if seen:
                raise NotConvertible("unreadable", "a PNG with two headers")
            width, height, depth, colour = struct.unpack_from(">IIBB", body)
            check_size(width, height, max_pixels)
        elif kind == b"tRNS":
            key = bytes(body)
        elif kind == b"eXIf":
            orientation = find_orientation(bytes(body))
        elif kind == b"acTL" and int.from_bytes(body[:4]) > 1:
            raise NotConvertible("animated", f"an APNG of {int.from_bytes(body[:4])} frames")
        seen.add(kind)
    if b"IDAT" not in seen:
        raise NotConvertible("unreadable", "a PNG without pixels")
    if colour == _PALETTE and b"PLTE" not in seen:
        raise NotConvertible("unreadable", "a PNG without its palette")
    if colour == _RGB and depth == 16 and key:
        raise NotConvertible("unsupported", "a PNG of 16-bit colour with a transparent colour")
    return _Header(depth, colour, key, b"".join(kept), orientation)
