"""The baseline: a network, how it is trained, its published figures, and the figures it must reach."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from cxrbuild.catalog.declarations import Declaration
from cxrbuild.records import SPLITS

_Rate = Annotated[float, Field(gt=0)]
_Share = Annotated[float, Field(ge=0, le=1)]

# The generators of random numbers take 32-bit seeds; an epoch and a step share one.
MAX_EPOCHS, MAX_SEED = 2000, 2**31 - 1
CONTRASTS = {"mild": (0.8, 1.2), "published": (0.1, 0.2)}


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
    """The network: blocks, whose pools are pooled globally and joined to the last block, and a head."""

    side: int = Field(80, gt=0, description="side of the square input in pixels")
    blocks: list[Block] = Field(
        [
            Block(filters=32, convolutions=2),
            Block(filters=64, convolutions=2),
            Block(filters=128, convolutions=3),
            Block(filters=128, convolutions=3),
        ],
        min_length=1,
        description="the blocks in order",
    )
    pooling: Literal["average", "max"] = Field(
        "max", description="global pooling; the paper writes average, its published code takes the maximum"
    )
    dense: list[Dense] = Field(
        [Dense(units=4096, dropout=0.5), Dense(units=2048, dropout=0.4)],
        description="the head's layers before the softmax",
    )

    @model_validator(mode="after")
    def _check_side(self) -> Network:
        if self.side < 2 ** len(self.blocks):
            raise ValueError(f"side: {self.side} pixels cannot be halved {len(self.blocks)} times")
        return self


class Stage(Declaration):
    """A stage of the learning rate."""

    from_epoch: int = Field(gt=0, description="the first epoch of the stage, counted from 1")
    rate: _Rate = Field(description="the learning rate")


class Augmentation(Declaration):
    """How training images are augmented. Test images never are.

    The published code draws the contrast factor from 0.1 to 0.2. That flattens every training image, but the
    test images keep their contrast, so the network is tested on a contrast that it never saw: its accuracy
    varies by tens of points from epoch to epoch. ``mild`` is 0.8 to 1.2, symmetric about the unchanged image;
    ``published`` shows the effect. The published change of saturation is omitted: it has no effect on grey
    images.
    """

    flip: bool = Field(True, description="mirror left and right, with a probability of one half")
    brightness: Annotated[float, Field(ge=0)] = Field(
        0.1, description="greatest shift, where black is 0 and white 1"
    )
    contrast: Literal["mild", "published"] | tuple[float, float] = Field(
        "mild", description="range of the factor about the mean: `mild` is 0.8 to 1.2, `published` 0.1 to 0.2"
    )
    side: int = Field(96, gt=0, description="side that images are resized to before a random crop is taken")

    @model_validator(mode="after")
    def _check_range(self) -> Augmentation:
        low, high = self.contrast_range
        if not 0 <= low <= high:
            raise ValueError(f"contrast: {low:g} to {high:g} is no range of factors")
        return self

    @property
    def contrast_range(self) -> tuple[float, float]:
        """The least and the greatest factor."""
        return CONTRASTS[self.contrast] if isinstance(self.contrast, str) else self.contrast


class Gate(Declaration):
    """The figures that the baseline must reach on the test split."""

    accuracy: _Share | None = Field(None, description="the test accuracy to reach")
    tolerance: _Share = Field(0.0, description="how far below that accuracy still passes")
    recall: dict[str, _Share] = Field(default_factory=dict, description="the least recall of a class")


class PublishedMetrics(Declaration):
    """A row of the published table of metrics."""

    loss: float
    accuracy: float
    precision: float
    recall: float


class Published(Declaration):
    """The published figures of this network on this dataset, for comparison."""

    where: str = Field(description="where they were published")
    metrics: dict[str, PublishedMetrics] = Field(
        default_factory=dict,
        description="metrics of train, of test, or of a class (its images in test)",
    )
    probability: dict[str, tuple[float, float, float]] = Field(
        default_factory=dict,
        description="for each class the mean predicted probability of the true class, and its 95 % interval",
    )
    confusion: dict[str, list[int]] = Field(
        default_factory=dict, description="for each actual class the count of each predicted class"
    )

    @model_validator(mode="after")
    def _check_square(self) -> Published:
        size = len(self.confusion)
        wrong = [name for name, row in self.confusion.items() if len(row) != size]
        if wrong:
            raise ValueError(f"confusion: {', '.join(wrong)}: not {size} counts, one for each class")
        return self


class Training(Declaration):
    """The settings that decide the weights of a trained model, together with images and seed."""

    network: Network = Field(Network.model_validate({}), description="the network")
    epochs: int = Field(10, gt=0, le=MAX_EPOCHS, description="number of passes through the training images")
    batch: int = Field(64, gt=0, description="images of a training step")
    learning_rate: list[Stage] = Field(
        [Stage(from_epoch=1, rate=4e-4), Stage(from_epoch=4, rate=2e-4), Stage(from_epoch=7, rate=1e-4)],
        min_length=1,
        description="the stages of Adam's learning rate",
    )
    label_smoothing: _Share = Field(0.12, description="share of a label that is spread over all classes")
    class_weights: dict[str, _Rate] = Field(
        default_factory=dict, description="weight of a class's images in the loss; 1 for other classes"
    )
    augmentation: Augmentation = Field(
        Augmentation.model_validate({}), description="how training images are augmented"
    )
    precision: Literal["float32", "mixed"] = Field(
        "float32",
        description="`mixed` computes convolutions in bfloat16 and keeps weights and the head in float32",
    )

    @model_validator(mode="after")
    def _check_training(self) -> Self:
        firsts = [stage.from_epoch for stage in self.learning_rate]
        if firsts[0] != 1 or firsts != sorted(set(firsts)):
            raise ValueError("learning_rate: the stages must start at epoch 1 and go up")
        if self.augmentation.side < self.network.side:
            raise ValueError(
                f"augmentation.side: {self.augmentation.side} is less than network.side, {self.network.side}"
            )
        return self


class Baseline(Training):
    """The `[baseline]` of a recipe: the model that shows what can be learned from the dataset."""

    resamples: int = Field(2000, gt=0, description="bootstrap resamples, by patient, for the intervals")
    focus: str | None = Field(None, description="the class whose test images have a row of metrics")
    gate: Gate = Field(Gate.model_validate({}), description="the figures that must be reached")
    published: Published | None = Field(None, description="the published figures, for comparison")

    @model_validator(mode="after")
    def _check_focus(self) -> Baseline:
        # A row of metrics is named after its split or its class.
        if self.focus in SPLITS:
            raise ValueError(f"focus: a class called {self.focus} has the name of a split")
        return self

    def classes_by_key(self) -> dict[str, set[str]]:
        """Return the classes that it names, by key, for the recipe to check."""
        named = {
            "class_weights": set(self.class_weights),
            "focus": {self.focus} if self.focus else set(),
            "gate.recall": set(self.gate.recall),
        }
        if self.published:
            named["published.metrics"] = set(self.published.metrics) - {"train", "test"}
            named["published.probability"] = set(self.published.probability)
            named["published.confusion"] = set(self.published.confusion)
        return named
