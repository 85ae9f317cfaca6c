"""The figures of a model on some images, with intervals by patient-level bootstrap."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cxrbuild.artifact.baseline import Interval
from cxrbuild.artifact.explanation import Scores
from cxrbuild.bootstrap import class_figures, overall_figures


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
    overall = overall_figures(labels, probabilities, groups, resamples=resamples)
    of_class = class_figures(labels, probabilities, groups, resamples=resamples)
    return Scores(
        accuracy=Interval.model_validate(overall["accuracy"]),
        auc=Interval.model_validate(overall["auc"]),
        recall={
            name: Interval.model_validate(of_class[number]["recall"])
            for number, name in enumerate(classes)
            if number in labels
        },
    )
