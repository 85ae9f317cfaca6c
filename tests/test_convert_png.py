"""Conversion of PNG to 8-bit one-channel JPEG, against numpy's arithmetic; bad files by reason."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from image_files import (
    CONVERSION,
    HEIGHT,
    ORIENTATION,
    TOLERANCE,
    WIDTH,
    assert_close,
    chunk,
    colour,
    encoded,
    excluded,
    gray,
    inserted,
    luma,
    png,
    ramp,
    samples16,
    saved,
)
from PIL import Image, ImageOps

from cxrbuild.convert import Reason, read_image, to_jpeg


def test_png_gray() -> None:
    assert_close(encoded(saved(gray(), "PNG")), ramp(1)[..., 0])


def test_png_of_one_bit() -> None:
    expected = (np.mgrid[0:HEIGHT, 0:WIDTH][1] >= 16) * 255
    image = Image.fromarray(expected.astype(np.uint8)).convert("1")
    assert_close(encoded(saved(image, "PNG")), expected)


@pytest.mark.parametrize("depth", [2, 4])
def test_png_of_few_bits_spans_the_range(depth: int) -> None:
    top = 2**depth - 1
    values = np.tile((np.arange(WIDTH) * (top + 1) // WIDTH).astype(np.uint8), (HEIGHT, 1))
    bits = np.unpackbits(values[..., None], axis=-1)[..., -depth:].reshape(HEIGHT, -1)
    rows = [np.packbits(row).tobytes() for row in bits]
    assert_close(encoded(png(depth, 0, rows)), values * 255.0 / top, 8)


def test_png_of_16_bits_spans_the_range_and_rounds() -> None:
    values = ramp(1, 65535)[..., 0]
    assert_close(encoded(png(16, 0, samples16(values))), values / 257)
    assert_close(encoded(png(16, 0, samples16(np.full((HEIGHT, WIDTH), 255)))), np.ones((HEIGHT, WIDTH)), 0)


def test_png_16_bits_written_by_pillow() -> None:
    values = ramp(1, 65535)[..., 0].astype(np.uint16)
    assert_close(encoded(saved(Image.fromarray(values), "PNG")), values / 257)


@pytest.mark.parametrize(("colour_type", "channels"), [(4, 2), (2, 3), (6, 4)])
def test_png_of_16_bits_with_colour_or_alpha(colour_type: int, channels: int) -> None:
    values = ramp(channels, 65535)
    expected = (values[..., 0] if channels == 2 else luma(values)) / 257
    if colour_type in (4, 6):
        expected *= values[..., -1] / 65535
    assert_close(
        encoded(png(16, colour_type, samples16(values.reshape(HEIGHT, -1)))), expected, TOLERANCE + 1
    )


def test_png_rgb() -> None:
    assert_close(encoded(saved(colour(), "PNG")), luma(ramp(3)))


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_png_alpha_is_over_black(mode: str) -> None:
    channels = 2 if mode == "LA" else 4
    values = ramp(channels)
    pixels = Image.fromarray(values.astype(np.uint8))
    assert pixels.mode == mode
    expected = (values[..., 0] if mode == "LA" else luma(values)) * values[..., -1] / 255
    assert_close(encoded(saved(pixels, "PNG")), expected)


def test_png_opaque_alpha_is_ignored() -> None:
    image = colour()
    image.putalpha(255)
    assert to_jpeg(saved(image, "PNG"), CONVERSION).data == to_jpeg(saved(colour(), "PNG"), CONVERSION).data


def test_png_palette() -> None:
    image = colour().quantize(64, dither=Image.Dither.NONE)
    assert_close(encoded(saved(image, "PNG")), luma(np.asarray(image.convert("RGB"))), 12)


@pytest.mark.parametrize("alpha", [b"\0", bytes(range(0, 256, 8))])
def test_png_palette_with_transparency(alpha: bytes) -> None:
    levels = (np.arange(32) * 8).astype(np.uint8)
    values = np.tile(np.arange(WIDTH) * 32 // WIDTH, (HEIGHT, 1))
    palette = chunk(b"PLTE", np.repeat(levels[::-1], 3).tobytes()) + chunk(b"tRNS", alpha)
    opacity = np.full(32, 255.0)
    opacity[: len(alpha)] = list(alpha)
    data = png(8, 3, [row.astype(np.uint8).tobytes() for row in values], palette)
    assert_close(encoded(data), (levels[::-1] * opacity / 255)[values], 16)


@pytest.mark.parametrize(
    ("depth", "key", "pixel"), [(8, 200, b"\xc8"), (4, 13, b"\xdd"), (16, 51000, b"\xc7\x38")]
)
def test_png_transparent_gray_is_black(depth: int, key: int, pixel: bytes) -> None:
    per_row = pixel * (WIDTH * depth // 8 // len(pixel))
    seen = encoded(png(depth, 0, [per_row] * HEIGHT))
    keyed = encoded(png(depth, 0, [per_row] * HEIGHT, chunk(b"tRNS", struct.pack(">H", key))))
    other = encoded(png(depth, 0, [per_row] * HEIGHT, chunk(b"tRNS", struct.pack(">H", key - 1))))
    assert seen.min() > 195
    assert (keyed == 0).all()
    assert (other == seen).all()


def test_png_transparent_colour_is_black() -> None:
    key = chunk(b"tRNS", struct.pack(">HHH", 10, 200, 30))
    row = bytes([10, 200, 30]) * 16 + bytes([10, 200, 31]) * 24
    found = encoded(png(8, 2, [row] * HEIGHT, key))
    assert_close(found[:, :16], np.zeros((HEIGHT, 16)), 1)
    assert_close(found[:, 16:], np.full((HEIGHT, 24), 123.9), 2)


def test_png_transparent_colour_of_16_bits_is_excluded() -> None:
    data = png(16, 2, samples16(ramp(3, 65535).reshape(HEIGHT, -1)), chunk(b"tRNS", b"\0" * 6))
    assert "16-bit colour" in excluded(data, "unsupported")


def test_png_interlaced() -> None:
    # One pixel has one pass of Adam7; Pillow reads more but writes none.
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 2, 8, 0, 0, 0, 1))
    passes = b"\0\x10" + b"\0\x20" + b"\0\x30\x40"
    data = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(passes)) + chunk(b"IEND", b"")
    assert_close(encoded(data), np.array([[16.0, 32.0], [48.0, 64.0]]))


def test_png_metadata_is_not_read() -> None:
    plain = saved(colour(), "PNG")
    bomb = zlib.compress(b"\0" * 80_000_000)
    extra = chunk(b"zTXt", b"a\0\0" + bomb) + chunk(b"iTXt", b"b\0\1\0\0\0" + bomb)
    extra += (
        chunk(b"iCCP", b"profile\0\0" + bomb) + chunk(b"tEXt", b"Patient\0Jane") + chunk(b"pHYs", b"short")
    )
    assert to_jpeg(inserted(plain, extra), CONVERSION) == to_jpeg(plain, CONVERSION)


def test_png_exif_orientation() -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    image = colour()
    turned = ImageOps.exif_transpose(Image.open(io.BytesIO(saved(image, "PNG", exif=exif))))
    assert turned.size == (HEIGHT, WIDTH)
    assert_close(encoded(saved(image, "PNG", exif=exif)), luma(np.asarray(turned)))


@pytest.mark.parametrize("frames", [2, 3])
def test_apng_is_animated(frames: int) -> None:
    images = [gray().point(lambda value, step=step: value // (step + 1)) for step in range(frames)]
    data = saved(images[0], "PNG", save_all=True, append_images=images[1:])
    assert excluded(data, "animated") == f"an APNG of {frames} frames"


def test_apng_of_one_frame_is_converted() -> None:
    data = saved(gray(), "PNG")
    assert_close(encoded(inserted(data, chunk(b"acTL", struct.pack(">II", 1, 0)))), ramp(1)[..., 0])


@pytest.mark.parametrize(
    ("data", "reason", "found"),
    [
        (png(8, 0, [b""] * 3, width=0), "unreadable", "0 x 3 pixels"),
        (png(8, 0, []), "unreadable", "40 x 0 pixels"),
        (png(8, 3, [b"\0" * WIDTH] * 3), "unreadable", "without its palette"),
        (png(7, 0, [b"\0" * WIDTH] * 3), "unreadable", "a PNG; "),
        (png(8, 0, [b"\0" * WIDTH] * 3, chunk(b"CgBI", b"\0" * 4)), "unreadable", "unknown critical chunk"),
        (png(8, 0, [b"\0" * WIDTH] * 3, chunk(b"IHDR", b"\0" * 13)), "unreadable", "two headers"),
        (b"\x89PNG\r\n\x1a\n" + chunk(b"IEND", b""), "unreadable", "does not begin with its header"),
        (png(8, 0, [b"\0" * WIDTH] * 3).replace(b"IDAT", b"iDAT"), "unreadable", "without pixels"),
        (png(8, 0, [b"\0" * WIDTH] * 2 + [b""]), "truncated", "not processed"),
        (inserted(saved(gray(), "PNG"), chunk(b"tRNS", b"\0\1"))[:-30], "truncated", "bytes of a PNG"),
    ],
)
def test_bad_png(data: bytes, reason: Reason, found: str) -> None:
    assert found in excluded(data, reason)


@pytest.mark.parametrize("rows", [1, HEIGHT // 2, HEIGHT - 1])
@pytest.mark.parametrize("last", [0, 200])
def test_png_with_missing_rows_is_excluded(rows: int, last: int) -> None:
    data = png(8, 0, [bytes([last]) * WIDTH] * rows)
    whole = data[:20] + struct.pack(">I", HEIGHT) + data[24:29]
    data = whole + struct.pack(">I", zlib.crc32(whole[12:])) + data[33:]
    found = excluded(data, "truncated")
    assert found == f"a PNG with {41 * rows:,} of {41 * HEIGHT:,} bytes of pixels"


@pytest.mark.parametrize(
    ("kind", "depth"), [(0, 1), (3, 1), *((kind, 8) for kind in (0, 2, 3, 4, 6)), (0, 16), (2, 16), (6, 16)]
)
def test_png_of_any_mode_with_missing_rows_is_excluded(kind: int, depth: int) -> None:
    samples = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[kind]
    # The level of pixels that Pillow did not decode is that of the last row as well.
    for level in (0x5A, 0x00, 0xFF):
        row = bytes([level]) * (-(-9 * samples * depth // 8))
        palette = [chunk(b"PLTE", bytes(range(256)) * 3)] if kind == 3 else []
        whole, half = (png(depth, kind, [row] * rows, *palette, width=9) for rows in (4, 2))
        assert to_jpeg(whole, CONVERSION).conversion == "encoded"
        excluded(whole[:33] + half[33:], "truncated")


def test_png_with_a_black_lower_half_is_converted() -> None:
    rows = [b"\x80" * WIDTH] * 12 + [bytes(WIDTH)] * 12
    assert_close(encoded(png(8, 0, rows)), np.repeat([[128.0], [0.0]], 12, axis=0).repeat(WIDTH, axis=1), 12)


@pytest.mark.parametrize(("size", "passes"), [(1, 1), (2, 3), (3, 5), (5, 7)])
def test_png_interlaced_with_missing_passes_is_excluded(size: int, passes: int) -> None:
    # Adam7: columns and rows of the passes that are not empty.
    shapes = {
        1: [(1, 1)],
        2: [(1, 1), (1, 1), (2, 1)],
        3: [(1, 1), (1, 1), (2, 1), (1, 2), (3, 1)],
        5: [(1, 1), (1, 1), (2, 1), (1, 2), (3, 1), (2, 3), (5, 2)],
    }[size]
    assert len(shapes) == passes
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", size, size, 8, 0, 0, 0, 1))
    pixels = [(b"\0" + b"\x60" * columns) * rows for columns, rows in shapes]
    start, end = b"\x89PNG\r\n\x1a\n" + header, chunk(b"IEND", b"")
    complete = start + chunk(b"IDAT", zlib.compress(b"".join(pixels))) + end
    assert_close(encoded(complete), np.full((size, size), 96.0))
    truncated = start + chunk(b"IDAT", zlib.compress(b"".join(pixels)[:-1])) + end
    excluded(truncated, "truncated")


def text_chunks(orientation: int) -> dict[str, bytes]:
    exif = b"Exif\0\0MM\0*" + struct.pack(">IHHHIHHI", 8, 1, ORIENTATION, 3, 1, orientation, 0, 0)
    profile = b"\nexif\n      %d\n%s\n" % (len(exif), exif.hex().encode())
    xmp = b'<x:xmpmeta><rdf:Description tiff:Orientation="%d"/></x:xmpmeta>' % orientation
    key, xmp_key = b"Raw profile type exif\0", b"XML:com.adobe.xmp\0"
    return {
        "raw profile": chunk(b"tEXt", key + profile),
        "compressed raw profile": chunk(b"zTXt", key + b"\0" + zlib.compress(profile)),
        "xmp": chunk(b"iTXt", xmp_key + b"\0\0\0\0" + xmp),
        "compressed xmp": chunk(b"iTXt", xmp_key + b"\1\0\0\0" + zlib.compress(xmp)),
    }


@pytest.mark.parametrize("kind", list(text_chunks(1)))
def test_png_orientation_in_texts_is_pillow_s(kind: str) -> None:
    data = inserted(saved(colour(), "PNG"), text_chunks(6)[kind])
    with Image.open(io.BytesIO(data)) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    assert expected.shape == (WIDTH, HEIGHT, 3)
    assert (np.asarray(read_image(data, color=True)) == expected).all()


@pytest.mark.parametrize("text", [b"", b"\0", b"\0\0", b"\0\0not zlib", b"\n\n\n\n\nzz"])
def test_png_damaged_texts_count_as_upright(text: bytes) -> None:
    plain = saved(colour(), "PNG")
    for kind in (b"tEXt", b"zTXt", b"iTXt"):
        for key in (b"Raw profile type exif", b"XML:com.adobe.xmp"):
            assert to_jpeg(inserted(plain, chunk(kind, key + text)), CONVERSION) == to_jpeg(plain, CONVERSION)
