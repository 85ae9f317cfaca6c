"""The documents of a comparison of trainings: ``comparison.json``."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from cxrbuild.artifact.baseline import DatasetReference, Interval, RecipeVersion
from cxrbuild.artifact.document import Document, Part
from cxrbuild.catalog.baseline import Baseline

Protocol = Literal["split", "folds", "sources"]


class ComparedFigures(Part):
    """Figures of a combination, or their differences, each with its paired bootstrap interval.

    A class is predicted if its probability is the greatest. ``balanced_accuracy`` is the mean recall of the
    classes that have images. Several seeds are averaged.
    """

    accuracy: Interval
    balanced_accuracy: Interval
    recall: dict[str, Interval]


class Combination(Part):
    """A network and an optimizer, trained with every seed on the same images."""

    name: str
    network: str
    side: int
    optimizer: str
    parameters: int
    weights: str | None


class Evaluation(Part):
    """The figures on images that no model was trained on when it predicted them.

    Attributes
    ----------
    name
        ``test``, ``folds``, or the source that was withheld from training.
    counts
        Images by class.
    patients
        Number of groups of patients, the unit of the bootstrap.
    right
        For each combination, the number of right predictions of each seed.
    figures
        By combination.
    differences
        Of each combination but the first, its figures minus those of the first.
    """

    name: str
    counts: dict[str, int]
    patients: int
    right: dict[str, list[int]]
    figures: dict[str, ComparedFigures]
    differences: dict[str, ComparedFigures]


class ComparedRun(Part):
    """A training: its folder in the result, and what it was trained and evaluated on."""

    combination: str
    part: str
    seed: int
    folder: str
    model_sha256: str
    train: dict[str, int]
    test: dict[str, int]


class ComparisonDocument(Document):
    """The ``comparison.json`` of a comparison.

    Attributes
    ----------
    recipe
        The recipe.
    dataset
        Name and version of the dataset.
    manifest_sha256
        Hash of its manifest (of a release, that of its build), null where it has none.
    classes
        The classes, in the order of their numbers.
    protocol
        ``split``: trained on train, evaluated on test. ``folds``: cross-validated without the test split.
        ``sources``: trained without a source, evaluated on it.
    settings
        The settings that the combinations share; network and optimizer are those of the first.
    seeds
        The seeds of each combination.
    combinations
        In the order of the command; the first is the reference of all differences.
    evaluations
        The figures.
    runs
        Every training.
    versions
        Versions of the libraries that decide the figures.
    device
        The processor that was used.
    """

    FORMAT: ClassVar[int] = 1
    KIND: ClassVar[str] = "a comparison of trainings"
    NEXT_STEP: ClassVar[str] = "Run the command again, or move the file away"

    format: Literal[1] = 1
    recipe: RecipeVersion
    dataset: DatasetReference
    manifest_sha256: str | None
    classes: list[str]
    protocol: Protocol
    settings: Baseline
    seeds: list[int]
    combinations: Annotated[list[Combination], Field(min_length=1)]
    evaluations: Annotated[list[Evaluation], Field(min_length=1)]
    runs: list[ComparedRun]
    versions: dict[str, str]
    device: str
