"""What a model's predictions are worth, in the paper's own tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cxrbuild.baseline.augmentation import prepare
from cxrbuild.errors import CxrbuildError

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]

# Of a normal distribution: the interval of the paper's Table 4 is symmetric about its mean.
_Z95 = 1.959963984540054
_AGREEMENT = 1e-5


def predictor(model: Any, side: int, batch: int) -> Callable[[NDArray[np.uint8]], Floats]:
    """Return what gives the model's probabilities of images.

    Parameters
    ----------
    model
        A Keras model.
    side
        Side of the images in pixels.
    batch
        How many images at once.

    Returns
    -------
    callable
        From grey values of shape (n, side, side) to probabilities of shape (n, classes).
    """
    import tensorflow as tf

    # Traced once for any size of batch.
    forward = tf.function(
        lambda images: model(prepare(images), training=False),
        input_signature=[tf.TensorSpec([None, side, side], tf.uint8)],
        autograph=False,
    )

    def predict(grey: NDArray[np.uint8]) -> Floats:
        pieces = [forward(grey[start : start + batch]).numpy() for start in range(0, len(grey), batch)]
        return np.concatenate(pieces).astype(np.float32)

    return predict


def measure(labels: Ints, probabilities: Floats, label_smoothing: float) -> dict[str, float]:
    """Return loss, accuracy, precision and recall as Keras computes them on one-hot labels.

    Precision and recall count a class as predicted where its probability is over 0.5, and are averaged over
    all classes' decisions (micro). The loss is not weighted by class.
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


def measure_again(labels: Ints, probabilities: Floats, label_smoothing: float) -> dict[str, float]:
    """Return the same four figures as ``measure``, computed by scikit-learn."""
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


def cross_check(keras: dict[str, float], sklearn: dict[str, float]) -> None:
    """Make sure that Keras and scikit-learn came to the same figures.

    Raises
    ------
    CxrbuildError
        They did not.
    """
    apart = [
        name
        for name in keras
        if not np.isclose(keras[name], sklearn[name], rtol=_AGREEMENT, atol=_AGREEMENT, equal_nan=True)
    ]
    if apart:
        raise CxrbuildError(
            "Keras and scikit-learn disagree on the same predictions",
            expected=", ".join(f"{name} {sklearn[name]:.6f}" for name in apart),
            found=", ".join(f"{name} {keras[name]:.6f}" for name in apart),
            todo="Report this with your versions of both",
        )


def probability_of_truth(labels: Ints, probabilities: Floats) -> tuple[float, float, float]:
    """Return the mean predicted probability of the true class with its 95 % interval, as in Table 4.

    The interval is the mean plus and minus 1.96 standard errors over images, which the paper's symmetric
    intervals suggest; it takes a patient's images for independent.
    """
    values = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    half = _Z95 * values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
    return float(values.mean()), float(values.mean() - half), float(values.mean() + half)


def confusion(labels: Ints, probabilities: Floats) -> NDArray[np.int64]:
    """Return how often an actual class (row) was predicted as a class (column)."""
    count = probabilities.shape[1]
    flat = np.bincount(labels * count + probabilities.argmax(axis=1), minlength=count * count)
    return flat.reshape(count, count)


def reliability(labels: Ints, probabilities: Floats, bins: int = 10) -> dict[str, Any]:
    """Return how often predictions of a given confidence are right, and the expected calibration error.

    Confidence is the greatest probability; the bins part the range from 0 to 1 evenly. Bins without a
    prediction are left out.
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == labels
    number = np.minimum((confidence * bins).astype(int), bins - 1)
    rows = [
        {
            "low": bin_ / bins,
            "high": (bin_ + 1) / bins,
            "count": int((number == bin_).sum()),
            "confidence": float(confidence[number == bin_].mean()),
            "accuracy": float(right[number == bin_].mean()),
        }
        for bin_ in np.unique(number)
    ]
    error = sum(row["count"] * abs(row["confidence"] - row["accuracy"]) for row in rows) / len(labels)
    return {"expected_calibration_error": error, "bins": rows}


def worst_mistakes(table: pd.DataFrame, labels: Ints, probabilities: Floats, most: int = 12) -> list[int]:
    """Return the numbers of the rows that were predicted wrong with the least probability of the truth."""
    truth = probabilities[np.arange(len(labels)), labels]
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != labels)
    names = table["image_id"].to_numpy()[wrong]
    return [int(row) for row in wrong[np.lexsort((names, truth[wrong]))][:most]]
