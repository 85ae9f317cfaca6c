"""Small samples of a dataset's images, drawn by patient."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from cxrbuild.catalog.baseline import Sample
from cxrbuild.errors import CxrbuildError, count_of, name_some

if TYPE_CHECKING:
    import pandas as pd


def draw_sample(rows: pd.DataFrame, sample: Sample, where: object) -> pd.Series:
    """Return the split of each image of a sample, by the image's row.

    Each group of patients gives one image, in the order of a hash of its name, until a class has its number.
    The first ones are test. A group of several classes gives an image to one of them.

    Parameters
    ----------
    rows
        ``image_id``, ``source``, ``group`` and ``label`` of each image of the dataset.
    sample
        The declaration.
    where
        The dataset, for the error.

    Raises
    ------
    CxrbuildError
        A class has fewer groups of patients than the sample has images of it.
    """
    import pandas as pd

    known = rows[rows["source"].isin(sample.sources)] if sample.sources else rows
    # One image of each group and class: the first by its id.
    first = known.sort_values("image_id").drop_duplicates(["label", "group"])
    order = first["group"].map(lambda group: hashlib.sha256(f"{sample.salt}/{group}".encode()).digest())
    first = first.loc[order.sort_values(kind="stable").index]
    splits: dict[int, str] = {}
    taken: set[str] = set()
    problems = []
    for name, count in sample.count.items():
        of_class = first[(first["label"] == name) & ~first["group"].isin(taken)].iloc[:count]
        if len(of_class) < count:
            found = count_of(len(of_class), "group")
            problems.append(f"{name} has {found} of patients, the sample {count_of(count, 'image')}")
        taken |= set(of_class["group"])
        for position, row in enumerate(of_class.index):
            splits[row] = "test" if position < sample.test else "train"
    if problems:
        raise CxrbuildError(
            "the dataset has too few patients for the sample: " + "; ".join(problems),
            where=where,
            expected="one image of each group of patients",
            found=f"images of {name_some(sorted(set(known['source'].dropna()))) or 'no source'}",
            todo="Lower the counts of [baseline.sample], or build a dataset with more patients",
        )
    return pd.Series(splits, dtype="str").sort_index()
