"""Conversion of any file: sizes, other formats, damage, the contract of to_jpeg and read_image."""

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
from image_files import (
    CONVERSION,
    HEIGHT,
    ORIENTATION,
    WHOLE,
    WIDTH,
    assert_close,
    chunk,
    colour,
    excluded,
    gray,
    noise,
    ramp,
    saved,
    shown,
    sof,
)
from PIL import Image, ImageFile, ImageOps

from cxrbuild.convert import NotConvertible, Reason, Settings, read_image, to_jpeg
from cxrbuild.exclusions import reasons_of


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


@pytest.mark.parametrize("name", WHOLE)
def test_truncated_files_are_excluded(name: str) -> None:
    data = WHOLE[name]
    to_jpeg(data, CONVERSION)
    for length in {*range(9, len(data), 7), *range(len(data) - 20, len(data))}:
        excluded(data[:length], "truncated")


@pytest.mark.parametrize("name", WHOLE)
def test_damaged_files_are_converted_or_excluded(name: str) -> None:
    chance = random.Random(name)
    results = set()
    for _ in range(200):
        data = bytearray(WHOLE[name])
        for _ in range(chance.randint(1, 4)):
            data[chance.randrange(min(len(data), chance.choice([64, 700, len(data)])))] = chance.randrange(
                256
            )
        try:
            jpeg = to_jpeg(bytes(data), Settings(95, 1_000_000))
        except NotConvertible as error:
            results.add(error.reason)
        else:
            results.add(jpeg.conversion)
            shown(jpeg)
    assert results & {"unreadable", "unsupported"}
    assert name == "png" or results & {"copied", "encoded"}


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
