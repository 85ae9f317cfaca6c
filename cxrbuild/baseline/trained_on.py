"""What a model was trained on: kept beside it, so that a test can do without it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cxrbuild.baseline.checkpoint import explaining_full_disk
from cxrbuild.baseline.input import Images
from cxrbuild.errors import CxrbuildError
from cxrbuild.files import replacing, sha256_of

if TYPE_CHECKING:
    import pandas as pd

TRAINED_ON = "trained_on.parquet"
_COLUMNS = ["image_id", "source", "patient_id", "group", "label", "sha256"]
_KEY = b"cxrbuild"


@dataclass(frozen=True)
class TrainedOn:
    """The training images of a model.

    Parameters
    ----------
    films
        ``image_id``, ``source``, ``patient_id``, ``group``, ``label`` and ``sha256``, a row each.
    note
        ``model_sha256``, ``classes``, ``dataset`` (name and version) and ``manifest_sha256``.
    """

    films: pd.DataFrame
    note: dict[str, Any]

    def summary(self) -> dict[str, Any]:
        """Return what an evaluation tells of it."""
        counts = self.films["label"].value_counts()
        return {
            "dataset": self.note["dataset"],
            "manifest_sha256": self.note["manifest_sha256"],
            "images": len(self.films),
            "patients": int(self.films["group"].nunique()),
            "counts": {name: int(counts.get(name, 0)) for name in self.note["classes"]},
        }


def write_trained_on(folder: Path, films: pd.DataFrame, note: dict[str, Any]) -> None:
    """Write the training images beside the model.

    Parameters
    ----------
    folder
        The model's.
    films, note
        As ``TrainedOn`` has them.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({name: pa.array(films[name], pa.string(), from_pandas=True) for name in _COLUMNS})
    with replacing(folder / TRAINED_ON) as temporary:
        pq.write_table(
            table.replace_schema_metadata({_KEY: json.dumps(note).encode()}), temporary, compression="zstd"
        )


def read_trained_on(folder: Path) -> TrainedOn | None:
    """Read the training images that stand beside a model, ``None`` where there is no such file.

    Raises
    ------
    CxrbuildError
        The file is damaged or of another kind.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = folder / TRAINED_ON
    if not path.is_file():
        return None
    try:
        table = pq.read_table(path, columns=_COLUMNS)
        return TrainedOn(table.to_pandas(), json.loads(table.schema.metadata[_KEY]))
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
        raise CxrbuildError(
            "not a list of training images, or a damaged one",
            where=path,
            expected="the file that a training left beside its model",
            found=str(error).split("\n", 1)[0],
            todo="Train again, or move the file away to evaluate a model whose training images are not known",
        ) from error


def trained_on_of(model: Path, sha256: str, classes: list[str]) -> TrainedOn | None:
    """Read what a model was trained on, ``None`` where nothing stands beside it.

    Parameters
    ----------
    model
        The saved model.
    sha256
        The SHA-256 of its bytes.
    classes
        The classes that it will be judged by, in the order of their numbers.

    Raises
    ------
    CxrbuildError
        The file beside it is damaged or another model's, or the model tells other classes apart.
    """
    trained = read_trained_on(model.parent)
    if trained is None:
        return None
    if trained.note["model_sha256"] != sha256:
        raise CxrbuildError(
            "this is the list of training images of another model",
            where=model.parent / TRAINED_ON,
            expected=f"that of {model.name} with SHA-256 {sha256}",
            found=trained.note["model_sha256"],
            todo="Put the two files together as the training left them, or move this one away",
        )
    if trained.note["classes"] != classes:
        raise CxrbuildError(
            "the model was trained for other classes, or in another order",
            where=model,
            expected=", ".join(classes),
            found=", ".join(trained.note["classes"]),
            todo="Name a model that was trained for the classes of the build's recipe",
        )
    return trained


def note_films(folder: Path, model: str, images: Images, classes: list[str], dataset: dict[str, Any]) -> None:
    """Write what a model was trained on beside it, unless it is there.

    Parameters
    ----------
    folder, model
        Where the model is, and its name there.
    images
        The dataset that it was trained on.
    classes
        The classes in the order of their numbers.
    dataset
        ``name`` and ``version``, null where not known, and ``manifest_sha256``, absent where not known.
    """
    note = {
        "model_sha256": sha256_of(folder / model),
        "classes": classes,
        "dataset": {"name": dataset["name"], "version": dataset["version"]},
        "manifest_sha256": dataset.get("manifest_sha256"),
    }
    held = read_trained_on(folder)
    if held is None or held.note != note:
        with explaining_full_disk(folder / TRAINED_ON, kept="the model"):
            write_trained_on(folder, images.table.iloc[images.rows("train")], note)


def describe_model(model: Path, name: str, classes: list[str]) -> tuple[dict[str, Any], pd.DataFrame | None]:
    """Return what an evaluation tells of a model, and the films that it was trained on where they are known.

    Parameters
    ----------
    model
        The saved model.
    name
        What the evaluation calls its file.
    classes
        The classes that it is judged by, in the order of their numbers.

    Raises
    ------
    CxrbuildError
        As ``trained_on_of`` does.
    """
    sha256 = sha256_of(model)
    trained = trained_on_of(model, sha256, classes)
    told = {"file": name, "sha256": sha256, "trained_on": trained.summary() if trained else None}
    return told, trained.films if trained else None
