"""The figures of a model's predictions, as in the paper's tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cxrbuild.artifact.baseline import Interval, Reliability, ReliabilityBin
from cxrbuild.baseline.augmentation import scale_pixels
from cxrbuild.baseline.pixels import Pixels
from cxrbuild.errors import CxrbuildError

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]

# 97.5th percentile of the normal distribution: the intervals of the paper's Table 4 are symmetric.
_Z95 = 1.959963984540054
_TOLERANCE = 1e-5


def make_predictor(model: Any, side: int, batch: int) -> Callable[[Pixels], Floats]:
    """Return a function that predicts the classes of images.

    Parameters
    ----------
    model
        A Keras model.
    side
        Side of the images in pixels.
    batch
        Number of images that are predicted at once.

    Returns
    -------
    callable
        From the grey values of n images to probabilities of shape (n, classes).
    """
    import tensorflow as tf

    # Traced once for batches of any size.
    forward = tf.function(
        lambda images: model(scale_pixels(images), training=False),
        input_signature=[tf.TensorSpec([None, side, side], tf.uint8)],
        autograph=False,
    )

    def predict(images: Pixels) -> Floats:
        batches = [forward(grey).numpy() for grey in images.batches(batch)]
        return np.concatenate(batches).astype(np.float32)

    return predict


def keras_metrics(labels: Ints, probabilities: Floats, label_smoothing: float) -> dict[str, float]:
    """Return loss, accuracy, precision and recall as Keras computes them on one-hot labels.

    Precision and recall count a class as predicted if its probability is over 0.5, and average all classes'
    decisions (micro). The loss is not weighted by class.
    """
    import keras

    truth = np.eye(probabilities.shape[1], dtype=np.float32)[labels]
    loss = keras.losses.CategoricalCrossentropy(label_smoothing=label_smoothing)
    metrics = {
        "accuracy": keras.metrics.CategoricalAccuracy(),
        "precision": keras.metrics.Precision(),
        "recall": keras.metrics.Recall(),
    }
    for metric in metrics.values():
        metric.update_state(truth, probabilities)
    return {"loss": float(loss(truth, probabilities))} | {
        name: float(metric.result()) for name, metric in metrics.items()
    }


def sklearn_metrics(labels: Ints, probabilities: Floats, label_smoothing: float) -> dict[str, float]:
    """Return the four figures of ``keras_metrics``, computed with scikit-learn."""
    from sklearn.metrics import accuracy_score, precision_score, recall_score

    count = probabilities.shape[1]
    truth = np.eye(count)[labels]
    over_half = (probabilities > 0.5).astype(int)
    smoothed = truth * (1 - label_smoothing) + label_smoothing / count
    # scikit-learn's log_loss takes classes, not smoothed labels.
    return {
        "loss": float(-(smoothed * np.log(np.clip(probabilities, 1e-7, 1))).sum(axis=1).mean()),
        "accuracy": float(accuracy_score(labels, probabilities.argmax(axis=1))),
        "precision": float(precision_score(truth, over_half, average="micro", zero_division=0)),
        "recall": float(recall_score(truth, over_half, average="micro", zero_division=0)),
    }


def require_agreement(keras: dict[str, float], sklearn: dict[str, float]) -> None:
    """Check that Keras and scikit-learn compute the same figures from the same predictions.

    Raises
    ------
    CxrbuildError
        They do not; the figures that differ are named with both values.
    """
    differ = [
        name
        for name in keras
        if not np.isclose(keras[name], sklearn[name], rtol=_TOLERANCE, atol=_TOLERANCE, equal_nan=True)
    ]
    if differ:
        raise CxrbuildError(
            "Keras and scikit-learn disagree on the same predictions",
            expected=", ".join(f"{name} {sklearn[name]:.6f}" for name in differ),
            found=", ".join(f"{name} {keras[name]:.6f}" for name in differ),
            todo="Report this with your versions of both",
        )


def true_class_probability(labels: Ints, probabilities: Floats) -> Interval:
    """Return the mean predicted probability of the true class with its 95 % interval, as in Table 4.

    The interval is the mean plus and minus 1.96 standard errors over images, which the paper's symmetric
    intervals suggest. It treats the images of a patient as independent.
    """
    values = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    mean = float(values.mean())
    half = float(_Z95 * values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else np.nan
    return Interval(value=mean, low=mean - half, high=mean + half)


def count_confusion(labels: Ints, probabilities: Floats) -> NDArray[np.int64]:
    """Return how often an actual class (row) is predicted as a class (column)."""
    from sklearn.metrics import confusion_matrix

    classes = np.arange(probabilities.shape[1])
    return np.asarray(confusion_matrix(labels, probabilities.argmax(axis=1), labels=classes))


def measure_reliability(labels: Ints, probabilities: Floats, bins: int = 10) -> Reliability:
    """Return how often predictions of a given confidence are right, and the expected calibration error.

    Confidence is the greatest probability. The bins have equal width. Empty bins are omitted.
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == labels
    number = np.minimum((confidence * bins).astype(int), bins - 1)
    rows = [
        ReliabilityBin(
            low=index / bins,
            high=(index + 1) / bins,
            count=int((number == index).sum()),
            confidence=float(confidence[number == index].mean()),
            accuracy=float(right[number == index].mean()),
        )
        for index in map(int, np.unique(number))
    ]
    error = sum(row.count * abs(row.confidence - row.accuracy) for row in rows) / len(labels)
    return Reliability(expected_calibration_error=error, bins=rows)


def find_mistakes(table: pd.DataFrame, labels: Ints, probabilities: Floats, limit: int = 12) -> list[int]:
    """Return the row numbers of the wrong predictions, the least probability of the true class first.

    Parameters
    ----------
    table
        The images, with ``image_id``, which decides the order of equal probabilities.
    labels
        Class numbers, shape (n,).
    probabilities
        Shape (n, classes).
    limit
        The greatest number of rows.
    """
    truth = probabilities[np.arange(len(labels)), labels]
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != labels)
    ids = table["image_id"].to_numpy()[wrong]
    return [int(row) for row in wrong[np.lexsort((ids, truth[wrong]))][:limit]]
