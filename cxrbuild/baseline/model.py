"""The network: built from its declaration, saved, and checked when it is loaded from a file."""

from __future__ import annotations

import json
import shutil
import warnings
import zipfile
from pathlib import Path
from typing import Any

from cxrbuild.baseline.disk import explaining_write_errors
from cxrbuild.catalog.baseline import Network
from cxrbuild.errors import CxrbuildError
from cxrbuild.files import replacing

_METADATA = "metadata.json"
# The earliest date that a zip archive can hold, for archives and as Keras writes it.
_EPOCH, _DATE_SAVED = (1980, 1, 1, 0, 0, 0), "1980-01-01@00:00:00"
_BLOCK = 1 << 20


def build_model(network: Network, classes: int, *, seed: int = 0, precision: str = "float32") -> Any:
    """Build the network, untrained.

    With the paper's declaration and three classes it has the 63,148,835 parameters of arXiv 2007.09695.

    Parameters
    ----------
    network
        The declaration.
    classes
        Number of outputs.
    seed
        Seed of the initial weights and of the dropout.
    precision
        ``float32``, or ``mixed``: convolutions compute in bfloat16, everything else in float32.

    Returns
    -------
    keras.Model
        From float32 images of shape (n, side, side, 3), black 0 and white 1, to float32 probabilities of
        shape (n, classes).
    """
    from keras import Model, initializers, layers

    seeds = iter(range(1000 * seed, 1000 * seed + 1000))

    def kernel() -> Any:
        # The default of Keras, with a separate seed for each layer.
        return initializers.GlorotUniform(next(seeds))

    policy = "mixed_bfloat16" if precision == "mixed" else "float32"
    pool_globally = {"average": layers.GlobalAveragePooling2D, "max": layers.GlobalMaxPooling2D}
    inputs = layers.Input((network.side, network.side, 3), name="image")
    x = last = inputs
    pooled = []
    for number, block in enumerate(network.blocks, 1):
        for position in range(1, block.convolutions + 1):
            x = last = layers.Conv2D(
                block.filters,
                3,
                padding="same",
                activation="elu",
                kernel_initializer=kernel(),
                dtype=policy,
                name=f"block{number}_conv{position}",
            )(x)
        x = layers.MaxPooling2D(2, dtype=policy, name=f"block{number}_pool")(x)
        pooled.append(pool_globally[network.pooling](dtype="float32", name=f"block{number}_global")(x))
    concatenated = (
        layers.Concatenate(name="concatenate1", dtype="float32")(pooled) if pooled[1:] else pooled[0]
    )
    # The paper joins the last convolution's output before its pool.
    flat = layers.Flatten(name="flatten", dtype="float32")(last)
    x = layers.Concatenate(name="concatenate2", dtype="float32")([concatenated, flat])
    for number, dense in enumerate(network.dense, 1):
        x = layers.Dense(
            dense.units, activation="elu", kernel_initializer=kernel(), dtype="float32", name=f"dense{number}"
        )(x)
        x = layers.Dropout(dense.dropout, seed=next(seeds), dtype="float32", name=f"dropout{number}")(x)
    outputs = layers.Dense(
        classes, activation="softmax", kernel_initializer=kernel(), dtype="float32", name="probability"
    )(x)
    return Model(inputs, outputs, name="baseline")


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
        raise CxrbuildError("no such model", where=path, expected="a .keras file written by a training")
    try:
        model = keras.saving.load_model(path, compile=False)
    except Exception as error:  # Keras does not document what it raises for a damaged file.
        raise CxrbuildError(
            "not a Keras model, or a damaged one",
            where=path,
            expected="a .keras file written by a training",
            found=_first_line(error),
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
                copy_without_dates(saved, temporary)
    finally:
        saved.unlink(missing_ok=True)


def copy_without_dates(saved: Path, path: Path) -> None:
    """Copy a ``.keras`` archive with a fixed date instead of the time at which it was saved.

    Keras records that time in ``metadata.json`` and in the headers of the archive's entries.
    """
    with zipfile.ZipFile(saved) as source, zipfile.ZipFile(path, "w") as target:
        for name in sorted(source.namelist()):
            entry = zipfile.ZipInfo(name, _EPOCH)
            # ZipInfo takes the number of the platform that runs.
            entry.create_system = 3
            if name == _METADATA:
                metadata = json.loads(source.read(name)) | {"date_saved": _DATE_SAVED}
                target.writestr(entry, json.dumps(metadata))
            else:
                entry.file_size = source.getinfo(name).file_size
                with source.open(name) as content, target.open(entry, "w") as copy:
                    shutil.copyfileobj(content, copy, _BLOCK)


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
