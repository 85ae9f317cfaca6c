"""The checkpoint of a training: everything it needs to resume after an epoch, in one file."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxrbuild.artifact.baseline import CheckpointDocument, Epoch, EpochTiming, TrainingIdentity
from cxrbuild.baseline.disk import explaining_write_errors
from cxrbuild.errors import CxrbuildError, name_some
from cxrbuild.files import replacing

_DOCUMENT = "document"
Arrays = list[NDArray[np.generic]]


@dataclass(frozen=True)
class Checkpoint:
    """A training after an epoch.

    Attributes
    ----------
    history
        The figures of each epoch so far.
    timing
        The seconds of each epoch so far.
    values
        The weights, then the optimizer's variables.
    """

    history: list[Epoch]
    timing: list[EpochTiming]
    values: Arrays


def write_checkpoint(path: Path, checkpoint: Checkpoint, identity: TrainingIdentity) -> None:
    """Replace the checkpoint atomically.

    Parameters
    ----------
    path
        The file.
    checkpoint
        The new checkpoint.
    identity
        Which training it is.

    Raises
    ------
    CxrbuildError
        It cannot be written; the previous one is unchanged.
    """
    document = CheckpointDocument(identity=identity, epochs=checkpoint.history, timing=checkpoint.timing)
    # NumPy's types take every keyword for its own `allow_pickle`.
    arrays: Any = {f"{number:04d}": value for number, value in enumerate(checkpoint.values)}
    arrays[_DOCUMENT] = np.array(document.to_bytes().decode())
    kept = "the checkpoint of the previous epoch" if path.is_file() else "no checkpoint yet"
    with explaining_write_errors(path, kept), replacing(path) as temporary, temporary.open("wb") as stream:
        np.savez(stream, **arrays)


def read_checkpoint(path: Path, identity: TrainingIdentity) -> Checkpoint | None:
    """Read the checkpoint of a training, ``None`` where there is none.

    Raises
    ------
    CxrbuildError
        It is damaged, or of another training; the settings that differ are named.
    """
    if not path.is_file():
        return None
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            content = json.loads(str(archive[_DOCUMENT]))
            values = [archive[name] for name in sorted(set(archive.files) - {_DOCUMENT})]
    except (zipfile.BadZipFile, OSError, ValueError, KeyError, EOFError) as error:
        raise CxrbuildError(
            "a damaged checkpoint", where=path, found=error, todo=CheckpointDocument.NEXT_STEP
        ) from error
    document = CheckpointDocument.parse(content, path)
    require_same_training(path, document.identity, identity)
    return Checkpoint(document.epochs, document.timing, values)


def require_same_training(path: Path, found: TrainingIdentity, expected: TrainingIdentity) -> None:
    """Check that a folder holds the training that is asked for, before it is resumed or reused.

    Raises
    ------
    CxrbuildError
        The settings or inputs differ; each difference is named with both values.
    """
    there, here = found.model_dump(mode="json"), expected.model_dump(mode="json")
    differ = [key for key in sorted(here) if there[key] != here[key]]
    if differ:
        raise CxrbuildError(
            "this folder holds another training",
            where=path,
            expected=name_some(f"{key} {here[key]}" for key in differ),
            found=name_some(f"{key} {there[key]}" for key in differ),
            todo="Name another --out, or remove the folder to train again",
        )
