"""The paper's network, built from its declaration."""

from __future__ import annotations

from typing import Any

from cxrbuild.catalog.network import Network


def build_zhong(network: Network, classes: int, *, seed: int, policy: str) -> Any:
    """Build the network of arXiv 2007.09695, untrained.

    Parameters
    ----------
    network
        The declaration.
    classes
        Number of outputs.
    seed
        Seed of the initial weights and of the dropout.
    policy
        Data types of blocks, as Keras names them; all other layers compute in float32.
    """
    from keras import Model, initializers, layers

    seeds = iter(range(1000 * seed, 1000 * seed + 1000))

    def kernel() -> Any:
        # The default of Keras, with a separate seed for each layer.
        return initializers.GlorotUniform(next(seeds))

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
