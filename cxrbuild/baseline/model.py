"""A model of a network: built from its declaration, saved, and checked when it is loaded from a file."""

from __future__ import annotations

import json
import re
import shutil
import warnings
import zipfile
from pathlib import Path
from typing import Any

from cxrbuild.baseline.disk import explaining_write_errors
from cxrbuild.baseline.network_covidnet import build_covidnet_like
from cxrbuild.baseline.network_keras import build_application
from cxrbuild.baseline.network_zhong import build_zhong
from cxrbuild.catalog.network import COVIDNET_LIKE, ZHONG, Network
from cxrbuild.errors import CxrbuildError
from cxrbuild.files import replacing

_METADATA, _CONFIG = "metadata.json", "config.json"
_SHARED = re.compile(r'("shared_object_id": )(\d+)')
# The earliest date that a zip archive can hold, for archives and as Keras writes it.
_EPOCH, _DATE_SAVED = (1980, 1, 1, 0, 0, 0), "1980-01-01@00:00:00"
_BLOCK = 1 << 20


def build_model(
    network: Network, classes: int, *, seed: int = 0, precision: str = "float32", weights: Path | None = None
) -> Any:
    """Build a network, untrained.

    With the paper's declaration and three classes it has the 63,148,835 parameters of arXiv 2007.09695. A
    network of ``keras.applications`` has the parameters that Keras gives it, and its preprocessing as its
    first layer.

    Parameters
    ----------
    network
        The declaration.
    classes
        Number of outputs.
    seed
        Seed of the initial weights and of the dropout. Those of networks of ``keras.applications`` follow
        ``keras.utils.set_random_seed``.
    precision
        ``float32``, or ``mixed``: convolutions compute in bfloat16, weights and probabilities are float32.
    weights
        A file of weights without the head, for a network of ``keras.applications``.

    Returns
    -------
    keras.Model
        From float32 images of shape (n, side, side, 3), black 0 and white 1, to float32 probabilities of
        shape (n, classes). All layers are the model's own: there is no model in the model.

    Raises
    ------
    CxrbuildError
        The weights cannot be read, or are of another network.
    """
    policy = "mixed_bfloat16" if precision == "mixed" else "float32"
    if network.name == ZHONG:
        return build_zhong(network, classes, seed=seed, policy=policy)
    if network.name == COVIDNET_LIKE:
        return build_covidnet_like(network, classes, seed=seed, policy=policy)
    return build_application(network, classes, policy=policy, weights=weights)


def load_model(path: Path, network: Network, classes: int) -> Any:
    """Load a saved model and check that it is the declared network.

    Raises
    ------
    CxrbuildError
        There is no such file, it is not a Keras model, or its architecture differs; the first layer that
        differs is named.
    """
    import keras

    if not path.is_file():
        raise CxrbuildError(
            "no such model", where=path, expected="a .keras file written by a training",
            todo="Train one with `cxrbuild train-baseline`, or name the .keras file of a training",
        )  # fmt: skip
    try:
        model = keras.saving.load_model(path, compile=False)
    except Exception as error:  # Keras does not document what it raises for a damaged file.
        raise CxrbuildError(
            "not a Keras model, or a damaged one",
            where=path,
            expected="a .keras file written by a training",
            found=_first_line(error),
            todo="Train one with `cxrbuild train-baseline`, or name the .keras file of a training",
        ) from error
    expected = describe_layers(build_model(network, classes))
    found = describe_layers(model)
    for declared, loaded in zip(expected, found, strict=False):
        if declared != loaded:
            raise _other_architecture(path, declared, loaded)
    if len(expected) != len(found):
        raise _other_architecture(path, f"{len(expected)} layers", f"{len(found)} layers")
    return model


def save_model(model: Any, path: Path, kept: str) -> None:
    """Save a model atomically: the same bytes for the same weights.

    Parameters
    ----------
    model
        A Keras model.
    path
        The file, with the suffix ``.keras``.
    kept
        What remains if it cannot be written, for the error.

    Raises
    ------
    CxrbuildError
        It cannot be written.
    """
    # Keras requires the suffix. The folder is locked, so a fixed name cannot collide, and replaces what a
    # killed run left.
    saved = path.with_name(f".saved-{path.name}")
    try:
        with explaining_write_errors(path, kept), warnings.catch_warnings():
            # Keras 3.15 converts TensorFlow's variables to arrays in a way that NumPy 2 deprecates.
            warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
            model.save(saved)
            with replacing(path) as temporary:
                copy_reproducibly(saved, temporary)
    finally:
        saved.unlink(missing_ok=True)


def copy_reproducibly(saved: Path, path: Path) -> None:
    """Copy a ``.keras`` archive so that equal models give equal bytes.

    Keras records the time of saving in ``metadata.json`` and in the headers of the archive's entries: it is
    replaced by a fixed date. In ``config.json`` it names objects that layers share by their address in
    memory: they are numbered in their order.
    """
    with zipfile.ZipFile(saved) as source, zipfile.ZipFile(path, "w") as target:
        for name in sorted(source.namelist()):
            entry = zipfile.ZipInfo(name, _EPOCH)
            # ZipInfo takes the number of the platform that runs.
            entry.create_system = 3
            if name == _METADATA:
                metadata = json.loads(source.read(name)) | {"date_saved": _DATE_SAVED}
                target.writestr(entry, json.dumps(metadata))
            elif name == _CONFIG:
                target.writestr(entry, _number_shared_objects(source.read(name).decode()))
            else:
                entry.file_size = source.getinfo(name).file_size
                with source.open(name) as content, target.open(entry, "w") as copy:
                    shutil.copyfileobj(content, copy, _BLOCK)


def _number_shared_objects(config: str) -> str:
    numbers: dict[str, int] = {}
    return _SHARED.sub(lambda found: found[1] + str(numbers.setdefault(found[2], len(numbers) + 1)), config)


def describe_layers(model: Any) -> list[str]:
    """Return the input's shape, then the kind of each layer and the shapes of its weights, as text."""
    inputs = getattr(model, "inputs", None) or []
    lines = [f"input {', '.join(_shape(tensor.shape[1:]) for tensor in inputs)}"]
    for layer in model.layers:
        weights = ", ".join(_shape(weight.shape) for weight in layer.weights)
        lines.append(f"{type(layer).__name__} with {f'weights {weights}' if weights else 'no weights'}")
    return lines


def _other_architecture(path: Path, expected: str, found: str) -> CxrbuildError:
    return CxrbuildError(
        "the model's architecture differs from the recipe's [baseline.network]",
        where=path,
        expected=expected,
        found=found,
        todo="Name a model of this network, or declare the model's network in the recipe of the build",
    )


def _shape(shape: Any) -> str:
    return " x ".join(str(size) for size in shape)


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0]
