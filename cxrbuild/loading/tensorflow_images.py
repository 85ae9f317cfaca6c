"""The images of a dataset for TensorFlow."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from cxrbuild.loading.resizing import Resampling, resize
from cxrbuild.quiet import suppress_stderr

with suppress_stderr():
    import tensorflow as tf

if TYPE_CHECKING:
    from cxrbuild.loading.dataset import Dataset


def tensorflow_images(dataset: Dataset, size: int | None, resampling: Resampling) -> tf.data.Dataset:
    """Return pairs of image and class number, see `Dataset.tensorflow`.

    Pillow decodes and resizes the images, as for every other loader: the decoder of TensorFlow gives other
    pixels.
    """

    def read() -> Iterator[tuple[bytes, int]]:
        for (data, _), target in zip(dataset.iterate_bytes(), dataset.targets, strict=True):
            yield data, target

    def decode(data: Any, target: Any) -> Any:
        image = tf.numpy_function(lambda data: _pixels(data, size, resampling), [data], tf.uint8)
        return tf.ensure_shape(image, (size, size, 1)), target

    elements = tf.data.Dataset.from_generator(
        read, output_signature=(tf.TensorSpec((), tf.string), tf.TensorSpec((), tf.int64))
    )
    elements = elements.map(decode, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return elements.apply(tf.data.experimental.assert_cardinality(len(dataset)))


def _pixels(data: bytes, size: int | None, resampling: Resampling) -> Any:
    from PIL import Image

    with Image.open(BytesIO(data)) as image:
        return np.asarray(resize(image, size, resampling))[..., None]
