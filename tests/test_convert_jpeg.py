"""Conversion of JPEG to 8-bit one-channel JPEG, and which files are copied; bad files by reason."""

from __future__ import annotations

import base64
import io
import struct
import typing
import warnings

import numpy as np
import pytest
from image_files import (
    CONVERSION,
    HEIGHT,
    ORIENTATION,
    WIDTH,
    assert_close,
    colour,
    encoded,
    excluded,
    gray,
    luma,
    ramp,
    saved,
    segment,
    shown,
    sof,
)
from PIL import Image, ImageOps

from cxrbuild.convert import Jpeg, NotConvertible, Reason, read_image, to_jpeg


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
def test_jpeg_with_damaged_exif_is_upright_and_encoded(tiff: bytes) -> None:
    plain = saved(gray(), "JPEG")
    data = plain[:2] + segment(0xE1, b"Exif\0\0" + tiff) + plain[2:]
    assert to_jpeg(data, CONVERSION).conversion == ("encoded" if tiff else "copied")


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


@pytest.mark.parametrize(
    ("data", "reason", "found"),
    [
        (sof(saved(gray(), "JPEG"), bits=12), "unsupported", "a JPEG of 1 channels of 12 bits"),
        (sof(saved(gray(), "JPEG"), channels=2), "unsupported", "a JPEG of 2 channels of 8 bits"),
        (sof(saved(gray(), "JPEG"), marker=0xC3), "unsupported", "a lossless JPEG"),
        (sof(saved(gray(), "JPEG"), marker=0xC5), "unsupported", "a hierarchical JPEG"),
        (sof(saved(gray(), "JPEG"), height=0), "unsupported", "its height after a scan (DNL)"),
        (saved(gray(), "JPEG")[:2] + b"\xff\xd9\0\0", "unreadable", "without a scan"),
        (b"\xff\xd8" + segment(0xDA, b"\0" * 6) + b"\xff\xd9", "unreadable", "without a frame header"),
        (b"\xff\xd8" + segment(0xC0, b"\x08\0\1"), "unreadable", "truncated frame header"),
        (b"\xff\xd8\xff", "truncated", "first 3 bytes of a JPEG"),
    ],
)
def test_bad_jpeg(data: bytes, reason: Reason, found: str) -> None:
    assert found in excluded(data, reason)


# --- Orientation as Pillow reads it ----------------------------------------------------------------------


def tiff(value: int, kind: int = 3, order: str = ">") -> bytes:
    """Return EXIF that holds an orientation: as SHORT (3), or as LONG (4) or BYTE (1)."""
    field = struct.pack(f"{order}{ {1: 'Bxxx', 3: 'Hxx', 4: 'I'}[kind] }", value)
    head = {"<": b"II*\0", ">": b"MM\0*"}[order]
    return head + struct.pack(f"{order}IHHHI", 8, 1, ORIENTATION, kind, 1) + field + bytes(4)


def with_segments(*bodies: bytes, mode: str = "RGB") -> bytes:
    plain = saved(colour().convert(mode), "JPEG", quality=95)
    return plain[:2] + b"".join(segment(0xE1, body) for body in bodies) + plain[2:]


EXIF, XMP = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"
ORIENTED = {
    "long": [EXIF + tiff(6, 4)],
    "byte": [EXIF + tiff(6, 1)],
    "two segments": [EXIF + tiff(6), EXIF + tiff(3)],
    "two segments, the first upright": [EXIF + tiff(1), EXIF + tiff(3)],
    "split in two": [EXIF + tiff(8)[:12], EXIF + tiff(8)[12:]],
    "xmp": [XMP + b'<rdf:Description tiff:Orientation="6"/>'],
    "xmp and exif": [XMP + b"<tiff:Orientation>6</tiff:Orientation>", EXIF + tiff(3)],
    "damaged": [EXIF + tiff(6)[:20]],
    "of an unknown type": [EXIF + tiff(3).replace(b"\x01\x12\0\x03", b"\x01\x12\0\x63")],
}


@pytest.mark.parametrize("name", ORIENTED)
def test_jpeg_orientation_is_pillow_s(name: str) -> None:
    data = with_segments(*ORIENTED[name])
    with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(data)) as image:
        expected = np.asarray(ImageOps.exif_transpose(image)).astype(float)
    assert_close(np.asarray(read_image(data, color=True)).astype(float), expected, 0)


@pytest.mark.parametrize("name", ORIENTED)
def test_jpeg_whose_readers_may_turn_it_differently_is_encoded(name: str) -> None:
    assert to_jpeg(with_segments(*ORIENTED[name], mode="L"), CONVERSION).conversion == "encoded"


# --- What is copied --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "extra",
    [
        b"\xff\xe0\0\x10JFIF\0" + bytes(20),  # bytes between two segments
        b"\0\0\0",
        b"\xff\xd0",
        segment(0xE1, EXIF + b"nonsense"),
        segment(0xE2, b"MPF\0" + b"\xff" * 20),
    ],
)
def test_jpeg_with_a_damaged_header_is_encoded(extra: bytes) -> None:
    plain = saved(gray(), "JPEG")
    jpeg = to_jpeg(plain[:20] + extra + plain[20:], CONVERSION)
    assert jpeg.conversion == "encoded"
    assert_close(shown(jpeg), ramp(1)[..., 0])


ARITHMETIC = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAIBAQEBAQIBAQECAgICAgQDAgICAgUEBAMEBgUGBgYFBgYGBwkIBgcJBwYGCAsICQoK"
    "CgoKBggLDAsKDAkKCgr/yQALCAAYACgBAREA/8wABgAQEAX/2gAIAQEAAD8A/wD0iw4K1aOAut/niTBVdJ43Oc0euDOhrGKBtUS9"
    "OP8A83+4dyLFIpZw4wwqX5HZYV8xdVAc2gO5sWTIizL5oOHQ/9k="
)


def test_jpeg_of_arithmetic_coding_is_encoded() -> None:
    values = np.tile(np.arange(40) * 255 // 40, (24, 1))
    assert_close(encoded(ARITHMETIC), values.astype(float))


# --- Scans -----------------------------------------------------------------------------------------------


def large(mode: str = "L", **options: typing.Any) -> bytes:
    pixels = np.random.default_rng(5).integers(0, 256, (120, 160, len(mode)), np.uint8)
    return saved(Image.fromarray(pixels.squeeze()), "JPEG", **options)


SCANS = {
    "baseline": large(),
    "colour": large("RGB", quality=90),
    "restarts": large(restart_marker_blocks=7),
    "restarts of colour": large("RGB", restart_marker_rows=1),
    "progressive": large(progressive=True),
    "progressive of colour": large("RGB", progressive=True),
    "progressive with restarts": large(progressive=True, restart_marker_rows=2),
}


def last_scan(data: bytes) -> int:
    return data.rindex(b"\xff\xda") + 20


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.98])
@pytest.mark.parametrize("name", SCANS)
def test_jpeg_truncated_and_ended_is_excluded(name: str, share: float) -> None:
    data = SCANS[name]
    to_jpeg(data, CONVERSION)
    start = last_scan(data)
    truncated = data[: start + int((len(data) - start) * share)].rstrip(b"\xff")
    excluded(truncated + b"\xff\xd9", "truncated")


def test_jpeg_with_a_shortened_restart_interval_is_excluded() -> None:
    data = SCANS["restarts"]
    start, end = data.index(b"\xff\xd2"), data.index(b"\xff\xd3")
    assert end - start > 40
    excluded(data[: start + 20] + data[end:], "truncated")


def test_jpeg_with_a_marker_within_its_scan_is_excluded() -> None:
    data = SCANS["baseline"]
    middle = (last_scan(data) + len(data)) // 2
    for marker in (b"\xff\xd9", b"\xff\xdb", b"\xff\x02"):
        with pytest.raises(NotConvertible):
            to_jpeg(data[:middle] + marker + data[middle:], CONVERSION)


def test_jpeg_that_declares_more_pixels_than_it_has_is_excluded() -> None:
    excluded(sof(saved(gray(), "JPEG"), width=9999, height=9999), "truncated")


def test_jpeg_of_many_scans_is_excluded() -> None:
    data = SCANS["progressive"]
    start = data.index(b"\xff\xda")
    scan = data[start : data.index(b"\xff", start + 12)]
    found = excluded(data[:start] + scan * 101 + data[start:], "unsupported")
    assert found == "a JPEG of more than 100 scans"
