"""The documents of a baseline result: ``metrics.json``, and the files that a training leaves per model."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator

from cxrbuild.artifact.document import Document, Part
from cxrbuild.catalog.baseline import Baseline, Training

_TRAIN_AGAIN = "Run `cxrbuild train-baseline` again, in a new --out, or move the file away"


def _finite_or_none(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


# A measured figure. It is null where it is undefined, such as the precision of a class that is never
# predicted: JSON has no nan.
Figure = Annotated[float | None, BeforeValidator(_finite_or_none)]


class Metrics(Part):
    """A row of the table of metrics."""

    loss: Figure
    accuracy: Figure
    precision: Figure
    recall: Figure


class Interval(Part):
    """A figure with its 95 % interval."""

    value: Figure
    low: Figure
    high: Figure


class Spread(Part):
    """The mean of a figure over the runs, with its standard deviation: null for a single run."""

    mean: Figure
    sd: Figure


class MetricSpreads(Part):
    """A row of the table of metrics, over the runs."""

    loss: Spread
    accuracy: Spread
    precision: Spread
    recall: Spread


class ClassFigures(Part):
    """The figures of one class on the test split, each with its bootstrap interval."""

    precision: Interval
    recall: Interval
    f1: Interval
    auc: Interval


class ReliabilityBin(Part):
    """The predictions whose confidence is between two limits."""

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


class Reliability(Part):
    """How often predictions of a given confidence are right. Empty bins are omitted."""

    expected_calibration_error: Figure
    bins: list[ReliabilityBin]


class Epoch(Part):
    """The figures of one epoch.

    Attributes
    ----------
    epoch
        Its number, counted from 1.
    learning_rate
        The rate of its steps.
    metrics
        By split. ``train`` is what Keras reports during training, with augmentation and dropout, the loss
        weighted by class. The other splits are measured after the epoch.
    """

    epoch: int
    learning_rate: float
    metrics: dict[str, Metrics]


class DatasetReference(Part):
    """Name and version of a dataset, null where the folder does not have them, as bare Parquet."""

    name: str | None
    version: str | None


class TrainingData(Part):
    """A summary of the images that a model was trained on."""

    dataset: DatasetReference
    manifest_sha256: str | None
    images: int
    patients: int
    counts: dict[str, int]


class ModelFile(Part):
    """A saved model. ``trained_on`` is null where its training images are unknown.

    ``file`` is its path within the result, or its name: the folder of a saved model is not recorded.
    """

    file: str
    sha256: str
    trained_on: TrainingData | None


class Run(Part):
    """The figures of one model.

    Attributes
    ----------
    seed
        The seed of its training, null for a saved model.
    model
        Its file.
    metrics
        By split; the class in focus has a row of its own.
    probability
        The mean probability of the true class on the test split, by class.
    confusion
        For each actual class the count of each predicted class.
    classes
        The figures of each class on the test split.
    reliability
        How often predictions of a given confidence are right, on the test split.
    mistakes
        Ids of the test images that it predicts wrong with the least probability of the true class.
    history
        Every epoch of its training, empty for a saved model.
    """

    seed: int | None
    model: ModelFile
    metrics: dict[str, Metrics]
    probability: dict[str, Interval]
    confusion: dict[str, list[int]]
    classes: dict[str, ClassFigures]
    reliability: Reliability
    mistakes: list[str]
    history: list[Epoch]


class Summary(Part):
    """The figures over all runs; ``confusion_sd`` is null for a single run."""

    metrics: dict[str, MetricSpreads]
    probability: dict[str, Spread]
    confusion: dict[str, list[float]]
    confusion_sd: dict[str, list[float]] | None


class GateCheck(Part):
    """A figure that the recipe limits."""

    figure: str
    limit: float
    value: Figure
    passed: bool


class GateResult(Part):
    """Whether every figure reaches its limit."""

    passed: bool
    checks: list[GateCheck]


class RecipeVersion(Part):
    """Name and version of the recipe whose `[baseline]` was trained."""

    name: str
    version: str


class BaselineDataset(DatasetReference):
    """The dataset that the models were tested on.

    Attributes
    ----------
    manifest_sha256
        Hash of its manifest (of a release, that of its build), null where it has none.
    counts
        Images by split and class.
    excluded_as_seen
        Images excluded from a split because the saved model was trained on their patients, by split and
        class; empty where nothing was compared.
    images_sha256
        Hash of everything that training and testing read.
    """

    manifest_sha256: str | None
    counts: dict[str, dict[str, int]]
    excluded_as_seen: dict[str, dict[str, int]]
    images_sha256: str


class BaselineDocument(Document):
    """The ``metrics.json`` of a baseline result.

    Attributes
    ----------
    recipe
        The recipe.
    classes
        The classes, in the order of their numbers.
    dataset
        The dataset that the models were tested on.
    settings
        The recipe's `[baseline]`.
    gate
        Whether the recipe's limits are reached, by the mean over the runs.
    summary
        The figures over all runs.
    runs
        The figures of each model.
    parameters
        Number of the network's parameters.
    versions
        Versions of the libraries that decide the figures.
    device
        The processor that was used.
    figures
        Names of the drawings in ``figures/``.
    """

    FORMAT: ClassVar[int] = 2
    KIND: ClassVar[str] = "a baseline result"
    NEXT_STEP: ClassVar[str] = _TRAIN_AGAIN

    format: Literal[2] = 2
    recipe: RecipeVersion
    classes: list[str]
    dataset: BaselineDataset
    settings: Baseline
    gate: GateResult
    summary: Summary
    runs: Annotated[list[Run], Field(min_length=1)]
    parameters: int
    versions: dict[str, str]
    device: str
    figures: list[str]

    @model_validator(mode="after")
    def _check_classes(self) -> BaselineDocument:
        problems = [
            f"{key}: keys are {', '.join(found) or 'missing'}, the classes are {', '.join(self.classes)}"
            for key, found in self._tables_by_class()
            if set(found) != set(self.classes)
        ]
        rows = {*self.dataset.counts, *self.classes}
        problems += [
            f"summary.metrics.{row}: no such split or class" for row in {*self.summary.metrics} - rows
        ]
        size = len(self.classes)
        tables: list[Mapping[str, list[float]]] = [self.summary.confusion, self.summary.confusion_sd or {}]
        if any(len(row) != size for table in tables for row in table.values()):
            problems.append(f"summary.confusion: not {size} columns in each row")
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _tables_by_class(self) -> Iterator[tuple[str, Collection[str]]]:
        yield "dataset.counts.test", self.dataset.counts.get("test", {})
        for split, counts in self.dataset.counts.items():
            yield f"dataset.counts.{split}", counts
        yield "summary.probability", self.summary.probability
        yield "summary.confusion", self.summary.confusion
        if self.summary.confusion_sd is not None:
            yield "summary.confusion_sd", self.summary.confusion_sd
        for number, run in enumerate(self.runs):
            yield f"runs.{number}.classes", run.classes
            yield f"runs.{number}.probability", run.probability
            yield f"runs.{number}.confusion", run.confusion


class TrainingIdentity(Training):
    """The settings and inputs that decide a training's weights.

    ``weights_sha256`` is of the file of weights that the network starts from, null for random weights.
    """

    seed: int
    classes: list[str]
    images_sha256: str
    weights_sha256: str | None = None
    tensorflow: str
    keras: str


class HistoryDocument(Document):
    """The ``history.json`` of a finished training."""

    FORMAT: ClassVar[int] = 1
    KIND: ClassVar[str] = "the history of a training"
    NEXT_STEP: ClassVar[str] = "Name another --out, or remove the folder to train again"

    format: Literal[1] = 1
    identity: TrainingIdentity
    epochs: list[Epoch]


class EpochTiming(Part):
    """The seconds that an epoch took."""

    epoch: int
    train: float
    measure: float


class TimingDocument(Document):
    """The ``timing.json`` of a training: the only document that differs between equal trainings."""

    FORMAT: ClassVar[int] = 1
    KIND: ClassVar[str] = "the timing of a training"
    NEXT_STEP: ClassVar[str] = "Move the file away and run the command again"

    format: Literal[1] = 1
    epochs: list[EpochTiming]


class CheckpointDocument(Document):
    """The part of a checkpoint that is not an array: which training it is, and its epochs so far."""

    FORMAT: ClassVar[int] = 1
    KIND: ClassVar[str] = "a checkpoint"
    NEXT_STEP: ClassVar[str] = "Remove the file to train from scratch"

    format: Literal[1] = 1
    identity: TrainingIdentity
    epochs: list[Epoch]
    timing: list[EpochTiming]


class TrainedOnDocument(Document):
    """The metadata of ``trained_on.parquet``: which model was trained on its images."""

    FORMAT: ClassVar[int] = 1
    KIND: ClassVar[str] = "a list of training images"
    NEXT_STEP: ClassVar[str] = (
        "Train again, or move the file away to evaluate a model whose training images are unknown"
    )

    format: Literal[1] = 1
    model_sha256: str
    classes: list[str]
    dataset: DatasetReference
    manifest_sha256: str | None
