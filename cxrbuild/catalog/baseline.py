"""The baseline: a network, how it is trained, its published figures, and the figures it must reach."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, create_model, model_validator

from cxrbuild.catalog.declarations import ByWord, Declaration, Word
from cxrbuild.errors import DeclarationError, suggest
from cxrbuild.records import SPLITS

_Rate = Annotated[float, Field(gt=0)]
_Share = Annotated[float, Field(ge=0, le=1)]
# A part of the name of a folder.
_Name = Annotated[str, Field(pattern="^[a-z0-9][a-z0-9_-]*$")]

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
    recall: ByWord[_Share] = Field(default_factory=dict, description="the least recall of a class")


class PublishedMetrics(Declaration):
    """A row of the published table of metrics."""

    loss: float
    accuracy: float
    precision: float
    recall: float


class Published(Declaration):
    """The published figures of this network on this dataset, for comparison."""

    where: str = Field(description="where they were published")
    metrics: ByWord[PublishedMetrics] = Field(
        default_factory=dict,
        description="metrics of train, of test, or of a class (its images in test)",
    )
    probability: ByWord[tuple[float, float, float]] = Field(
        default_factory=dict,
        description="for each class the mean predicted probability of the true class, and its 95 % interval",
    )
    confusion: ByWord[list[int]] = Field(
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
        description="the stages of the learning rate; a first stage with a smaller rate is a warm-up",
    )
    optimizer: Literal["adam", "nadam", "sgd"] = Field(
        "adam", description="the optimizer, with the defaults of Keras; `sgd` takes `momentum`"
    )
    momentum: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.9, description="momentum of `sgd`; other optimizers ignore it"
    )
    label_smoothing: _Share = Field(0.12, description="share of a label that is spread over other classes")
    label_smoothing_over: Literal["all", "others"] = Field(
        "all",
        description="`all` spreads the share e over all N classes, as Keras does: the true class gets "
        "1 - e + e / N, each other class e / N. `others` spreads it over the other classes, as the paper "
        "writes: 1 - e and e / (N - 1)",
    )
    class_weights: ByWord[_Rate] = Field(
        default_factory=dict, description="weight of a class's images in the loss; 1 for other classes"
    )
    augmentation: Augmentation = Field(
        Augmentation.model_validate({}), description="how training images are augmented"
    )
    precision: Literal["float32", "mixed"] = Field(
        "float32",
        description="`mixed` computes convolutions in bfloat16 and keeps weights and the head in float32",
    )

    def keras_label_smoothing(self, classes: int) -> float:
        """Return the ``label_smoothing`` of Keras that gives the declared labels.

        Keras gives the true class 1 - s + s / N and each other class s / N. The labels 1 - e and e / (N - 1)
        are those of s = e N / (N - 1).

        Parameters
        ----------
        classes
            The number of classes, N.

        Examples
        --------
        >>> Training(label_smoothing=0.12, label_smoothing_over="others").keras_label_smoothing(3)
        0.18
        """
        if self.label_smoothing_over == "all":
            return self.label_smoothing
        return self.label_smoothing * classes / (classes - 1)

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


def _partial(model: type[Declaration], base: type[Declaration], name: str) -> type[Any]:
    """Return a model with the fields of another one, all of them optional, in nested tables too."""
    fields: dict[str, Any] = {}
    doc = model.__doc__ if base is Declaration else base.__doc__
    for key, field in model.model_fields.items():
        annotation: Any = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, Declaration):
            annotation = _partial(annotation, Declaration, f"{annotation.__name__}Change")
        fields[key] = (annotation | None, Field(None, description=field.description))
    return create_model(name, __base__=base, __doc__=doc, **fields)


class Described(Declaration):
    """A variant: the keys of `[baseline]` in which it differs."""

    description: str = Field(description="what the variant is, in one sentence")


if TYPE_CHECKING:
    Variant = Described
else:
    Variant = _partial(Training, Described, "Variant")


class Baseline(Training):
    """The `[baseline]` of a recipe: the model that shows what can be learned from the dataset."""

    variant: _Name = Field("default", description="the name of these settings")
    resamples: int = Field(2000, gt=0, description="bootstrap resamples, by patient, for the intervals")
    focus: Word | None = Field(None, description="the class whose test images have a row of metrics")
    gate: Gate = Field(Gate.model_validate({}), description="the figures that must be reached")
    published: Published | None = Field(None, description="the published figures, for comparison")
    variants: dict[_Name, Variant] = Field(
        default_factory=dict, description="other settings by name, each with the keys that differ"
    )

    def with_variant(self, name: str) -> Baseline:
        """Return the settings of a variant.

        Parameters
        ----------
        name
            The name of a variant, or of these settings.

        Raises
        ------
        DeclarationError
            There is no such variant.
        """
        if name == self.variant:
            return self.model_copy(update={"variants": {}})
        if name not in self.variants:
            raise DeclarationError(
                f"no variant of the baseline is called {name!r}; "
                + suggest(name, [self.variant, *self.variants], "variant")
            )
        return self._with_changes(name)

    def _with_changes(self, name: str) -> Baseline:
        changes = self.variants[name].model_dump(exclude_unset=True, exclude={"description"})
        settings = self.model_dump(exclude={"variants"})
        return Baseline.model_validate(_merge(settings, changes) | {"variant": name})

    @model_validator(mode="after")
    def _check_variants(self) -> Baseline:
        problems = []
        if self.variant in self.variants:
            problems.append(f"variants.{self.variant}: `variant` has the same name")
        for name in self.variants:
            try:
                self._with_changes(name)
            except ValidationError as error:
                problems += [
                    f"variants.{name}: {one['msg'].removeprefix('Value error, ')}" for one in error.errors()
                ]
        if problems:
            raise ValueError("\n".join(problems))
        return self

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


def _merge(settings: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return settings with changes, key by key in the tables that are declarations."""
    merged = dict(settings)
    for key, value in changes.items():
        table = key in ("network", "augmentation")
        merged[key] = _merge(settings[key], value) if table else value
    return merged
