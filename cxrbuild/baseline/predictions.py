"""The predictions of each model, for ``predictions.parquet`` and for the figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cxrbuild.artifact.baseline import Epoch, ModelFile
from cxrbuild.baseline.input import Images
from cxrbuild.errors import CxrbuildError
from cxrbuild.files import replacing


@dataclass(frozen=True)
class ModelPredictions:
    """What one model predicts.

    Attributes
    ----------
    model
        Its file.
    seed
        The seed of its training, ``None`` for a saved model.
    history
        The figures of each epoch, empty for a saved model.
    probabilities
        Of every image of the dataset, shape (n, classes).
    """

    model: ModelFile
    seed: int | None
    history: list[Epoch]
    probabilities: NDArray[np.float32]

    def __post_init__(self) -> None:
        if not np.isfinite(self.probabilities).all():
            raise CxrbuildError(
                "the model predicts no probabilities",
                where=self.model.file,
                expected="probabilities from 0 to 1",
                found="nan, which its weights or its training produce",
                todo="Train again with lower rates of [baseline] learning_rate, or name another model",
            )


def write_predictions(
    path: Path, images: Images, predictions: Sequence[ModelPredictions], classes: list[str]
) -> None:
    """Write a row for each model and image: label, predicted class, probability of each class.

    Parameters
    ----------
    path
        The Parquet file.
    images
        The dataset.
    predictions
        The predictions of each model.
    classes
        The classes in the order of their numbers.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    tables = []
    for of_model in predictions:
        probabilities = of_model.probabilities
        columns = {
            "seed": pa.array([of_model.seed] * len(images.table), pa.int64()),
            **{name: pa.array(images.table[name]) for name in ("image_id", "split", "label")},
            "predicted": pa.array([classes[number] for number in probabilities.argmax(axis=1)]),
            **{f"probability_{name}": probabilities[:, number] for number, name in enumerate(classes)},
        }
        tables.append(pa.table(columns).replace_schema_metadata(None))
    with replacing(path) as temporary:
        pq.write_table(pa.concat_tables(tables), temporary, compression="zstd")
