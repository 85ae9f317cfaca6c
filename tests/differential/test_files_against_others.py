"""PNG and JPEG made by Hypothesis: against their samples, Pillow, OpenCV and TensorFlow."""

from __future__ import annotations

import contextlib
import io
import os
import types
import typing
import warnings

import numpy as np
import pytest
from figures import Figures
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from image_files import chunk, inserted, luma, png
from libraries import library
from PIL import Image, ImageOps

from cxrbuild.convert import NotConvertible, Settings, read_image, to_jpeg

pytestmark = pytest.mark.slow
EXAMPLES = int(os.environ.get("CXRBUILD_EXAMPLES", "1500"))
MANY = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
CONVERSION = Settings(95, 1_000_000)
# Colour type: samples of a pixel, and the bits that they may have.
KINDS = {0: (1, (1, 2, 4, 8, 16)), 2: (3, (8, 16)), 4: (2, (8, 16)), 6: (4, (8, 16))}


@st.composite
def pngs(draw: st.DrawFn) -> tuple[bytes, np.ndarray]:
    """Draw a PNG and its samples from 0 to 1, of shape (rows, columns, samples)."""
    kind = draw(st.sampled_from(sorted(KINDS)))
    samples, depths = KINDS[kind]
    depth = draw(st.sampled_from(depths))
    rows, columns = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    values = random.integers(0, 2**depth, (rows, columns, samples))
    if depth == 16:
        lines = [row.astype(">u2").tobytes() for row in values]
    else:
        bits = np.unpackbits(values.astype(np.uint8)[..., None], axis=-1)[..., -depth:]
        lines = [np.packbits(row.ravel()).tobytes() for row in bits]
    return png(depth, kind, lines, width=columns), values / (2**depth - 1)


def over_black(samples: np.ndarray) -> np.ndarray:
    """Return luma from 0 to 255."""
    count = samples.shape[-1]
    grey = luma(samples) if count >= 3 else samples[..., 0]
    return grey * (samples[..., -1] if count in (2, 4) else 1) * 255


@MANY
@given(pngs())
def test_png_pixels_are_its_samples(figures: Figures, image: tuple[bytes, np.ndarray]) -> None:
    figures.add("PNG as their samples")
    data, samples = image
    found = np.asarray(read_image(data)).astype(float)
    # Pillow takes the high byte of 16-bit colour, and rounds luma before alpha.
    assert np.abs(found - over_black(samples)).max() <= 2


@MANY
@given(pngs(), st.data())
def test_mutated_png_is_read_as_by_pillow_or_excluded(
    figures: Figures, image: tuple[bytes, np.ndarray], data: st.DataObject
) -> None:
    figures.add("mutated PNG read or refused")
    mutated = bytearray(inserted(image[0], chunk(b"tEXt", b"Comment\0text")))
    for _ in range(data.draw(st.integers(1, 3))):
        mutated[data.draw(st.integers(8, len(mutated) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = read_image(bytes(mutated), max_pixels=100_000)
    except NotConvertible:
        return
    # Damaged texts, which are not read here, stop Pillow.
    with contextlib.suppress(OSError, ValueError, SyntaxError), Image.open(io.BytesIO(mutated)) as other:
        assert found.size in (other.size, other.size[::-1])


@st.composite
def jpegs(draw: st.DrawFn, modes: tuple[str, ...] = ("L", "RGB")) -> bytes:
    """Draw a JPEG of one or three channels."""
    mode = draw(st.sampled_from(modes))
    rows, columns = draw(st.integers(1, 60)), draw(st.integers(1, 60))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    pixels = random.integers(0, 256, (rows, columns, len(mode)), np.uint8).squeeze(-1 if mode == "L" else ())
    options: dict[str, typing.Any] = {"quality": draw(st.integers(20, 100))}
    for name in ("progressive", "optimize"):
        options[name] = draw(st.booleans())
    if draw(st.booleans()):
        options["restart_marker_blocks"] = draw(st.integers(1, 6))
    if draw(st.booleans()):
        exif = Image.Exif()
        exif[0x0112] = draw(st.integers(0, 9))
        options["exif"] = exif
    if draw(st.booleans()):
        options["xmp"] = b'<x tiff:Orientation="%d"/>' % draw(st.integers(0, 9))
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", **options)
    return stream.getvalue()


@MANY
@given(jpegs())
def test_jpeg_is_read_as_by_pillow(figures: Figures, data: bytes) -> None:
    figures.add("JPEG as Pillow")
    with Image.open(io.BytesIO(data)) as image:
        expected = np.asarray(ImageOps.exif_transpose(image).convert("RGB")).astype(int)
    assert (np.asarray(read_image(data, color=True)) == expected).all()


@pytest.fixture(scope="module")
def tensorflow() -> types.ModuleType:
    """TensorFlow, which takes seconds to load and warns while it does."""
    with warnings.catch_warnings(action="ignore"):
        import tensorflow

    return tensorflow


@settings(MANY, max_examples=4 * EXAMPLES)
@given(jpegs(("L", "L", "L", "RGB")), st.data())
def test_copied_jpeg_opens_as_it_is(
    figures: Figures, tensorflow: types.ModuleType, whole: bytes, data: st.DataObject
) -> None:
    cv2 = library("cv2")
    figures.add("mutated JPEG read or refused")
    mutated = bytearray(whole)
    # Half of the files are damaged in the segments before the scan alone: those may still be copied.
    last = data.draw(st.sampled_from([whole.index(b"\xff\xda"), len(whole)])) - 1
    for _ in range(data.draw(st.integers(0, 4))):
        position = data.draw(st.integers(2, min(last, len(mutated) - 1)))
        change = data.draw(st.sampled_from(["byte", "removed", "added", "truncated"]))
        if change == "byte":
            mutated[position] = data.draw(st.integers(0, 255))
        elif change == "removed":
            del mutated[position : position + data.draw(st.integers(1, 12))]
        elif change == "added":
            mutated[position:position] = data.draw(st.binary(max_size=12))
        else:
            mutated[position:] = b"\xff\xd9"
        if len(mutated) < 4:
            return
    try:
        jpeg = to_jpeg(bytes(mutated), CONVERSION)
    except NotConvertible:
        return
    figures.add("of them copied" if jpeg.conversion == "copied" else "of them encoded")
    with warnings.catch_warnings(action="error"), Image.open(io.BytesIO(jpeg.data)) as image:
        image.load()
        expected = np.asarray(image)
        assert (np.asarray(ImageOps.exif_transpose(image)) == expected).all()
        assert (image.mode, image.size) == ("L", (jpeg.width, jpeg.height))
    by_opencv = cv2.imdecode(np.frombuffer(jpeg.data, np.uint8), cv2.IMREAD_GRAYSCALE)
    by_tensorflow = tensorflow.io.decode_jpeg(jpeg.data, 1, dct_method="INTEGER_ACCURATE").numpy()[..., 0]
    for found in (by_opencv, by_tensorflow):
        assert found is not None
        assert found.shape == expected.shape
        assert np.abs(found.astype(int) - expected).max() <= 2
