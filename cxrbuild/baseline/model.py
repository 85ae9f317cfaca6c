"""The network: built from its declaration, and checked when it comes from a file."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

from cxrbuild.baseline.checkpoint import explaining_full_disk
from cxrbuild.catalog.baseline import Network
from cxrbuild.errors import CxrbuildError


def build_model(network: Network, classes: int, *, seed: int = 0, precision: str = "float32") -> Any:
    """Build the network, untrained.

    With the paper's declaration and three classes it has the 63,148,835 parameters of arXiv 2007.09695.

    Parameters
    ----------
    network
        The declaration.
    classes
        How many outputs.
    seed
        What the initial weights and the dropout are drawn from.
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
        # Keras' own default, with a seed of its own for each layer.
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
    # The last convolution's output before its pool, as the paper draws it.
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
    """Load a saved model and make sure that it is the declared network.

    Raises
    ------
    CxrbuildError
        There is no such file, it is no Keras model, or a model of another architecture; the first layer
        that differs is named.
    """
    import keras

    if not path.is_file():
        raise CxrbuildError("no such model", where=path, expected="a .keras file that a training left")
    try:
        model = keras.saving.load_model(path, compile=False)
    except Exception as error:  # Keras raises whatever the part of the file raises that it stumbles over.
        raise CxrbuildError(
            "not a Keras model, or a damaged one",
            where=path,
            expected="a .keras file that a training left",
            found=_first_line(error),
        ) from error
    expected = describe_layers(build_model(network, classes))
    found = describe_layers(model)
    for wanted, had in zip(expected, found, strict=False):
        if wanted != had:
            raise _other_architecture(path, wanted, had)
    if len(expected) != len(found):
        raise _other_architecture(path, f"{len(expected)} layers", f"{len(found)} layers")
    return model


def save_model(model: Any, path: Path, kept: str) -> None:
    """Save a model whole or not at all.

    Parameters
    ----------
    model
        A Keras model.
    path
        The file, with the suffix ``.keras``.
    kept
        What remains if it cannot be written, for the error to say.

    Raises
    ------
    CxrbuildError
        It cannot be written.
    """
    # Keras insists on the suffix, so the temporary name has it too.
    temporary = path.with_name(f".part-{os.getpid()}-{path.name}")
    try:
        with explaining_full_disk(path, kept), warnings.catch_warnings():
            # Keras 3.15 asks TensorFlow's variables for arrays in a way that NumPy 2 deprecates.
            warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
            model.save(temporary)
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def describe_layers(model: Any) -> list[str]:
    """Return the input's shape, then for each layer its kind and the shapes of its weights, in words."""
    inputs = getattr(model, "inputs", None) or []
    lines = [f"input {', '.join(_shape(tensor.shape[1:]) for tensor in inputs)}"]
    for layer in model.layers:
        weights = ", ".join(_shape(weight.shape) for weight in layer.weights)
        lines.append(f"{type(layer).__name__} with {f'weights {weights}' if weights else 'no weights'}")
    return lines


def _other_architecture(path: Path, expected: str, found: str) -> CxrbuildError:
    return CxrbuildError(
        "a model of another architecture than the recipe's [baseline.network]",
        where=path,
        expected=expected,
        found=found,
        todo="Name a model of this network, or declare the model's network in the recipe of the build",
    )


def _shape(shape: Any) -> str:
    return " x ".join(str(size) for size in shape)


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0]
