"""The figures of a comparison, and the predictions that they are measured on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cxrbuild.artifact.baseline import Interval
from cxrbuild.artifact.comparison import ComparedFigures, Evaluation
from cxrbuild.bootstrap import paired_figures
from cxrbuild.files import replacing

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Predicted:
    """What a run predicts for the images that it is evaluated on.

    Attributes
    ----------
    combination, part, evaluation, seed
        Which run it is, and the evaluation that it belongs to.
    table
        The rows of the images, with the dataset's split.
    labels
        Class numbers, shape (n,).
    probabilities
        Shape (n, classes).
    """

    combination: str
    part: str
    evaluation: str
    seed: int
    table: pd.DataFrame
    labels: NDArray[np.int32]
    probabilities: NDArray[np.float32]


def measure_comparison(
    predictions: Sequence[Predicted], classes: list[str], resamples: int
) -> list[Evaluation]:
    """Return the figures of each evaluation.

    Parameters
    ----------
    predictions
        Of every run; those of a combination follow each other, and the first combination is the reference.
    classes
        The classes in the order of their numbers.
    resamples
        The number of bootstrap resamples.
    """
    evaluations = dict.fromkeys(one.evaluation for one in predictions)
    return [
        _measure(name, [one for one in predictions if one.evaluation == name], classes, resamples)
        for name in evaluations
    ]


def _measure(name: str, predictions: Sequence[Predicted], classes: list[str], resamples: int) -> Evaluation:
    import pandas as pd

    combinations = list(dict.fromkeys(one.combination for one in predictions))
    seeds = list(dict.fromkeys(one.seed for one in predictions))
    # Every image is evaluated once by each combination and seed, in one of its folds.
    frames = [
        pd.DataFrame(
            {
                "model": f"{one.combination}\0{one.seed}",
                "image_id": one.table["image_id"].to_numpy(),
                "right": one.probabilities.argmax(axis=1) == one.labels,
            }
        )
        for one in predictions
    ]
    right = pd.concat(frames).pivot(index="image_id", columns="model", values="right").sort_index()
    first = [
        one for one in predictions if one.combination == combinations[0] and one.seed == seeds[0]
    ]  # fmt: skip
    images = pd.concat([one.table.assign(number=one.labels) for one in first]).set_index("image_id")
    images = images.loc[right.index]
    of_seeds = {
        combination: right[[f"{combination}\0{seed}" for seed in seeds]].to_numpy(bool)
        for combination in combinations
    }
    figures = paired_figures(
        images["number"].to_numpy(),
        np.stack([of_combination.T for of_combination in of_seeds.values()]),
        images["group"].tolist(),
        classes,
        resamples=resamples,
    )
    return Evaluation(
        name=name,
        counts={label: int((images["label"] == label).sum()) for label in classes},
        patients=int(images["group"].nunique()),
        right={
            combination: [int(count) for count in of_combination.sum(axis=0)]
            for combination, of_combination in of_seeds.items()
        },
        figures={
            combination: _as_document(figures.figures[number], classes)
            for number, combination in enumerate(combinations)
        },
        differences={
            combination: _as_document(figures.differences[number], classes)
            for number, combination in enumerate(combinations)
            if number
        },
    )


def _as_document(figures: NDArray[np.float64], classes: list[str]) -> ComparedFigures:
    accuracy, balanced, *recalls = (
        Interval(value=float(value), low=float(low), high=float(high)) for value, low, high in figures
    )
    return ComparedFigures(
        accuracy=accuracy,
        balanced_accuracy=balanced,
        recall=dict(zip(classes, recalls, strict=True)),
    )


def write_comparison(path: Path, predictions: Sequence[Predicted], classes: list[str]) -> None:
    """Write a row for each run and image evaluated: what the run predicts.

    Parameters
    ----------
    path
        The Parquet file.
    predictions
        Of every run.
    classes
        The classes in the order of their numbers.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    tables = []
    for one in predictions:
        count = len(one.table)
        columns: dict[str, Any] = {
            "combination": pa.array([one.combination] * count),
            "evaluation": pa.array([one.evaluation] * count),
            "part": pa.array([one.part] * count),
            "seed": pa.array([one.seed] * count, pa.int64()),
            **{
                name: pa.array(one.table[name], pa.string(), from_pandas=True)
                for name in ("image_id", "source", "group", "split", "label")
            },
            "predicted": pa.array([classes[number] for number in one.probabilities.argmax(axis=1)]),
            **{f"probability_{name}": one.probabilities[:, number] for number, name in enumerate(classes)},
        }
        tables.append(pa.table(columns).replace_schema_metadata(None))
    with replacing(path) as temporary:
        pq.write_table(pa.concat_tables(tables), temporary, compression="zstd")
