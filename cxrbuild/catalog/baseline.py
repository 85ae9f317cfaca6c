"""The baseline: a network, how it is trained, its published figures, and the figures it must reach."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, ValidationError, create_model, model_validator

from cxrbuild.catalog.declarations import ByWord, Declaration, Word
from cxrbuild.catalog.network import NETWORKS, NamedNetwork, Network, network_problem
from cxrbuild.errors import DeclarationError, suggest
from cxrbuild.problems import describe_value
from cxrbuild.records import SPLITS

_Rate = Annotated[float, Field(gt=0)]
_Share = Annotated[float, Field(ge=0, le=1)]
# A part of the name of a folder.
_Name = Annotated[str, Field(pattern="^[a-z0-9][a-z0-9_-]*$")]

# The generators of random numbers take 32-bit seeds; an epoch and a step share one.
MAX_EPOCHS, MAX_SEED = 2000, 2**31 - 1
CONTRASTS = {"mild": (0.8, 1.2), "published": (0.1, 0.2)}


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

    flip: bool = Field(True, strict=True, description="mirror left and right, with a probability of one half")
    brightness: Annotated[float, Field(ge=0)] = Field(
        0.1, description="greatest shift, where black is 0 and white 1"
    )
    contrast: Literal["mild", "published"] | tuple[float, float] = Field(
        "mild", description="range of the factor about the mean: `mild` is 0.8 to 1.2, `published` 0.1 to 0.2"
    )
    side: Annotated[int, Field(gt=0)] | None = Field(
        None,
        description="side that images are resized to before a random crop is taken; the default is a fifth "
        "more than the network's, 96 for 80",
    )

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


class Sample(Declaration):
    """A small sample of the images, drawn by patient, for the protocols of papers that had few images.

    The sample ignores the build's splits: it takes one image of each of so many groups of patients, in the
    order of a hash, and the first ones of each class are its test split. Classes without a count are not
    trained.
    """

    count: ByWord[Annotated[int, Field(gt=0)]] = Field(min_length=2, description="images of each class")
    test: int = Field(gt=0, description="images of each class that are test; all others are train")
    sources: list[str] = Field(default_factory=list, description="the sources to draw from; default all")
    salt: str = Field("sample", description="part of the hash that decides; another salt draws other images")

    @model_validator(mode="after")
    def _check_test(self) -> Sample:
        few = [name for name, count in self.count.items() if count <= self.test]
        if few:
            raise ValueError(f"test: {self.test} images of {', '.join(few)} leave none for train")
        return self


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
        default_factory=dict,
        description="for each actual class the count of each predicted class, in the order of the keys",
    )
    accuracy: dict[str, _Share] = Field(
        default_factory=dict, description="the test accuracy of each network, for a comparison"
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

    network: NamedNetwork = Field(Network.model_validate({}), description="the network, or its name")
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
        description="`mixed` computes convolutions in bfloat16; weights and probabilities are float32",
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
        if self.training_side < self.network.side:
            raise ValueError(
                f"augmentation.side: {self.training_side} is less than network.side, {self.network.side}"
            )
        return self

    @property
    def training_side(self) -> int:
        """Side in pixels that training images are resized to, before a random crop is taken."""
        return self.augmentation.side or _margin(self.network.side)


def _margin(side: int) -> int:
    return side + -(-side // 5)


def _partial(model: type[Declaration], base: type[Declaration], name: str) -> type[Any]:
    """Return a model with the fields of another one, all of them optional, in nested tables too."""
    fields: dict[str, Any] = {}
    doc = model.__doc__ if base is Declaration else base.__doc__
    for key, field in model.model_fields.items():
        annotation: Any = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, Declaration):
            annotation = _partial(annotation, Declaration, f"{annotation.__name__}Change")
        optional = annotation | None
        for validator in field.metadata:
            if isinstance(validator, BeforeValidator):
                optional = Annotated[optional, validator]
        fields[key] = (optional, Field(None, description=field.description))
    return create_model(name, __base__=base, __doc__=doc, **fields)


class Described(Declaration):
    """A variant: the keys of `[baseline]` in which it differs."""

    description: str = Field(description="what the variant is, in one sentence")
    networks: list[NamedNetwork] | None = Field(None, description="settings of networks by name")
    sample: Sample | None = Field(None, description="the images, if they are a small sample")
    gate: Gate | None = Field(None, description="the figures that must be reached; default none for a sample")
    published: Published | None = Field(
        None, description="the published figures; default those of the recipe, none for a sample"
    )


if TYPE_CHECKING:
    Variant = Described
else:
    Variant = _partial(Training, Described, "Variant")


class Baseline(Training):
    """The `[baseline]` of a recipe: the model that shows what can be learned from the dataset."""

    variant: _Name = Field("default", description="the name of these settings")
    networks: list[NamedNetwork] = Field(
        default_factory=list,
        description="settings of networks that `--network` can name, such as a side or weights that are not "
        "the default",
    )
    sample: Sample | None = Field(None, description="the images, if they are a small sample of the build's")
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
                + suggest(name, [self.variant, *self.variants], "variant"),
                todo="Name a variant that the recipe declares",
            )
        return self._with_changes(name)

    def _with_changes(self, name: str) -> Baseline:
        changes = self.variants[name].model_dump(exclude_unset=True, exclude={"description"})
        settings = self.model_dump(exclude={"variants"})
        if changes.get("sample"):
            # The recipe's figures are of all images.
            settings |= {"gate": {}, "published": None}
        return Baseline.model_validate(_merge(settings, changes) | {"variant": name})

    def with_network(self, name: str) -> Baseline:
        """Return the settings with another network, as `networks` declares it or with its own defaults.

        Training images keep their share of a margin around the crop. The published figures are of the
        declared network and are removed, except those by network.

        Parameters
        ----------
        name
            The name of a network.

        Raises
        ------
        DeclarationError
            There is no such network.
        """
        if name not in NETWORKS:
            raise DeclarationError(network_problem(name), todo="Name a network that cxrbuild has")
        if name == self.network.name:
            return self
        declared = {network.name: network for network in self.networks}
        network = declared.get(name) or Network.model_validate({"name": name})
        side = -(-network.side * self.training_side // self.network.side)
        settings = self.model_dump(exclude={"variants"})
        settings |= {"network": network, "augmentation": settings["augmentation"] | {"side": side}}
        published = self.published
        if published is not None:
            settings["published"] = (
                {"where": published.where, "accuracy": published.accuracy} if published.accuracy else None
            )
        return Baseline.model_validate(settings)

    def with_changes(self, **changes: Any) -> Baseline:
        """Return the settings with other values of some keys, without variants."""
        return Baseline.model_validate(self.model_dump(exclude={"variants"}) | changes)

    @model_validator(mode="after")
    def _check_variants(self) -> Baseline:
        problems = []
        if self.variant in self.variants:
            problems.append(f"variants.{self.variant}: `variant` has the same name")
        for name in self.variants:
            try:
                self._with_changes(name)
            except ValidationError as error:
                problems += [f"variants.{name}: {describe_value(one)}" for one in error.errors()]
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
            "sample.count": set(self.sample.count) if self.sample else set(),
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
        if key == "network" and value.get("name", settings[key]["name"]) != settings[key]["name"]:
            # Another network has other keys and defaults.
            table = False
        merged[key] = _merge(settings[key], value) if table else value
    return merged
