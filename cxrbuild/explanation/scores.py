"""The figures of a model on some images, with intervals by patient-level bootstrap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxrbuild.artifact.baseline import Interval
from cxrbuild.artifact.explanation import Scores
from cxrbuild.bootstrap import overall_figures, share_limits


def measure(
    labels: NDArray[np.int64],
    probabilities: NDArray[np.float32],
    groups: Sequence[str],
    classes: list[str],
    resamples: int,
) -> Scores:
    """Return accuracy, AUC and the recall of each class that the images have.

    Parameters
    ----------
    labels
        Class numbers, shape (n,).
    probabilities
        Shape (n, classes).
    groups
        The group of patients of each image, length n.
    classes
        The classes in the order of their numbers.
    resamples
        Number of bootstrap resamples.
    """
    figures = overall_figures(labels, probabilities, groups, resamples=resamples)
    patients = np.asarray(groups)
    return Scores(
        accuracy=_share(figures["accuracy"][0], patients),
        auc=Interval.model_validate(figures["auc"][0]),
        recall={
            name: _share(figures["recall"][number], patients[labels == number])
            for number, name in enumerate(classes)
            if number in labels
        },
    )


def _share(figure: Mapping[str, float], patients: NDArray[Any]) -> Interval:
    return Interval.model_validate({**figure, **share_limits(figure, patients)})
