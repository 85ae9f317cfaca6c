"""A trained model with what is needed to predict with it, read from the files next to it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cxrbuild.artifact import names
from cxrbuild.artifact.baseline import BaselineDocument, HistoryDocument
from cxrbuild.baseline.model import load_model
from cxrbuild.catalog.network import Network
from cxrbuild.errors import CxrbuildError


@dataclass(frozen=True)
class TrainedRun:
    """A trained model.

    Attributes
    ----------
    path
        Its file.
    model
        The Keras model: from float32 images of shape (n, side, side, 3), black 0 and white 1, to the
        probabilities of the classes. Its preprocessing is part of it.
    network
        The declaration; ``network.side`` is the side of its input.
    classes
        The classes in the order of their numbers.
    """

    path: Path
    model: Any
    network: Network
    classes: list[str]


def read_run(path: Path) -> TrainedRun:
    """Read a trained model, and its network and classes from the document next to it.

    Parameters
    ----------
    path
        A ``model.keras``: of a seed, next to ``history.json``, or of a result, next to ``metrics.json``.

    Raises
    ------
    CxrbuildError
        There is no such model or no document, one of them is damaged, or they do not belong together.
    """
    network, classes = _read_declaration(path)
    return TrainedRun(path, load_model(path, network, len(classes)), network, classes)


def _read_declaration(path: Path) -> tuple[Network, list[str]]:
    history, metrics = path.with_name(names.HISTORY), path.with_name(names.METRICS)
    if history.is_file():
        identity = HistoryDocument.read(history).identity
        return identity.network, identity.classes
    if metrics.is_file():
        document = BaselineDocument.read(metrics)
        return document.settings.network, document.classes
    raise CxrbuildError(
        "the network of this model is unknown",
        where=path,
        expected=f"{names.HISTORY} or {names.METRICS} next to it, as `cxrbuild train-baseline` writes them",
        todo="Name a model in a folder that `cxrbuild train-baseline` wrote",
    )
