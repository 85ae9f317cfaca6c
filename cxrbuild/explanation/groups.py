"""The figures of a model by source, age, sex and view."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, get_args

import numpy as np
from numpy.typing import NDArray

from cxrbuild.artifact.explanation import Grouping, GroupScores
from cxrbuild.bootstrap import LEAST_PATIENTS
from cxrbuild.explanation.scores import measure

if TYPE_CHECKING:
    import pandas as pd

# Years; a group is from one limit to below the next.
_AGES = (0, 18, 40, 60, 80)
_UNKNOWN = "unknown"


def measure_groups(
    records: pd.DataFrame,
    groups: list[str],
    labels: NDArray[np.int64],
    probabilities: NDArray[np.float32],
    classes: list[str],
    resamples: int,
) -> list[GroupScores]:
    """Return the figures of every group, those of fewer than 20 patients without figures.

    Parameters
    ----------
    records
        Source, age, sex and view of each image.
    groups
        The group of patients of each image, length n.
    labels
        Class numbers, shape (n,).
    probabilities
        Shape (n, classes).
    classes
        The classes in the order of their numbers.
    resamples
        Number of bootstrap resamples.
    """
    values: dict[Grouping, pd.Series] = {
        "source": records["source"],
        "age": _age_groups(records["patient_age"]),
        "sex": records["patient_sex"],
        "view": records["view_position"],
    }
    patients = np.asarray(groups)
    found = []
    for grouping in get_args(Grouping):
        names = values[grouping].fillna(_UNKNOWN).astype("str").to_numpy()
        for name in _ordered(names):
            mask = names == name
            scored = len(set(patients[mask])) >= LEAST_PATIENTS
            found.append(
                GroupScores(
                    grouping=grouping,
                    group=name,
                    images=int(mask.sum()),
                    patients=len(set(patients[mask])),
                    counts={label: int((labels[mask] == k).sum()) for k, label in enumerate(classes)},
                    scores=measure(
                        labels[mask], probabilities[mask], patients[mask].tolist(), classes, resamples
                    )
                    if scored
                    else None,
                )
            )
    return found


def _ordered(names: NDArray[np.object_]) -> list[str]:
    """Return the groups by name, those of unknown value last."""
    return sorted(set(names.tolist()), key=lambda name: (name == _UNKNOWN, name))


def _age_groups(ages: pd.Series) -> pd.Series:
    """Return the age group of each image, null where the age is unknown."""
    import pandas as pd

    labels = [f"{low} to {high - 1}" for low, high in pairwise(_AGES)]
    labels.append(f"{_AGES[-1]} and over")
    years = ages.astype("Float64").to_numpy(dtype=float, na_value=np.nan)
    return pd.Series(pd.cut(years, [*_AGES, np.inf], right=False, labels=labels)).astype("object")
