"""A network with the blocks of COVID-Net, as far as its paper determines it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cxrbuild.catalog.network import Network

# Channels of a stage, and the number of its blocks. The numbers of blocks are those of reimplementations, and
# were not compared with the paper's drawing. The paper does not determine the channels.
_STAGES = ((64, 3), (128, 4), (256, 6), (512, 3))
_HEAD = (1024, 256)


def build_covidnet_like(network: Network, classes: int, *, seed: int, policy: str) -> Any:
    """Build a network after COVID-Net (arXiv 2003.09871), untrained.

    The paper determines the input of 224 pixels, a first convolution of 7 x 7, four stages of 3, 4, 6 and 3
    blocks, what a block is (projection, expansion, depthwise convolution, projection, extension), connections
    over the blocks of a stage through a convolution of 1 x 1, and dense layers before the softmax. It does
    not determine the channels of each layer, where blocks have activations and normalization, and which
    blocks are connected. Here each stage doubles the channels; every convolution is followed by ReLU, and a
    block by batch normalization; a block reads the sum of all that its stage has computed. The paper's
    network has 11.75 million parameters, this one has another number.

    Parameters
    ----------
    network
        The declaration.
    classes
        Number of outputs.
    seed
        Seed of the initial weights.
    policy
        Data types of the stages, as Keras names them; all other layers compute in float32.
    """
    from keras import Model, initializers, layers

    seeds = iter(range(1000 * seed, 1000 * seed + 1000))

    def kernel() -> Any:
        return initializers.GlorotUniform(next(seeds))

    def convolve(x: Any, channels: int, name: str, size: int = 1, stride: int = 1) -> Any:
        return layers.Conv2D(
            channels,
            size,
            strides=stride,
            padding="same",
            activation="relu",
            kernel_initializer=kernel(),
            dtype=policy,
            name=name,
        )(x)

    def add(parts: list[Any], name: str) -> Any:
        return layers.Add(dtype=policy, name=name)(parts) if parts[1:] else parts[0]

    inputs = layers.Input((network.side, network.side, 3), name="image")
    x = convolve(inputs, _STAGES[0][0], "first", size=7, stride=2)
    for number, (channels, blocks) in enumerate(_STAGES, 1):
        x = layers.MaxPooling2D(2, dtype=policy, name=f"stage{number}_pool")(x)
        outputs = [convolve(x, channels, f"stage{number}_connection")]
        for position in range(1, blocks + 1):
            name = f"stage{number}_block{position}"
            x = _build_block(add(outputs, f"{name}_input"), channels, name, convolve, kernel, policy)
            outputs.append(x)
        x = add(outputs, f"stage{number}_output")
    x = layers.Flatten(name="flatten", dtype="float32")(x)
    for number, units in enumerate(_HEAD, 1):
        x = layers.Dense(
            units, activation="relu", kernel_initializer=kernel(), dtype="float32", name=f"dense{number}"
        )(x)
    outputs = layers.Dense(
        classes, activation="softmax", kernel_initializer=kernel(), dtype="float32", name="probability"
    )(x)
    return Model(inputs, outputs, name="covidnet_like")


def _build_block(
    x: Any, channels: int, name: str, convolve: Callable[..., Any], kernel: Callable[[], Any], policy: str
) -> Any:
    """Return the output of a block: projection, expansion, depthwise convolution, projection, extension."""
    from keras import layers

    x = convolve(x, channels // 2, f"{name}_projection1")
    x = convolve(x, 3 * channels // 4, f"{name}_expansion")
    x = layers.DepthwiseConv2D(
        3,
        padding="same",
        activation="relu",
        depthwise_initializer=kernel(),
        dtype=policy,
        name=f"{name}_depthwise",
    )(x)
    x = convolve(x, channels // 2, f"{name}_projection2")
    x = convolve(x, channels, f"{name}_extension")
    return layers.BatchNormalization(dtype=policy, name=f"{name}_normalization")(x)
