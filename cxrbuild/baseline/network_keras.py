"""Networks of ``keras.applications``, with their own preprocessing and head, and weights from a file."""

from __future__ import annotations

import gc
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cxrbuild.catalog.network import Network, Scaling
from cxrbuild.errors import CxrbuildError, count_of

# Means and standard deviations of the colours of ImageNet's images, as `keras.applications` has them: from 0
# to 255 in the order blue, green, red, and from 0 to 1 in the order red, green, blue. The order of the
# channels of an image does not matter, because all three are equal.
_BLUE_GREEN_RED = (103.939, 116.779, 123.68)
_RED_GREEN_BLUE, _DEVIATIONS = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def build_application(network: Network, classes: int, *, policy: str, weights: Path | None = None) -> Any:
    """Build a network of ``keras.applications`` with its own head, untrained.

    Parameters
    ----------
    network
        The declaration.
    classes
        Number of outputs.
    policy
        Data types, as Keras names them; the last layer computes in float32.
    weights
        A file of weights without the head. The head has random weights.

    Raises
    ------
    CxrbuildError
        The weights cannot be read, or are of another network.
    """
    import keras
    from keras import layers

    application = getattr(keras.applications, network.name)
    shape = (network.side, network.side, 3)
    with _data_types(policy):
        source = None if weights is None else read_weights(network, weights)
        # Keras numbers layers that have no name. Equal models must have equal names, in equal files.
        keras.backend.clear_session()
        # Data types are reset with the session.
        keras.config.set_dtype_policy(policy)
        inputs = layers.Input(shape, name="image")
        scaled = _scale(network.known.scaling)(inputs)
        model = application(
            weights=None,
            classes=classes,
            input_tensor=scaled,
            input_shape=shape,
        )
        # The same last layer, in float32 with any data types of the others.
        last = layers.Dense(classes, activation="softmax", dtype="float32", name="probability")
        model = keras.Model(inputs, last(model.layers[-1].input), name=network.name)
    for layer in source.layers if source is not None else ():
        if layer.weights:
            model.get_layer(layer.name).set_weights(layer.get_weights())
    return model


def require_weights(network: Network, weights: Path) -> None:
    """Check that a declared file of weights is there.

    Raises
    ------
    CxrbuildError
        It is not. The error names the file and the address that it comes from: nothing is downloaded.
    """
    if not weights.is_file():
        raise CxrbuildError(
            f"no such file of weights of {network.name}",
            where=weights,
            expected=_origin(network),
            todo="Download it, verify it, and declare its path as `weights`; nothing is downloaded here",
        )


def _origin(network: Network) -> str:
    address = network.known.weights or ""
    return f"a file such as {address.rpartition('/')[2]} from {address}"


def read_weights(network: Network, path: Path) -> Any:
    """Return a network of ``keras.applications`` without its head, with the weights of a file.

    Parameters
    ----------
    network
        The declaration.
    path
        A file of weights without the head.

    Raises
    ------
    CxrbuildError
        The weights cannot be read, or are of another network.
    """
    import keras

    require_weights(network, path)
    keras.backend.clear_session()
    shape = (network.side, network.side, 3)
    model = getattr(keras.applications, network.name)(include_top=False, weights=None, input_shape=shape)
    problem = None
    try:
        with warnings.catch_warnings():
            # Keras warns of a layer that has no weights in the file, and keeps its random ones.
            warnings.simplefilter("error", UserWarning)
            model.load_weights(path)
    except Exception as error:  # Keras does not document what it raises for a file of another network.
        problem = str(error).strip().split("\n", 1)[0]
    if problem is not None:
        # Keras leaves the file open: the frames of its exception hold it.
        gc.collect()
        raise CxrbuildError(
            f"not the weights of {network.name} without its head",
            where=path,
            expected=_origin(network),
            found=_describe_difference(path, model) or problem,
            todo="Declare the file of this network as `weights`, or none for random weights",
        )
    return model


def _describe_difference(path: Path, model: Any) -> str:
    """Return how the arrays of a file differ from the network's, empty if in their names only.

    Keras describes the objects that it failed to fill in, which says nothing about the file.
    """
    import h5py

    shapes: list[tuple[int, ...]] = []

    def visit(_: str, member: Any) -> None:
        if isinstance(member, h5py.Dataset):
            shapes.append(member.shape)

    try:
        with h5py.File(path) as file:
            file.visititems(visit)
    except OSError:
        return "a file that is not HDF5, or a damaged one"
    expected = [tuple(weight.shape) for weight in model.weights]
    if len(shapes) != len(expected):
        return f"{count_of(len(shapes), 'array')} of weights; the network has {len(expected)}"
    there, here = Counter(shapes), Counter(expected)
    others, lacking = [*(there - here).elements()], [*(here - there).elements()]
    if not others:
        return ""
    return (
        f"{count_of(len(others), 'array')} of {len(shapes)} of another shape, such as "
        f"{_format_shape(others[0])}; the network has arrays such as {_format_shape(lacking[0])} instead"
    )


def _format_shape(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "a single number"


def _scale(scaling: Scaling) -> Any:
    """Return the layer that turns grey values from 0 to 1 into what the network expects."""
    from keras import layers

    scale: float | list[float]
    offset: float | list[float]
    match scaling:
        case "signed":
            scale, offset = 2.0, -1.0
        case "bytes":
            scale, offset = 255.0, 0.0
        case "centred":
            scale, offset = 255.0, [-mean for mean in _BLUE_GREEN_RED]
        case "standardized":
            scale = [1 / deviation for deviation in _DEVIATIONS]
            offset = [-mean / deviation for mean, deviation in zip(_RED_GREEN_BLUE, _DEVIATIONS, strict=True)]
        case _:
            scale, offset = 1.0, 0.0
    return layers.Rescaling(scale, offset, dtype="float32", name="preprocessing")


@contextmanager
def _data_types(policy: str) -> Iterator[None]:
    """Build layers with data types, and restore those of before."""
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
