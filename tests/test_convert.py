"""Conversion of PNG and JPEG to 8-bit one-channel JPEG, against numpy's arithmetic; bad files by reason."""

from __future__ import annotations

import io
import pickle
import random
import struct
import subprocess
import sys
import typing
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile, ImageOps

from cxrbuild.convert import Jpeg, NotConvertible, Reason, Settings, read_image, to_jpeg
from cxrbuild.exclusions import reasons_of

CONVERSION = Settings(95, 100_000_000)
WIDTH, HEIGHT = 40, 24
ORIENTATION = 0x0112
# One level each for luma's rounding and for quality 95 of a smooth image.
TOLERANCE = 3


def ramp(channels: int, top: int = 255) -> np.ndarray:
    """Return a smooth image, which JPEG at quality 95 keeps: float, (height, width, channels)."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    planes = [x / WIDTH, y / HEIGHT, (x + y) / (WIDTH + HEIGHT), 1 - x / WIDTH / 2][:channels]
    return np.rint(np.stack(planes, axis=-1) * top)


def luma(rgb: np.ndarray) -> np.ndarray:
    return rgb[..., :3] @ np.array([0.299, 0.587, 0.114])


def saved(image: Image.Image, form: str, **options: typing.Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def gray(mode: str = "L") -> Image.Image:
    return Image.fromarray(ramp(1)[..., 0].astype(np.uint8)).convert(mode)


def colour() -> Image.Image:
    return Image.fromarray(ramp(3).astype(np.uint8))


def shown(jpeg: Jpeg) -> np.ndarray:
    """Decode a result, and check what holds for every result."""
    with Image.open(io.BytesIO(jpeg.data)) as image:
        assert (image.format, image.mode, image.size) == ("JPEG", "L", (jpeg.width, jpeg.height))
        return np.asarray(image).astype(float)


def encoded(data: bytes) -> np.ndarray:
    jpeg = to_jpeg(data, CONVERSION)
    assert jpeg.conversion == "encoded"
    # Only JFIF's own segment, and none of EXIF, ICC, XMP or comments.
    assert markers(jpeg.data) == [0xE0, 0xDB, 0xC0, 0xC4, 0xC4, 0xDA]
    assert to_jpeg(data, CONVERSION) == jpeg
    return shown(jpeg)


def markers(data: bytes) -> list[int]:
    found, position = [], 2
    while not found or found[-1] != 0xDA:
        found.append(data[position + 1])
        position += 2 + int.from_bytes(data[position + 2 : position + 4])
    return found


def excluded(data: bytes, reason: Reason, settings: Settings = CONVERSION) -> str:
    with pytest.raises(NotConvertible) as caught:
        to_jpeg(data, settings)
    assert caught.value.reason == reason
    assert caught.value.found in str(caught.value)
    return caught.value.found


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(depth: int, colour_type: int, rows: list[bytes], *extra: bytes, width: int = WIDTH) -> bytes:
    """Write a PNG of kinds that Pillow does not write."""
    header = struct.pack(">IIBBBBB", width, len(rows), depth, colour_type, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    parts = (chunk(b"IHDR", header), *extra, chunk(b"IDAT", pixels), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def inserted(data: bytes, extra: bytes) -> bytes:
    """Insert chunks after a PNG's header."""
    return data[:33] + extra + data[33:]


def segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def samples16(values: np.ndarray) -> list[bytes]:
    return [row.astype(">u2").tobytes() for row in values]


def assert_close(found: np.ndarray, expected: np.ndarray, tolerance: float = TOLERANCE) -> None:
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= tolerance


# --- PNG -----------------------------------------------------------------------------------------------


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


# --- JPEG ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"quality": 30}, {"restart_marker_rows": 1}])
def test_jpeg_of_one_channel_is_copied(options: dict[str, int]) -> None:
    data = saved(gray(), "JPEG", **options)
    jpeg = to_jpeg(data, CONVERSION)
    assert jpeg == Jpeg(data, WIDTH, HEIGHT, "copied", "JPEG 8-bit grey")
    shown(jpeg)


def test_jpeg_with_metadata_is_copied_completely() -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 1
    data = (
        saved(gray(), "JPEG", comment=b"a comment", exif=exif, icc_profile=b"x" * 200_000) + b"trailing bytes"
    )
    assert to_jpeg(data, CONVERSION) == Jpeg(data, WIDTH, HEIGHT, "copied", "JPEG 8-bit grey")


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_jpeg_exif_orientation(orientation: int, mode: str) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    data = saved(colour().convert(mode), "JPEG", quality=95, exif=exif)
    with Image.open(io.BytesIO(data)) as image:
        expected = np.asarray(ImageOps.exif_transpose(image).convert("L")).astype(float)
    assert_close(encoded(data), expected)


@pytest.mark.parametrize("value", [0, 9, 1])
@pytest.mark.parametrize("order", ["<", ">"])
def test_upright_jpeg_with_exif_is_copied(value: int, order: str) -> None:
    tiff = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(
        f"{order}IHHHIHHI", 8, 1, ORIENTATION, 3, 1, value, 0, 0
    )
    plain = saved(gray(), "JPEG")
    data = plain[:2] + segment(0xE1, b"Exif\0\0" + tiff) + plain[2:]
    assert to_jpeg(data, CONVERSION).conversion == "copied"


@pytest.mark.parametrize(
    "tiff", [b"", b"II*\0", b"II*\0\xff\xff\xff\xff", b"II*\0\x08\0\0\0\xff\xff", b"nonsense"]
)
def test_jpeg_with_damaged_exif_counts_as_upright(tiff: bytes) -> None:
    plain = saved(gray(), "JPEG")
    data = plain[:2] + segment(0xE1, b"Exif\0\0" + tiff) + plain[2:]
    assert to_jpeg(data, CONVERSION).conversion == "copied"


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}])
def test_jpeg_ycbcr_becomes_its_y(options: dict[str, int]) -> None:
    data = saved(colour(), "JPEG", quality=95, **options)
    assert_close(encoded(data), luma(ramp(3)))
    with Image.open(io.BytesIO(data)) as image:
        image.draft("YCbCr", image.size)
        y = np.asarray(image.getchannel("Y")).astype(float)
    assert_close(encoded(data), y, 2)


def test_jpeg_coded_as_rgb() -> None:
    data = saved(colour(), "JPEG", quality=95, keep_rgb=True)
    assert_close(encoded(data), luma(ramp(3)))
    # Its channels are called R, G and B; by other names, Adobe's segment alone says what they are.
    assert b"Adobe" in data[:64]
    for marker, step in ((b"\xff\xc0", 3), (b"\xff\xda", 2)):
        start = data.index(marker) + (10 if marker == b"\xff\xc0" else 5)
        names = bytearray(data)
        names[start : start + 3 * step : step] = b"\1\2\3"
        data = bytes(names)
    assert_close(encoded(data), luma(ramp(3)))


def test_jpeg_metadata_is_not_read() -> None:
    plain = saved(colour(), "JPEG", quality=95)
    profiled = saved(colour(), "JPEG", quality=95, icc_profile=b"no profile at all", comment=b"Jane")
    assert to_jpeg(profiled, CONVERSION) == to_jpeg(plain, CONVERSION)


def cmyk() -> tuple[Image.Image, np.ndarray]:
    ink = ramp(4) * 0.6
    light = (255 - ink) / 255
    return Image.fromarray(ink.astype(np.uint8), "CMYK"), luma(light[..., :3] * light[..., 3:]) * 255


def test_jpeg_cmyk_with_adobe_marker_is_inverted() -> None:
    image, expected = cmyk()
    data = saved(image, "JPEG", quality=95)
    assert b"Adobe" in data[:64]
    assert_close(encoded(data), expected, 5)


def test_jpeg_cmyk_without_adobe_marker_is_not_inverted() -> None:
    image, expected = cmyk()
    inverted = Image.fromarray(255 - np.asarray(image), "CMYK")
    data = saved(inverted, "JPEG", quality=95)
    start = data.index(b"\xff\xee")
    without = data[:start] + data[start + 2 + int.from_bytes(data[start + 2 : start + 4]) :]
    assert_close(encoded(without), expected, 5)


def test_jpeg_ycck() -> None:
    image, _ = cmyk()
    data = bytearray(saved(image, "JPEG", quality=95))
    start = data.index(b"\xff\xee")
    data[start + 15] = 2
    with Image.open(io.BytesIO(data)) as same:
        assert same.info["adobe_transform"] == 2
        expected = np.asarray(same.convert("RGB")).astype(float)
    assert_close(encoded(bytes(data)), luma(expected), 5)


def test_mpo_gives_its_first_image() -> None:
    second = colour().transpose(Image.Transpose.ROTATE_180)
    data = saved(colour(), "MPO", save_all=True, append_images=[second], quality=95)
    assert_close(encoded(data), luma(ramp(3)))
    # One channel as well: a copy would include the second image.
    data = saved(gray(), "MPO", save_all=True, append_images=[gray()], quality=95)
    assert_close(encoded(data), ramp(1)[..., 0])


def sof(data: bytes, marker: int = 0xC0, **fields: int) -> bytes:
    """Change a JPEG's frame header."""
    start = data.index(b"\xff\xc0")
    bits, height, width, channels = struct.unpack_from(">BHHB", data, start + 4)
    values = {"bits": bits, "height": height, "width": width, "channels": channels} | fields
    header = bytes([0xFF, marker]) + data[start + 2 : start + 4] + struct.pack(">BHHB", *values.values())
    return data[:start] + header + data[start + 10 :]


@pytest.mark.parametrize(
    ("data", "reason", "found"),
    [
        (sof(saved(gray(), "JPEG"), bits=12), "unsupported", "a JPEG of 1 channels of 12 bits"),
        (sof(saved(gray(), "JPEG"), channels=2), "unsupported", "a JPEG of 2 channels of 8 bits"),
        (sof(saved(gray(), "JPEG"), marker=0xC3), "unsupported", "a JPEG of type SOF3"),
        (sof(saved(gray(), "JPEG"), marker=0xC9), "unsupported", "a JPEG of type SOF9"),
        (sof(saved(gray(), "JPEG"), height=0), "unreadable", "40 x 0 pixels"),
        (saved(gray(), "JPEG")[:2] + b"\xff\xd9\0\0", "unreadable", "without a scan"),
        (b"\xff\xd8" + segment(0xDA, b"\0" * 6) + b"\xff\xd9", "unreadable", "without a frame header"),
        (b"\xff\xd8" + segment(0xC0, b"\x08\0\1"), "unreadable", "frame header cut short"),
        (b"\xff\xd8\xff", "truncated", "first 3 bytes of a JPEG"),
    ],
)
def test_bad_jpeg(data: bytes, reason: Reason, found: str) -> None:
    assert found in excluded(data, reason)


# --- Size, other formats, damage --------------------------------------------------------------------


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_max_pixels(form: str) -> None:
    data = saved(gray(), form)
    assert to_jpeg(data, Settings(95, WIDTH * HEIGHT)).width == WIDTH
    assert excluded(data, "too_large", Settings(95, WIDTH * HEIGHT - 1)) == "40 x 24 pixels"


@pytest.mark.parametrize("size", [(50_000, 50_000), (20_000, 9_000)])
def test_size_is_checked_before_decoding(size: tuple[int, int]) -> None:
    # Above the second of Pillow's two limits, and between them; Pillow would raise or warn.
    header = struct.pack(">IIBBBBB", *size, 8, 0, 0, 0, 0)
    tail = chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    excluded(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + tail, "too_large")
    excluded(sof(saved(gray(), "JPEG"), width=size[0], height=size[1]), "too_large")


def test_large_image_within_the_limit_makes_no_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    for limit in (WIDTH * HEIGHT - 1, 10):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        assert to_jpeg(saved(gray(), "PNG"), CONVERSION).conversion == "encoded"
        assert to_jpeg(saved(gray(), "JPEG"), CONVERSION).conversion == "copied"


def test_side_longer_than_jpeg_allows() -> None:
    assert excluded(saved(Image.new("L", (65_501, 1)), "PNG"), "too_large") == "65501 x 1 pixels"
    assert to_jpeg(saved(Image.new("L", (65_500, 1)), "PNG"), CONVERSION).width == 65_500


@pytest.mark.parametrize("form", ["GIF", "BMP", "TIFF", "WEBP", "JPEG2000"])
def test_other_images(form: str) -> None:
    name = {"WEBP": "WebP", "JPEG2000": "JPEG 2000"}.get(form, form)
    assert name in excluded(saved(gray(), form), "unsupported")


@pytest.mark.parametrize(
    ("data", "reason", "found"),
    [
        (b"", "unreadable", "an empty file"),
        (b"\n <!DOCTYPE html><html><body>404</body></html>", "unsupported", "an HTML page"),
        (b"\xef\xbb\xbf<HTML>", "unsupported", "an HTML page"),
        (b"PK\x03\x04....", "unsupported", "a zip archive"),
        (b"version https://git-lfs.github.com/spec/v1\n", "unsupported", "a Git LFS pointer"),
        (b"hello", "unsupported", "begins with the bytes 68 65 6c 6c 6f"),
    ],
)
def test_other_files(data: bytes, reason: Reason, found: str) -> None:
    assert found in excluded(data, reason)


def noise(mode: str) -> Image.Image:
    pixels = np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH, len(mode)), np.uint8)
    return Image.fromarray(pixels.squeeze())


WHOLE = {
    "png": saved(noise("RGB"), "PNG"),
    "jpeg copied": saved(noise("L"), "JPEG"),
    "jpeg encoded": saved(noise("RGB"), "JPEG", quality=80),
    "jpeg progressive": saved(noise("L"), "JPEG", progressive=True),
    "jpeg progressive of colour": saved(noise("RGB"), "JPEG", progressive=True),
}


@pytest.mark.parametrize("name", WHOLE)
def test_cut_files_are_excluded(name: str) -> None:
    data = WHOLE[name]
    to_jpeg(data, CONVERSION)
    for length in {*range(9, len(data), 7), *range(len(data) - 20, len(data))}:
        excluded(data[:length], "truncated")


@pytest.mark.parametrize("name", WHOLE)
def test_damaged_files_are_converted_or_excluded(name: str) -> None:
    chance = random.Random(name)
    outcomes = set()
    for _ in range(200):
        data = bytearray(WHOLE[name])
        for _ in range(chance.randint(1, 4)):
            data[chance.randrange(min(len(data), chance.choice([64, 700, len(data)])))] = chance.randrange(
                256
            )
        try:
            jpeg = to_jpeg(bytes(data), Settings(95, 1_000_000))
        except NotConvertible as error:
            outcomes.add(error.reason)
        else:
            outcomes.add(jpeg.conversion)
            shown(jpeg)
    assert outcomes & {"unreadable", "unsupported"}
    assert name == "png" or outcomes & {"copied", "encoded"}


def test_png_pixels_are_checked_by_checksum() -> None:
    data = bytearray(WHOLE["png"])
    data[data.index(b"IDAT") + 100] ^= 1
    assert "wrong checksum at byte 33" in excluded(bytes(data), "unreadable")


# --- The rest of the contract --------------------------------------------------------------------------


def test_quality_is_that_of_the_settings() -> None:
    data = saved(noise("RGB"), "PNG")
    jpegs = [to_jpeg(data, Settings(quality, 100_000_000)) for quality in (20, 95)]
    assert len(jpegs[0].data) < len(jpegs[1].data) / 2
    with Image.open(io.BytesIO(jpegs[1].data)) as image:
        assert image.quantization[0][0] == 2


def test_reasons_are_one_sentence_each() -> None:
    assert set(reasons_of("convert")) == set(typing.get_args(Reason))
    assert all(text[0].isupper() and text.endswith(".") for text in reasons_of("convert").values())


def test_not_convertible_pickles() -> None:
    with pytest.raises(NotConvertible) as caught:
        to_jpeg(b"", CONVERSION)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (type(again), again.reason, again.found) == (NotConvertible, "unreadable", "an empty file")
    assert str(again) == str(caught.value)
    assert str(again) == "The file is damaged and its image cannot be decoded. Found: an empty file."


def test_pillow_settings_are_unchanged() -> None:
    limit = Image.MAX_IMAGE_PIXELS
    to_jpeg(saved(colour(), "PNG"), CONVERSION)
    excluded(WHOLE["jpeg copied"][:300], "truncated")
    assert limit == Image.MAX_IMAGE_PIXELS
    assert not ImageFile.LOAD_TRUNCATED_IMAGES


def test_import_is_light() -> None:
    code = "import sys, cxrbuild.convert; print({'PIL', 'numpy', 'pydicom', 'pydantic'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "set()\n"


# --- read_image ------------------------------------------------------------------------------------------


def test_read_image_agrees_with_the_converted_jpeg() -> None:
    for data in WHOLE.values():
        assert_close(np.asarray(read_image(data)).astype(float), shown(to_jpeg(data, Settings(100, 10_000))))


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_read_image_in_colour_is_upright(form: str) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    options = {"quality": 95} if form == "JPEG" else {}
    data = saved(colour(), form, exif=exif, **options)
    with Image.open(io.BytesIO(data)) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    found = read_image(data, color=True)
    assert found.mode == "RGB"
    assert_close(np.asarray(found).astype(float), expected.astype(float), 0)


def test_read_image_in_colour_of_every_png_mode() -> None:
    for mode, channels in (("1", 1), ("L", 1), ("LA", 2), ("P", 3), ("RGB", 3), ("RGBA", 4)):
        image = Image.fromarray(ramp(channels).astype(np.uint8).squeeze()).convert(mode)
        found = read_image(saved(image, "PNG"), color=True)
        assert (found.mode, found.size) == ("RGB", image.size)
        black = Image.new("RGBA", image.size, "black")
        black.alpha_composite(image.convert("RGBA"))
        assert_close(np.asarray(found).astype(float), np.asarray(black.convert("RGB")).astype(float), 1)


def test_read_image_reduces(tmp_path: Path) -> None:
    large = gray().resize((WIDTH * 16, HEIGHT * 16))
    (tmp_path / "large.jpg").write_bytes(saved(large, "JPEG", quality=95))
    (tmp_path / "large.png").write_bytes(saved(large, "PNG"))
    small = [read_image(path, max_side=WIDTH) for path in sorted(tmp_path.iterdir())]
    assert [image.size for image in small] == [(WIDTH, HEIGHT)] * 2
    assert_close(*(np.asarray(image).astype(float) for image in small), 2)
    assert read_image(tmp_path / "large.jpg", min_side=HEIGHT * 4).size == (WIDTH * 4, HEIGHT * 4)
    assert read_image(tmp_path / "large.png", min_side=HEIGHT * 4).size == large.size


def test_read_image_names_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(NotConvertible, match="an HTML page"):
        read_image(b"<html>")
    with pytest.raises(NotConvertible, match="40 x 24 pixels"):
        read_image(saved(gray(), "PNG"), max_pixels=100)
    with pytest.raises(FileNotFoundError):
        read_image(tmp_path / "missing.png")
