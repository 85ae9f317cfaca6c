"""Confidence intervals: of the figures of each class by patient-level bootstrap, of a share exactly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_CHUNK = 200
_PERCENTILES = (2.5, 97.5)
LEAST_PATIENTS = 20
"""Of fewer patients the figures of a group, and the interval of a difference, say nothing."""
NAMES = ("precision", "recall", "f1", "auc")


def class_figures(
    labels: NDArray[Any],
    probabilities: NDArray[Any],
    groups: Sequence[str],
    *,
    resamples: int,
    seed: int = 0,
) -> list[dict[str, dict[str, float]]]:
    """Return precision, recall, F1 and AUC of each class, each with a 95 % bootstrap interval.

    A class is predicted where its probability is the greatest. The AUC is that of the class's probability
    against all other classes. Patients are drawn instead of images: images of one patient resemble each
    other, and drawing them separately would make the intervals too narrow. The interval is from the 2.5th to
    the 97.5th percentile; that of a precision or recall of 0 or 1 is exact, see `share_limits`.

    Parameters
    ----------
    labels
        Class numbers, shape (n,).
    probabilities
        Shape (n, classes).
    groups
        The group of patients of each image, length n.
    resamples
        The number of resamples.
    seed
        The seed of the resamples.

    Returns
    -------
    list of dict
        For each class and figure, ``value``, ``low`` and ``high``; ``nan`` where a figure is undefined.
    """
    measured = _figures(labels, probabilities, np.ones((1, len(labels))))[0]
    samples = np.concatenate(
        [_figures(labels, probabilities, weights) for weights in _resample(groups, resamples, seed)]
    )
    found = [
        {name: _with_interval(measured[k, i], samples[:, k, i]) for i, name in enumerate(NAMES)}
        for k in range(probabilities.shape[1])
    ]
    patients, called = np.asarray(groups), probabilities.argmax(axis=1)
    for k, of_class in enumerate(found):
        for name, images in (("precision", called == k), ("recall", labels == k)):
            of_class[name] |= share_limits(of_class[name], patients[images])
    return found


def overall_figures(
    labels: NDArray[Any],
    probabilities: NDArray[Any],
    groups: Sequence[str],
    *,
    resamples: int,
    seed: int = 0,
) -> dict[str, list[dict[str, float]]]:
    """Return accuracy, AUC over all classes, and the recall of each class, with 95 % bootstrap intervals.

    The AUC is the mean of the classes' AUC, each against all other classes, over the classes that the images
    have. It is undefined for images of one class. Parameters and intervals are those of `class_figures`.

    Returns
    -------
    dict
        For ``accuracy`` and ``auc`` one figure, for ``recall`` one for each class: ``value``, ``low`` and
        ``high``; ``nan`` where a figure is undefined.
    """
    classes = np.unique(labels)
    right = probabilities.argmax(axis=1) == labels

    def figures(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        with np.errstate(invalid="ignore"):  # 0 / 0 is nan: undefined
            auc = [_auc(labels == k, probabilities[:, k], weights) for k in classes]
            recall = [
                (weights @ (right & (labels == k))) / (weights @ (labels == k))
                for k in range(probabilities.shape[1])
            ]
        return np.stack([weights @ right / weights.sum(axis=1), np.mean(auc, axis=0), *recall], axis=1)

    measured = figures(np.ones((1, len(labels))))[0]
    samples = np.concatenate([figures(weights) for weights in _resample(groups, resamples, seed)])
    accuracy, auc, *recall = (_with_interval(measured[i], samples[:, i]) for i in range(len(measured)))
    return {"accuracy": [accuracy], "auc": [auc], "recall": recall}


def _resample(groups: Sequence[str], resamples: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """Yield how often each image is drawn in some of the resamples, shape (resamples, images)."""
    _, numbers = np.unique(np.asarray(groups), return_inverse=True)
    count = int(numbers.max()) + 1
    random = np.random.default_rng(seed)
    for start in range(0, resamples, _CHUNK):
        size = min(_CHUNK, resamples - start)
        times = random.multinomial(count, np.full(count, 1 / count), size=size)
        yield times[:, numbers].astype(np.float64)


def _resample_seeds(seeds: int, resamples: int, seed: int) -> NDArray[np.float64]:
    """Return the share of each seed of the training in each resample, shape (resamples, seeds)."""
    random = np.random.default_rng([seed, seeds])
    return random.multinomial(seeds, np.full(seeds, 1 / seeds), size=resamples) / seeds


def _with_interval(measured: float, samples: NDArray[np.float64]) -> dict[str, float]:
    low, high = _interval(samples)
    return {"value": float(measured), "low": low, "high": high}


@dataclass(frozen=True)
class PairedFigures:
    """Figures of several models on the same images, with 95 % intervals of the same resamples.

    Attributes
    ----------
    names
        The figures: ``accuracy``, ``balanced_accuracy``, then the recall of each class.
    figures
        Value and limits, shape (models, figures, 3); ``nan`` where they are undefined.
    differences
        The same of each model's figures minus those of the first model.
    """

    names: list[str]
    figures: NDArray[np.float64]
    differences: NDArray[np.float64]


def paired_figures(
    labels: NDArray[Any],
    right: NDArray[Any],
    groups: Sequence[str],
    classes: Sequence[str],
    *,
    resamples: int,
    seed: int = 0,
) -> PairedFigures:
    """Compare models on the same images by a paired bootstrap of patients.

    Each resample draws patients once for all models, so what makes an image hard or easy for all of them
    cancels out in the differences. It also draws the seeds of the training, the same for all models, so the
    intervals contain what another seed changes; of few seeds they contain too little of it. Balanced accuracy
    is the mean recall of the classes that have images. The limits of a figure of 0 or 1 are exact, see
    `share_limits`. A difference of the figures of fewer than `LEAST_PATIENTS` patients has no limits.

    Parameters
    ----------
    labels
        Class numbers, shape (n,).
    right
        Whether each model is right, shape (models, seeds, n). Seeds are those of the training.
    groups
        The group of patients of each image, length n.
    classes
        The classes in the order of their numbers.
    resamples
        The number of resamples.
    seed
        The seed of the resamples.
    """
    models, seeds = right.shape[:2]
    shares = _resample_seeds(seeds, resamples, seed)
    drawn, start = [], 0
    for weights in _resample(groups, resamples, seed):
        of_seeds = shares[start : start + len(weights)]
        start += len(weights)
        drawn.append(
            sum(
                of_seeds[:, number, None, None] * _recalls(labels, right[:, number], weights, len(classes))
                for number in range(seeds)
            )
        )
    samples = np.concatenate(drawn)
    measured = _recalls(labels, right.mean(axis=1), np.ones((1, len(labels))), len(classes))[0]
    figures = _with_limits(measured, samples)
    differences = _with_limits(measured - measured[:1], samples - samples[:, :1])
    numbers = np.asarray(groups)
    of_class = [numbers[labels == k] for k in range(len(classes))]
    # A mean over the classes is as certain as that of the class with the fewest patients.
    fewest = min((one for one in of_class if len(one)), key=lambda one: len(set(one.tolist())))
    for figure, patients in enumerate([numbers, fewest, *of_class]):
        if len(set(patients.tolist())) < LEAST_PATIENTS:
            differences[:, figure, 1:] = np.nan
        for model in range(models):
            value, low, high = figures[model, figure]
            limits = share_limits({"value": value, "low": low, "high": high}, patients)
            figures[model, figure, 1:] = limits["low"], limits["high"]
    return PairedFigures(["accuracy", "balanced_accuracy", *classes], figures, differences)


def share_limits(figure: Mapping[str, float], patients: NDArray[Any]) -> dict[str, float]:
    """Return the limits of a share: those of the bootstrap, of 0 or 1 the exact ones of as many patients.

    All resamples of images that are all right, or all wrong, are equal: their interval has no width.

    Parameters
    ----------
    figure
        ``value``, ``low`` and ``high``.
    patients
        The group of patients of each image that the share is of.
    """
    if figure["value"] not in (0, 1):
        return {"low": figure["low"], "high": figure["high"]}
    count = len(set(patients.tolist()))
    low, high = exact_interval(count if figure["value"] else 0, count)
    return {"low": low, "high": high}


def _recalls(
    labels: NDArray[Any], right: NDArray[Any], weights: NDArray[np.float64], classes: int
) -> NDArray[np.float64]:
    """Return accuracy, balanced accuracy and recalls, shape (resamples, models, 2 + classes)."""
    of_class = np.arange(classes)[:, None] == labels
    hits = np.stack([weights @ (right * mask).T for mask in of_class], axis=-1)
    images = (weights @ of_class.T.astype(np.float64))[:, None]
    with np.errstate(invalid="ignore"):  # 0 / 0 is nan: undefined
        recalls = hits / images
        accuracy = hits.sum(axis=-1) / images.sum(axis=-1)
    balanced = recalls[..., of_class.any(axis=1)].mean(axis=-1)
    return np.concatenate([np.stack([accuracy, balanced], axis=-1), recalls], axis=-1)


def _with_limits(measured: NDArray[np.float64], samples: NDArray[np.float64]) -> NDArray[np.float64]:
    limits = np.array([
        [_interval(samples[:, model, figure]) for figure in range(samples.shape[2])]
        for model in range(samples.shape[1])
    ])  # fmt: skip
    return np.concatenate([measured[..., None], limits], axis=-1)


def exact_interval(hits: int, count: int) -> tuple[float, float]:
    """Return the exact 95 % interval of a share, after Clopper and Pearson.

    A bootstrap of few observations that are all equal gives an interval without width; this one does not.

    Parameters
    ----------
    hits, count
        The share's numerator and denominator, of independent observations.

    Examples
    --------
    >>> [round(limit, 3) for limit in exact_interval(10, 10)]
    [0.692, 1.0]
    """
    from scipy.stats import binomtest

    interval = binomtest(hits, count).proportion_ci(method="exact")
    return float(interval.low), float(interval.high)


def _interval(samples: NDArray[np.float64]) -> tuple[float, float]:
    defined = samples[~np.isnan(samples)]
    if not len(defined):
        return float("nan"), float("nan")
    low, high = np.percentile(defined, _PERCENTILES)
    return float(low), float(high)


def _figures(
    labels: NDArray[Any], probabilities: NDArray[Any], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the figures under each row of weights, shape (resamples, classes, figures)."""
    predicted = probabilities.argmax(axis=1)
    figures = []
    with np.errstate(invalid="ignore"):  # 0 / 0 is nan: undefined
        for k in range(probabilities.shape[1]):
            actual, called = labels == k, predicted == k
            hits = weights @ (actual & called)
            positives, calls = weights @ actual, weights @ called
            auc = _auc(actual, probabilities[:, k], weights)
            figures.append(
                np.stack([hits / calls, hits / positives, 2 * hits / (positives + calls), auc], axis=1)
            )
    return np.stack(figures, axis=1)


def _auc(
    actual: NDArray[np.bool_], scores: NDArray[Any], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the share of pairs of a positive and a negative in the right order; ties count half."""
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(scores[order]) > 0])
    positive = np.add.reduceat(weights[:, order] * actual[order], starts, axis=1)
    negative = np.add.reduceat(weights[:, order] * ~actual[order], starts, axis=1)
    below = np.cumsum(negative, axis=1) - negative
    pairs = positive.sum(axis=1) * negative.sum(axis=1)
    return np.asarray((positive * (below + negative / 2)).sum(axis=1) / pairs)
