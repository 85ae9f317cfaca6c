"""What is copied of damaged JPEG files opens in every reader that is installed, with the same pixels."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import random
import typing
import warnings

import numpy as np
import pytest
from damaged_jpegs import damage, draw_jpeg
from figures import Figures
from PIL import Image, ImageOps

from cxrbuild.convert import NotConvertible, Settings, to_jpeg

pytestmark = pytest.mark.slow
CONVERSION = Settings(95, 1_000_000)
Reader = typing.Callable[[bytes], np.ndarray | None]


def readers() -> dict[str, Reader]:
    """Return the readers of JPEG that are installed, next to Pillow."""
    found: dict[str, Reader] = {}
    if importlib.util.find_spec("cv2") is not None:
        import cv2

        found["OpenCV"] = lambda data: cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
    if importlib.util.find_spec("tensorflow") is not None:
        with warnings.catch_warnings(action="ignore"):
            import tensorflow as tf

        found["TensorFlow"] = lambda data: tf.io.decode_jpeg(data, dct_method="INTEGER_ACCURATE").numpy()
    # The last two are raised where torchvision is built for another torch, or for CUDA, which is missing.
    with contextlib.suppress(ImportError, OSError, RuntimeError):
        import torch
        from torchvision.io import ImageReadMode, decode_image

        found["torchvision"] = lambda data: decode_image(
            torch.frombuffer(bytearray(data), dtype=torch.uint8), ImageReadMode.UNCHANGED,
            apply_exif_orientation=True,
        ).numpy()  # fmt: skip
    return found


@pytest.mark.parametrize("seed", range(5))
def test_copied_jpeg_opens_as_it_is_in_every_reader(seed: int, figures: Figures) -> None:
    chance = random.Random(seed)
    others = readers()
    copied = 0
    for _ in range(2000):
        data = draw_jpeg(chance)
        for _ in range(chance.choice([0, 1, 1, 1, 2, 2, 3])):
            data = damage(data, chance)
        with contextlib.suppress(NotConvertible):
            jpeg = to_jpeg(data, CONVERSION)
            if jpeg.conversion == "copied":
                copied += 1
                assert jpeg.data == data
                _assert_opens(data, (jpeg.width, jpeg.height), others)
    figures.add("damaged JPEG", 2000)
    figures.add("of them copied, with equal pixels in every reader", copied)
    assert copied > 500


def _assert_opens(data: bytes, size: tuple[int, int], others: dict[str, Reader]) -> None:
    with warnings.catch_warnings(action="error"), Image.open(io.BytesIO(data)) as image:
        image.load()
        expected = np.asarray(image)
        assert (np.asarray(ImageOps.exif_transpose(image)) == expected).all()
        assert (image.mode, image.size) == ("L", size)
    for name, read in others.items():
        found = read(data)
        assert found is not None, name
        assert found.size == expected.size, name
        # TensorFlow smooths blocks of files whose last scan lacks a bit.
        assert np.abs(found.reshape(expected.shape).astype(int) - expected).max() <= 3, name
