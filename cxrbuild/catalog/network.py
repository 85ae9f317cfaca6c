"""The networks that a baseline can train: the declared one, and those known by their name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from cxrbuild.catalog.declarations import Declaration
from cxrbuild.errors import suggest

ZHONG, COVIDNET_LIKE = "zhong", "covidnet-like"
_KERAS = "https://storage.googleapis.com/tensorflow/keras-applications"
_NO_HEAD = "_weights_tf_dim_ordering_tf_kernels_notop.h5"

# What a network's first layer expects, for grey values from 0 (black) to 1 (white): as they are; from -1 to
# 1; centred on the colours of ImageNet, from 0 to 255 or in standard deviations; or from 0 to 255.
Scaling = Literal["unit", "signed", "centred", "standardized", "bytes"]


@dataclass(frozen=True)
class KnownNetwork:
    """A network known by its name.

    Attributes
    ----------
    paper
        Where it was published.
    side
        Side of its square input in pixels, as its source has it.
    least_side
        The least side for which every layer has an output.
    scaling
        What its first layer expects.
    weights
        Address of the weights without the head that Keras offers, trained on ImageNet; ``None`` if it offers
        none.
    """

    paper: str
    side: int
    least_side: int
    scaling: Scaling
    weights: str | None = None


def _keras(paper: str, scaling: Scaling, weights: str, side: int = 224, least_side: int = 32) -> KnownNetwork:
    return KnownNetwork(f"arXiv {paper}", side, least_side, scaling, f"{_KERAS}/{weights}")


def _efficient(version: int, side: int) -> KnownNetwork:
    weights = f"https://storage.googleapis.com/keras-applications/efficientnetb{version}_notop.h5"
    return KnownNetwork("arXiv 1905.11946", side, 32, "bytes", weights)


# Sides, least sides, scaling (`preprocess_input`) and addresses are those of `keras.applications` in Keras 3.
NETWORKS: Mapping[str, KnownNetwork] = {
    ZHONG: KnownNetwork("arXiv 2007.09695", 80, 2, "unit"),
    COVIDNET_LIKE: KnownNetwork("arXiv 2003.09871", 224, 32, "unit"),
    "VGG16": _keras("1409.1556", "centred", f"vgg16/vgg16{_NO_HEAD}"),
    "VGG19": _keras("1409.1556", "centred", f"vgg19/vgg19{_NO_HEAD}"),
    "DenseNet121": _keras("1608.06993", "standardized", f"densenet/densenet121{_NO_HEAD}"),
    "DenseNet169": _keras("1608.06993", "standardized", f"densenet/densenet169{_NO_HEAD}"),
    "DenseNet201": _keras("1608.06993", "standardized", f"densenet/densenet201{_NO_HEAD}"),
    "InceptionV3": _keras("1512.00567", "signed", f"inception_v3/inception_v3{_NO_HEAD}", 299, 75),
    "InceptionResNetV2": _keras(
        "1602.07261", "signed", f"inception_resnet_v2/inception_resnet_v2{_NO_HEAD}", 299, 75
    ),
    "Xception": _keras("1610.02357", "signed", f"xception/xception{_NO_HEAD}", 299, 71),
    "MobileNetV2": _keras(
        "1801.04381",
        "signed",
        "mobilenet_v2/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5",
    ),
    "ResNet50": _keras("1512.03385", "centred", f"resnet/resnet50{_NO_HEAD}"),
    "ResNet101": _keras("1512.03385", "centred", f"resnet/resnet101{_NO_HEAD}"),
    "ResNet152": _keras("1512.03385", "centred", f"resnet/resnet152{_NO_HEAD}"),
    "ResNet50V2": _keras("1603.05027", "signed", f"resnet/resnet50v2{_NO_HEAD}"),
    "ResNet101V2": _keras("1603.05027", "signed", f"resnet/resnet101v2{_NO_HEAD}"),
    "ResNet152V2": _keras("1603.05027", "signed", f"resnet/resnet152v2{_NO_HEAD}"),
    "EfficientNetB0": _efficient(0, 224),
    "EfficientNetB1": _efficient(1, 240),
    "EfficientNetB2": _efficient(2, 260),
    "EfficientNetB3": _efficient(3, 300),
    "EfficientNetB4": _efficient(4, 380),
    "EfficientNetB5": _efficient(5, 456),
    "EfficientNetB6": _efficient(6, 528),
    "EfficientNetB7": _efficient(7, 600),
}


def network_problem(name: str) -> str:
    """Return the message for a name that no network has."""
    return f"no network is called {name!r}; {suggest(name, NETWORKS, 'network')}"


class Block(Declaration):
    """Convolutions of 3 x 3 pixels with equal width, then a pool that halves the side."""

    filters: int = Field(gt=0, description="channels of each convolution")
    convolutions: int = Field(gt=0, description="number of convolutions before the pool")


class Dense(Declaration):
    """A dense layer of the head, with the dropout after it."""

    units: int = Field(gt=0, description="number of outputs")
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(
        description="share of the outputs dropped during training"
    )


class Network(Declaration):
    """The network. ``network = "DenseNet201"`` is short for a table with this `name` alone.

    `zhong` is the paper's: blocks, whose pools are pooled globally and joined to the last block, and a head.
    Only this network has `blocks`, `pooling` and `dense`. `covidnet-like` has the blocks of COVID-Net, as far
    as its paper determines them. All others are those of `keras.applications`, each with its own head and
    preprocessing.
    """

    name: str = Field(
        ZHONG,
        description="`zhong`, `covidnet-like`, or a name of `keras.applications`, such as `DenseNet201`",
    )
    side: int = Field(
        80, gt=0, description="side of the square input in pixels; the default is the network's own"
    )
    blocks: list[Block] = Field(
        [
            Block(filters=32, convolutions=2),
            Block(filters=64, convolutions=2),
            Block(filters=128, convolutions=3),
            Block(filters=128, convolutions=3),
        ],
        description="the blocks in order",
    )
    pooling: Literal["average", "max"] = Field(
        "max", description="global pooling; the paper writes average, its published code takes the maximum"
    )
    dense: list[Dense] = Field(
        [Dense(units=4096, dropout=0.5), Dense(units=2048, dropout=0.4)],
        description="the head's layers before the softmax",
    )
    weights: str | None = Field(
        None,
        description="file of weights without the head to start from, relative to the recipe; default random",
    )

    @property
    def known(self) -> KnownNetwork:
        """What is known of the network by its name."""
        return NETWORKS[self.name]

    @model_validator(mode="before")
    @classmethod
    def _fill_by_name(cls, table: Any) -> Any:
        """Fill in the defaults of the network that has the name."""
        name = table.get("name", ZHONG) if isinstance(table, Mapping) else ZHONG
        if name == ZHONG or name not in NETWORKS:
            return table
        return {"side": NETWORKS[name].side, "blocks": [], "dense": []} | dict(table)

    @model_validator(mode="after")
    def _check_known(self) -> Network:
        if self.name not in NETWORKS:
            raise ValueError(f"name: {network_problem(self.name)}")
        if self.name == ZHONG:
            return self._check_zhong()
        own = [key for key in ("blocks", "dense") if getattr(self, key)]
        own += ["pooling"] if self.pooling != "max" else []
        problems = [f"{key}: only {ZHONG} has it; {self.name} has layers of its own" for key in own]
        if self.side < self.known.least_side:
            problems.append(
                f"side: {self.side} pixels are too few for {self.name}; the least is {self.known.least_side}"
            )
        if self.weights is not None and self.known.weights is None:
            problems.append(f"weights: no weights of {self.name} are published")
        if problems:
            raise ValueError("\n".join(problems))
        return self

    def _check_zhong(self) -> Network:
        if not self.blocks:
            raise ValueError("blocks: is empty; expected at least 1 value")
        if self.side < 2 ** len(self.blocks):
            raise ValueError(f"side: {self.side} pixels cannot be halved {len(self.blocks)} times")
        if self.weights is not None:
            raise ValueError(f"weights: no weights of {ZHONG} are published")
        return self


def _name_as_table(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


# A network, or its name alone.
NamedNetwork = Annotated[Network, BeforeValidator(_name_as_table)]
