"""Attribution maps of a model, in plain TensorFlow: Grad-CAM, integrated gradients and occlusion."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxrbuild.baseline.augmentation import scale_pixels
from cxrbuild.explanation.model import find_features, find_logits, input_side

Floats = NDArray[np.float32]
Grey = NDArray[np.uint8]
Classes = NDArray[np.int64]

# Points of the integral. On the paper's network, trained for three epochs, two points give the sum of the
# attributions within 1.4 % of what it must be, and the share of the border within 0.01 of that of 20 points.
_POINTS = 2
# Rows and columns of patches: the outermost ones are the border eighth.
GRID = 8


class Attribution:
    """Predictions of a model, and the pixels that they come from.

    Every map is of the score of one class: its logit, minus the mean of all logits, because softmax ignores
    what all logits have in common. The maps are of the shape of the input, and not negative.

    Parameters
    ----------
    model
        A Keras model that ``open_model`` returned.
    """

    def __init__(self, model: Any) -> None:
        import keras
        import tensorflow as tf

        self.side = input_side(model)
        before, logits_of = find_logits(model)
        inner = keras.Model(model.inputs, [find_features(model), before])
        images = tf.TensorSpec([None, self.side, self.side], tf.float32)
        classes = tf.TensorSpec([None], tf.int64)

        def score(logits: Any, of: Any) -> Any:
            chosen = tf.gather(logits, of, batch_dims=1)
            return tf.reduce_sum(chosen - tf.reduce_mean(logits, axis=1))

        def predict(grey: Any) -> Any:
            return logits_of(inner(scale_pixels(grey), training=False)[1])

        def grad_cam(grey: Any) -> Any:
            pixels = scale_pixels(grey)
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(pixels)
                features, hidden = inner(pixels, training=False)
                logits = logits_of(hidden)
                value = score(logits, tf.argmax(logits, axis=1))
            weights = tf.cast(tape.gradient(value, features), tf.float32)
            maps = tf.nn.relu(tf.reduce_sum(weights * tf.cast(features, tf.float32), axis=3, keepdims=True))
            return logits, tf.image.resize(maps, (self.side, self.side))[..., 0]

        def gradient(grey: Any, of: Any) -> Any:
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(grey)
                value = score(logits_of(inner(scale_pixels(grey), training=False)[1]), of)
            return tape.gradient(value, grey)

        self._predict = tf.function(predict, input_signature=[images], autograph=False)
        self._grad_cam = tf.function(grad_cam, input_signature=[images], autograph=False)
        self._gradient = tf.function(gradient, input_signature=[images, classes], autograph=False)

    def predict(self, grey: Grey) -> Floats:
        """Return the logits of images.

        Parameters
        ----------
        grey
            Shape (n, side, side).

        Returns
        -------
        numpy.ndarray
            Shape (n, classes).
        """
        return np.asarray(self._predict(grey.astype(np.float32)))

    def grad_cam(self, grey: Grey) -> tuple[Floats, Floats]:
        """Return the logits of images, and the Grad-CAM maps of the predicted classes.

        The channels of the last feature map are multiplied by their gradient, added up, and resized to the
        input. Grad-CAM (Selvaraju et al. 2017, arXiv 1610.02391) takes the mean of each channel's gradient
        over all positions. That is the same if the network takes the mean of the map, and wrong if it has a
        weight for each position, as the paper's network has. So each position keeps its gradient, as in
        HiResCAM (Draelos and Carin 2020, arXiv 2011.08891).

        Parameters
        ----------
        grey
            Shape (n, side, side).

        Returns
        -------
        logits
            Shape (n, classes).
        maps
            Shape (n, side, side).
        """
        logits, maps = self._grad_cam(grey.astype(np.float32))
        return np.asarray(logits), np.asarray(maps)

    def signed_gradients(self, grey: Grey, classes: Classes, points: int = _POINTS) -> Floats:
        """Return the integrated gradients of images, with their signs.

        The gradient of each pixel is integrated from the image's mean grey to the image, and multiplied by
        the difference (Sundararajan et al. 2017, arXiv 1703.01365). So black margins count as white marks
        do. The attributions of an image add up to the difference of its score and that of its mean grey, but
        for the error of the integral, by Gauss-Legendre quadrature.

        Parameters
        ----------
        grey
            Shape (n, side, side).
        classes
            The class of each map, shape (n,).
        points
            Number of points of the integral.

        Returns
        -------
        numpy.ndarray
            Shape (n, side, side).
        """
        image = grey.astype(np.float32)
        start = image.mean(axis=(1, 2), keepdims=True)
        total = np.zeros_like(image)
        nodes, weights = np.polynomial.legendre.leggauss(points)
        for node, weight in zip(nodes, weights, strict=True):
            between = start + np.float32((node + 1) / 2) * (image - start)
            total += np.float32(weight / 2) * np.asarray(self._gradient(between, classes))
        return np.asarray(total * (image - start), np.float32)

    def integrated_gradients(self, grey: Grey, classes: Classes) -> Floats:
        """Return ``signed_gradients`` where they are for the class, 0 where they are against it."""
        return np.maximum(self.signed_gradients(grey, classes), 0)

    def occlusion(self, grey: Grey, of: int) -> Floats:
        """Return how much the score of a class falls where a patch of an image is replaced by its mean grey.

        The patches are a grid of 8 x 8; a patch that raises the score is 0 (Zeiler and Fergus 2014,
        arXiv 1311.2901).

        Parameters
        ----------
        grey
            One image, shape (side, side).
        of
            The number of the class.

        Returns
        -------
        numpy.ndarray
            Shape (side, side).
        """
        patches = _patches(self.side)
        occluded = np.where(patches, np.uint8(round(float(grey.mean()))), grey)
        logits = self.predict(np.concatenate([grey[np.newaxis], occluded]))
        scores = logits[:, of] - logits.mean(axis=1)
        falls = np.maximum(scores[0] - scores[1:], 0)
        return np.asarray(np.tensordot(falls, patches, axes=1), np.float32)


def probabilities_of(logits: NDArray[Any]) -> Floats:
    """Return the probabilities of logits, shape (n, classes)."""
    shifted = np.exp((logits - logits.max(axis=1, keepdims=True)).astype(np.float64))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True), np.float32)


def _patches(side: int) -> NDArray[np.bool_]:
    """Return the masks of all patches, shape (64, side, side)."""
    number = np.arange(side) * GRID // side
    cell = number[:, np.newaxis] * GRID + number
    return np.asarray(cell == np.arange(GRID * GRID)[:, np.newaxis, np.newaxis])
