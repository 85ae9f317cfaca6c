"""A saved model as the explanation needs it: its input's side, and the layers that its maps come from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cxrbuild.baseline.backend import load_tensorflow
from cxrbuild.errors import CxrbuildError

# Rows, columns and channels of a batch.
_MAP_DIMENSIONS = 4
_CHANNELS = 3


def open_model(path: Path, classes: list[str]) -> Any:
    """Load a saved model and check that it takes square images and predicts the classes.

    Parameters
    ----------
    path
        A ``.keras`` file that a training wrote.
    classes
        The classes of the dataset.

    Raises
    ------
    CxrbuildError
        There is no such file, it is not a Keras model, its input is not one square image of three channels,
        its output is not one probability for each class, or no layer has rows and columns.
    """
    load_tensorflow()
    import keras

    if not path.is_file():
        raise CxrbuildError(
            "no such model",
            where=path,
            expected="a .keras file written by a training",
            todo="Run `cxrbuild train-baseline`, or name a model with --model",
        )
    try:
        model = keras.saving.load_model(path, compile=False)
    except Exception as error:  # Keras does not document what it raises for a damaged file.
        raise CxrbuildError(
            "not a Keras model, or a damaged one",
            where=path,
            expected="a .keras file written by a training",
            found=str(error).strip().split("\n", 1)[0],
            todo="Run `cxrbuild train-baseline` again, or name another model with --model",
        ) from error
    _require_input(path, model)
    _require_output(path, model, classes)
    _require_maps(path, model)
    return model


def input_side(model: Any) -> int:
    """Return the side of a model's square input in pixels."""
    return int(model.inputs[0].shape[1])


def find_logits(model: Any) -> tuple[Any, Any]:
    """Return a tensor of the model, and a function from its value to the logits.

    Softmax is either the activation of the last dense layer, whose weights give the logits, or a layer of its
    own, whose input they are.
    """
    import tensorflow as tf

    last = model.layers[-1]
    if type(last).__name__ == "Activation":
        return last.input, lambda value: tf.cast(value, tf.float32)
    kernel, bias = (tf.convert_to_tensor(weight) for weight in (last.kernel, last.bias))
    return last.input, lambda value: tf.cast(value, tf.float32) @ kernel + bias


def find_features(model: Any) -> Any:
    """Return the tensor whose channels Grad-CAM weighs: the last that has rows and columns.

    If the network flattens a tensor, it is that one: the last pool of the paper's network comes after it, but
    its dense layers read the convolution before the pool. Else it is the output of the last layer with rows
    and columns, such as the last activation before a global pool.
    """
    return _maps(model)[0]


def _maps(model: Any) -> list[Any]:
    """Return the tensors with rows and columns, the one that Grad-CAM weighs first."""
    return [
        layer.input
        for layer in model.layers
        if type(layer).__name__ == "Flatten" and len(layer.input.shape) == _MAP_DIMENSIONS
    ] + [
        layer.output
        for layer in reversed(model.layers)
        if type(layer).__name__ != "InputLayer"
        and not isinstance(layer.output, list)
        and len(layer.output.shape) == _MAP_DIMENSIONS
        and min(layer.output.shape[1:3]) > 1
    ]


def _require_input(path: Path, model: Any) -> None:
    shapes = [tuple(tensor.shape[1:]) for tensor in getattr(model, "inputs", None) or []]
    one = shapes[0] if len(shapes) == 1 else ()
    if len(one) != _CHANNELS or one[0] != one[1] or one[0] is None or one[2] != _CHANNELS:
        raise CxrbuildError(
            "the model has another input",
            where=path,
            expected="one square image of three channels",
            found=", ".join(" x ".join(map(str, shape)) for shape in shapes) or "none",
            todo="Name a model that `cxrbuild train-baseline` trained with --model",
        )


def _require_output(path: Path, model: Any, classes: list[str]) -> None:
    last = model.layers[-1]
    kind, outputs = type(last).__name__, model.outputs[0].shape[-1]
    activation = getattr(getattr(last, "activation", None), "__name__", "none")
    if kind not in ("Dense", "Activation") or activation != "softmax" or outputs != len(classes):
        raise CxrbuildError(
            "the model has another output",
            where=path,
            expected=f"{len(classes)} outputs, {', '.join(classes)}, of a dense layer with softmax",
            found=f"{outputs} outputs of {kind} with activation {activation}",
            todo="Name a model that was trained on the classes of the build's recipe",
        )


def _require_maps(path: Path, model: Any) -> None:
    if not _maps(model):
        layers = ", ".join(dict.fromkeys(type(layer).__name__ for layer in model.layers))
        raise CxrbuildError(
            "no layer of the model has rows and columns",
            where=path,
            expected="a convolutional network",
            found=f"layers of the kinds {layers}",
            todo="Name a model that `cxrbuild train-baseline` trained with --model",
        )
