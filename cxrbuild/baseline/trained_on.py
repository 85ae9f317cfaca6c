"""The training images of a model, saved next to it, so that a later test can exclude their patients."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cxrbuild.artifact import names
from cxrbuild.artifact.baseline import ModelFile, TrainedOnDocument, TrainingData
from cxrbuild.artifact.document import DocumentError
from cxrbuild.baseline.dataset import HeldDataset
from cxrbuild.baseline.disk import explaining_write_errors
from cxrbuild.baseline.input import Images
from cxrbuild.errors import CxrbuildError
from cxrbuild.files import replacing, sha256_of

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS = ["image_id", "source", "patient_id", "group", "label", "sha256"]
_KEY = b"cxrbuild"


@dataclass(frozen=True)
class TrainedOn:
    """The training images of a model.

    Attributes
    ----------
    images
        ``image_id``, ``source``, ``patient_id``, ``group``, ``label`` and ``sha256``, one row each.
    document
        Which model it is, and from which dataset the images are.
    """

    images: pd.DataFrame
    document: TrainedOnDocument

    def summary(self) -> TrainingData:
        """Return the counts that an evaluation reports."""
        counts = self.images["label"].value_counts()
        return TrainingData(
            dataset=self.document.dataset,
            manifest_sha256=self.document.manifest_sha256,
            images=len(self.images),
            patients=int(self.images["group"].nunique()),
            counts={name: int(counts.get(name, 0)) for name in self.document.classes},
        )


def write_trained_on(folder: Path, images: pd.DataFrame, document: TrainedOnDocument) -> None:
    """Write the training images next to the model.

    Parameters
    ----------
    folder
        The model's folder.
    images, document
        The attributes of ``TrainedOn``.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({name: pa.array(images[name], pa.string(), from_pandas=True) for name in _COLUMNS})
    metadata = {_KEY: document.model_dump_json().encode()}
    with replacing(folder / names.TRAINED_ON) as temporary:
        pq.write_table(table.replace_schema_metadata(metadata), temporary, compression="zstd")


def read_trained_on(folder: Path) -> TrainedOn | None:
    """Read the training images next to a model, ``None`` where there is no such file.

    Raises
    ------
    CxrbuildError
        The file is damaged or of another kind.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = folder / names.TRAINED_ON
    if not path.is_file():
        return None
    try:
        table = pq.read_table(path, columns=_COLUMNS)
        document = TrainedOnDocument.parse(json.loads(table.schema.metadata[_KEY]), path)
        return TrainedOn(table.to_pandas(), document)
    except DocumentError:
        raise
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
        raise CxrbuildError(
            "not a list of training images, or a damaged one",
            where=path,
            expected="the file that a training writes next to its model",
            found=str(error).split("\n", 1)[0],
            todo=TrainedOnDocument.NEXT_STEP,
        ) from error


def find_trained_on(model: Path, sha256: str, classes: list[str]) -> TrainedOn | None:
    """Read the training images of a model, ``None`` where there is no file next to it.

    Parameters
    ----------
    model
        The saved model.
    sha256
        The SHA-256 of its bytes.
    classes
        The classes of the evaluation, in the order of their numbers.

    Raises
    ------
    CxrbuildError
        The file is damaged or another model's, or the model was trained for other classes.
    """
    trained = read_trained_on(model.parent)
    if trained is None:
        return None
    document = trained.document
    if document.model_sha256 != sha256:
        raise CxrbuildError(
            "this is the list of training images of another model",
            where=model.parent / names.TRAINED_ON,
            expected=f"the list of {model.name} with SHA-256 {sha256}",
            found=document.model_sha256,
            todo="Put the two files of one training into the folder, or move this one away",
        )
    if document.classes != classes:
        raise CxrbuildError(
            "the model was trained for other classes, or in another order",
            where=model,
            expected=", ".join(classes),
            found=", ".join(document.classes),
            todo="Name a model that was trained for the classes of the build's recipe",
        )
    return trained


def record_training_images(model: Path, images: Images, classes: list[str], dataset: HeldDataset) -> None:
    """Write the training images of a model next to it, unless they are already there.

    Parameters
    ----------
    model
        The saved model.
    images
        The dataset that it was trained on.
    classes
        The classes in the order of their numbers.
    dataset
        Which dataset it is.
    """
    document = TrainedOnDocument(
        model_sha256=sha256_of(model),
        classes=classes,
        dataset=dataset.reference,
        manifest_sha256=dataset.manifest_sha256,
    )
    present = read_trained_on(model.parent)
    if present is None or present.document != document:
        with explaining_write_errors(model.parent / names.TRAINED_ON, kept="the model"):
            write_trained_on(model.parent, images.table.iloc[images.rows("train")], document)


def describe_model(model: Path, name: str, classes: list[str]) -> tuple[ModelFile, pd.DataFrame | None]:
    """Return the description of a model, and its training images where they are known.

    Parameters
    ----------
    model
        The saved model.
    name
        The path by which the evaluation names it.
    classes
        The classes of the evaluation, in the order of their numbers.

    Raises
    ------
    CxrbuildError
        The conditions of ``find_trained_on``.
    """
    sha256 = sha256_of(model)
    trained = find_trained_on(model, sha256, classes)
    described = ModelFile(file=name, sha256=sha256, trained_on=trained.summary() if trained else None)
    return described, trained.images if trained else None
