"""Read a PNG: check its chunks, and return its pixels over black."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from typing import TYPE_CHECKING, NamedTuple

from cxrbuild.convert.exclusion import NotConvertible, check_size
from cxrbuild.convert.orientation import find_orientation, to_mode, turn_upright

if TYPE_CHECKING:
    from PIL._imaging import ImagingCore
    from PIL.Image import Image

SIGNATURE = b"\x89PNG\r\n\x1a\n"

_INFLATED_AT_ONCE = 1 << 20
# EXIF and XMP packets are far smaller.
_LONGEST_TEXT = 1 << 20
# Adam7: the first column and row of each pass, and the steps to the next ones (PNG 3rd edition, 8.1).
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_TEXTS = {b"tEXt", b"zTXt", b"iTXt"}
_PIXELS = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}
_GRAY, _RGB, _PALETTE = 0, 2, 3
_COLOURS = {_GRAY: "grey", _RGB: "RGB", _PALETTE: "palette", 4: "grey with alpha", 6: "RGB with alpha"}
# The level of pixels that are not decoded yet, by Pillow's mode: one that no margin of a radiograph has. A
# pixel of two colours has as many bytes as one of four.
_UNWRITTEN: dict[str, int | tuple[int, ...]] = {
    "1": 255, "L": 90, "P": 90, "I;16": 0x5A5A, "LA": (90, 90), "RGB": (90, 90, 90), "RGBA": (90,) * 4,
}  # fmt: skip


class _Header(NamedTuple):
    """Hold what a PNG's chunks declare.

    Parameters
    ----------
    depth, colour
        Bits of a sample, and the colour type.
    key
        The ``tRNS`` chunk.
    stream
        The chunks that the pixels depend on.
    pixels
        The compressed pixels.
    expected
        How many bytes they inflate to.
    is_interlaced
        Whether they are in passes.
    exif, xmp
        The metadata that may declare an orientation.
    """

    depth: int
    colour: int
    key: bytes
    stream: bytes
    pixels: bytes
    expected: int
    is_interlaced: bool
    exif: bytes
    xmp: bytes


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
    from PIL import Image as Images
    from PIL.PngImagePlugin import PngImageFile

    header = _read_chunks(data, max_pixels)
    try:
        # The plugin itself: Image.open would warn of large images, but the size is checked already.
        image = PngImageFile(BytesIO(header.stream))
        canvas = Images.new(image.mode, image.size, _UNWRITTEN[image.mode]).im
        image.im = canvas
        image.load()
    except MemoryError:
        raise
    except Exception as error:
        truncated = str(error).startswith("image file is truncated")
        raise NotConvertible("truncated" if truncated else "unreadable", f"a PNG; {error}") from error
    _check_complete(image, header, canvas)
    samples = f"{header.depth}-bit {_COLOURS[header.colour]}"
    pixels = _grey(image, header) if header.colour == _GRAY else _over_black(image, header, color)
    orientation = find_orientation(header.exif, header.xmp)
    return turn_upright(to_mode(pixels, "RGB" if color else "L"), orientation.value), samples


def _check_complete(image: Image, header: _Header, canvas: ImagingCore) -> None:
    """Exclude an image whose compressed data ends before its last row: Pillow leaves the rest as it was.

    The image was decoded onto a canvas of one level. Only if the last row is of that level, the data is
    inflated again to count its rows.
    """
    from PIL.Image import Resampling

    # Not crop, which warns of large images.
    bottom = (0, image.height - 1, image.width, image.height)
    row = image.resize((image.width, 1), Resampling.NEAREST, bottom)
    # Rows of single bits are padded with zeros.
    last_row = set((row.convert("L") if row.mode == "1" else row).tobytes())
    level = _UNWRITTEN[image.mode] if image.im is canvas else 0
    is_unwritten = last_row <= ({level & 0xFF} if isinstance(level, int) else set(level))
    if not is_unwritten and not header.is_interlaced:
        return
    inflate = zlib.decompressobj()
    rest, size = header.pixels, 0
    while rest and not inflate.eof:
        size += len(inflate.decompress(rest, _INFLATED_AT_ONCE))
        rest = inflate.unconsumed_tail
    if size < header.expected:
        raise NotConvertible("truncated", f"a PNG with {size:,} of {header.expected:,} bytes of pixels")


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
    image = to_mode(image, "L")
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
    pixels: list[memoryview] = []
    depth, colour, key, exif, raw_exif, xmp = 0, 0, b"", b"", b"", b""
    width = height = interlace = 0
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
            width, height, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", body)
            check_size(width, height, max_pixels)
        elif kind == b"tRNS":
            key = bytes(body)
        elif kind == b"IDAT":
            pixels.append(body)
        elif kind == b"eXIf":
            exif = bytes(body)
        elif kind in _TEXTS:
            keyword, text = _read_text(kind, bytes(body))
            if keyword == b"XML:com.adobe.xmp":
                xmp = text
            elif keyword == b"Raw profile type exif":
                raw_exif = _read_raw_profile(text)
        elif kind == b"acTL" and int.from_bytes(body[:4]) > 1:
            raise NotConvertible("animated", f"an APNG of {int.from_bytes(body[:4])} frames")
        seen.add(kind)
    if b"IDAT" not in seen:
        raise NotConvertible("unreadable", "a PNG without pixels")
    if colour == _PALETTE and b"PLTE" not in seen:
        raise NotConvertible("unreadable", "a PNG without its palette")
    if colour == _RGB and depth == 16 and key:
        raise NotConvertible("unsupported", "a PNG of 16-bit colour with a transparent colour")
    expected = sum(
        (1 + -(-columns * _SAMPLES.get(colour, 1) * depth // 8)) * rows
        for columns, rows in _pass_sizes(width, height, interlace)
    )
    return _Header(
        depth, colour, key, b"".join(kept), b"".join(pixels), expected, bool(interlace), exif or raw_exif, xmp
    )


def _pass_sizes(width: int, height: int, interlace: int) -> list[tuple[int, int]]:
    """Return the columns and rows of each pass that is not empty."""
    if not interlace:
        return [(width, height)]
    sizes = [(-((x - width) // across), -((y - height) // down)) for x, y, across, down in _PASSES]
    return [(columns, rows) for columns, rows in sizes if columns > 0 and rows > 0]


def _read_text(kind: bytes, body: bytes) -> tuple[bytes, bytes]:
    """Return a text chunk's keyword and text; an empty text if it is damaged or too long."""
    keyword, _, text = body.partition(b"\0")
    is_compressed = kind == b"zTXt"
    if kind == b"iTXt":
        is_compressed = text[:1] == b"\1"
        text = text[1:2] + text[2:].split(b"\0", 2)[-1]
    if is_compressed:
        try:
            text = zlib.decompressobj().decompress(text[1:], _LONGEST_TEXT)
        except zlib.error:
            text = b""
    return keyword, text


def _read_raw_profile(text: bytes) -> bytes:
    """Return the EXIF that ImageMagick and ExifTool write in hexadecimal digits, from its TIFF header on."""
    try:
        return bytes.fromhex(b"".join(text.split(b"\n")[3:]).decode("ascii")).removeprefix(b"Exif\0\0")
    except ValueError:
        return b""
