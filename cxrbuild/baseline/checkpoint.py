"""What a training needs to go on from the end of an epoch, in one file that is replaced whole."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxrbuild.errors import CxrbuildError, name_some
from cxrbuild.files import replacing

_NOTE = "note"


@dataclass(frozen=True)
class Checkpoint:
    """A training at the end of an epoch.

    Parameters
    ----------
    history
        What was measured in each epoch so far.
    values
        The weights, then the optimizer's variables.
    """

    history: list[dict[str, Any]]
    values: list[NDArray[Any]]


def write_checkpoint(path: Path, checkpoint: Checkpoint, identity: dict[str, Any]) -> None:
    """Replace the checkpoint by a later one; the earlier stays until the later is whole.

    Parameters
    ----------
    path
        The file.
    checkpoint
        What to hold.
    identity
        What the training is of: settings, seed, images, library versions.

    Raises
    ------
    CxrbuildError
        It cannot be written; the earlier one is untouched.
    """
    note = json.dumps({"identity": identity, "history": checkpoint.history})
    arrays: dict[str, Any] = {f"{number:04d}": value for number, value in enumerate(checkpoint.values)}
    arrays[_NOTE] = np.array(note)
    kept = "the checkpoint of the epoch before" if path.is_file() else "no checkpoint yet"
    with explaining_full_disk(path, kept), replacing(path) as temporary, temporary.open("wb") as stream:
        np.savez(stream, **arrays)


def read_checkpoint(path: Path, identity: dict[str, Any]) -> Checkpoint | None:
    """Read the checkpoint of a training, ``None`` where there is none.

    Raises
    ------
    CxrbuildError
        It is damaged, or of another training; what differs is named.
    """
    if not path.is_file():
        return None
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as held:
            note = json.loads(str(held[_NOTE]))
            history = note["history"]
            values = [held[name] for name in sorted(set(held.files) - {_NOTE})]
    except (zipfile.BadZipFile, OSError, ValueError, KeyError, EOFError) as error:
        raise CxrbuildError(
            "a damaged checkpoint", where=path, found=error, todo="Remove the file to train from the start"
        ) from error
    refuse_other_training(path, note["identity"], identity)
    return Checkpoint(history, values)


def refuse_other_training(path: Path, found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Refuse to go on with, or to overwrite, what was trained otherwise.

    Raises
    ------
    CxrbuildError
        The identities differ; the keys that do are named with both values.
    """
    differ = [key for key in sorted(expected | found) if expected.get(key) != found.get(key)]
    if differ:
        raise CxrbuildError(
            "this folder holds a training of another kind",
            where=path,
            expected=name_some(f"{key} {expected.get(key)}" for key in differ),
            found=name_some(f"{key} {found.get(key)}" for key in differ),
            todo="Name another --out, or remove the folder to train again",
        )


def require_space(folder: Path, needed: int) -> None:
    """Refuse to begin what the disk cannot hold.

    Raises
    ------
    CxrbuildError
        The file system of the folder has less than ``needed`` bytes free.
    """
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise CxrbuildError(
            "too little space for checkpoints and model",
            where=folder,
            expected=f"{needed / 1e6:,.1f} MB free",
            found=f"{free / 1e6:,.1f} MB",
            todo="Make space, or name another --out",
        )


@contextmanager
def explaining_full_disk(path: Path, kept: str) -> Iterator[None]:
    """Turn an error of the file system while writing ``path`` into one that says what is kept.

    Raises
    ------
    CxrbuildError
        The block raised ``OSError``, or TensorFlow's error that stands for one.
    """
    import tensorflow as tf

    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        if isinstance(error, OSError):
            reason = error.strerror or str(error)
        else:
            # Its first line is `path; reason`, the others are what it was about.
            reason = error.message.partition("\n")[0].rpartition("; ")[2]
        raise CxrbuildError(
            "cannot be written",
            where=path,
            found=f"{reason}; kept: {kept}",
            todo="Make space and run the same command again: it goes on from what is kept",
        ) from error
