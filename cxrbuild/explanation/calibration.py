"""Calibration: how well probabilities agree with classes, before and after temperature scaling."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cxrbuild.artifact.explanation import Calibration, CalibrationFigures
from cxrbuild.baseline.evaluation import measure_reliability
from cxrbuild.explanation.attribution import probabilities_of

Logits = NDArray[np.float32]
Labels = NDArray[np.int64]
# Where the temperature is searched. A limit is reached only where the validation split is all right or all
# wrong.
_LEAST, _MOST = 0.05, 20.0


def measure_calibration(
    labels: Labels,
    logits: Logits,
    validation_labels: Labels,
    validation_logits: Logits,
    classes: list[str],
) -> Calibration:
    """Return the calibration on test before and after temperature scaling.

    All logits are divided by one temperature, which minimizes the log loss of the validation split (Guo et
    al. 2017, arXiv 1706.04599). It changes no predicted class. Without a validation split none is fitted:
    a temperature that was fitted on test would be tested on what it was fitted to. None is fitted either on a
    validation split that lacks a class: it would be that of the other classes.

    Parameters
    ----------
    labels, logits
        Class numbers and logits of the test split.
    validation_labels, validation_logits
        Those of the validation split, empty without one.
    classes
        The classes in the order of their numbers.
    """
    counts = {name: int((validation_labels == number).sum()) for number, name in enumerate(classes)}
    complete = all(counts.values())
    temperature = fit_temperature(validation_labels, validation_logits) if complete else None
    return Calibration(
        fitted_on=len(validation_labels) if complete else 0,
        temperature=temperature,
        before=_figures(labels, logits),
        after=None if temperature is None else _figures(labels, logits / np.float32(temperature)),
        validation=counts if any(counts.values()) else {},
    )


def fit_temperature(labels: Labels, logits: Logits) -> float:
    """Return the temperature that minimizes the log loss, from 0.05 to 20."""
    from scipy.optimize import minimize_scalar

    limits = (np.log(_LEAST), np.log(_MOST))
    found = minimize_scalar(
        lambda logarithm: log_loss(labels, logits / np.exp(logarithm)), bounds=limits, method="bounded"
    )
    return float(np.exp(found.x))


def log_loss(labels: Labels, logits: NDArray[np.floating]) -> float:
    """Return the mean negative logarithm of the probability of the true class."""
    values = logits.astype(np.float64)
    values -= values.max(axis=1, keepdims=True)
    normal = np.log(np.exp(values).sum(axis=1))
    return float((normal - values[np.arange(len(labels)), labels]).mean())


def _figures(labels: Labels, logits: Logits) -> CalibrationFigures:
    return CalibrationFigures(
        log_loss=log_loss(labels, logits),
        reliability=measure_reliability(labels.astype(np.int32), probabilities_of(logits)),
    )
