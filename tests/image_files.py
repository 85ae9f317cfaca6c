"""Small PNG and JPEG files for the tests of conversion, and what a converted file must be."""

from __future__ import annotations

import io
import struct
import typing
import zlib

import numpy as np
import pytest
from PIL import Image

from cxrbuild.convert import Jpeg, NotConvertible, Reason, Settings, to_jpeg

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


def sof(data: bytes, marker: int = 0xC0, **fields: int) -> bytes:
    """Change a JPEG's frame header."""
    start = data.index(b"\xff\xc0")
    bits, height, width, channels = struct.unpack_from(">BHHB", data, start + 4)
    values = {"bits": bits, "height": height, "width": width, "channels": channels} | fields
    header = bytes([0xFF, marker]) + data[start + 2 : start + 4] + struct.pack(">BHHB", *values.values())
    return data[:start] + header + data[start + 10 :]


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
