"""Augmentation of training images: on the device, in the same graph as the network."""

from __future__ import annotations

from typing import Any

from cxrbuild.catalog.baseline import Augmentation


def scale_pixels(grey: Any) -> Any:
    """Return grey values as the network expects them: float32, black 0 and white 1, in three channels.

    Parameters
    ----------
    grey
        Tensor of shape (n, side, side), uint8.

    Returns
    -------
    Tensor of shape (n, side, side, 3), float32.
    """
    import tensorflow as tf

    return _three_channels(tf.cast(grey, tf.float32) / 255.0)


def augment(grey: Any, seed: Any, augmentation: Augmentation, side: int) -> Any:
    """Return a batch of training images, each augmented independently.

    The order is that of the published code: mirror, shift brightness, scale contrast about the image's mean,
    crop. As in that code, values may leave the range from 0 to 1.

    Parameters
    ----------
    grey
        Tensor of shape (n, s, s), uint8, where s is the augmentation's side.
    seed
        Tensor of two integers; the same seed gives the same augmentation.
    augmentation
        The declaration.
    side
        Side of the crop in pixels.

    Returns
    -------
    Tensor of shape (n, side, side, 3), float32.
    """
    import tensorflow as tf

    images = tf.cast(grey, tf.float32) / 255.0
    count, full_side = tf.shape(images)[0], images.shape[1]
    seeds = tf.unstack(tf.random.split(seed, 5))

    def draw(number: int, low: float, high: float) -> Any:
        return tf.random.stateless_uniform((count, 1, 1), seeds[number], low, high)

    if augmentation.flip:
        images = tf.where(draw(0, 0, 1) < 0.5, images[:, :, ::-1], images)
    shift = draw(1, -augmentation.brightness, augmentation.brightness)
    factor = draw(2, *augmentation.contrast_range)
    mean = tf.reduce_mean(images, axis=(1, 2), keepdims=True)
    # Every position of the crop is equally likely, the last one included.
    positions = full_side - side + 1
    first = [
        tf.random.stateless_uniform((count, 1), seeds[number], maxval=positions, dtype=tf.int32)
        for number in (3, 4)
    ]
    offsets = tf.range(side)[tf.newaxis]
    images = tf.gather(images, first[0] + offsets, axis=1, batch_dims=1)
    images = tf.gather(images, first[1] + offsets, axis=2, batch_dims=1)
    return _three_channels((images - mean) * factor + mean + shift)


def _three_channels(images: Any) -> Any:
    import tensorflow as tf

    return tf.repeat(images[..., tf.newaxis], 3, axis=-1)
