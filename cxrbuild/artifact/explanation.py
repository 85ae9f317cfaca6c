"""``explanation.json``: where a model looks, and what of its success survives without the lungs."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from cxrbuild.artifact.baseline import (
    DatasetReference,
    Figure,
    Interval,
    ModelFile,
    RecipeVersion,
    Reliability,
)
from cxrbuild.artifact.document import Document, Part

# The tests, in the order of reports. Each has a name for the reader.
TESTS = {
    "whole": "the whole image",
    "without_lungs": "the lungs blacked out",
    "grey_lungs": "the lungs in the mean grey of the rest",
    "only_lungs": "all but the lungs blacked out",
    "only_border": "all but the border blacked out",
    "mean_grey": "each image replaced by its mean grey",
    "mean_image": "each image replaced by the mean image of all classes",
}
# The tests in which no lungs can be seen. Black may be so far from what a model was trained on that it fails
# for that reason alone; the mean grey of the rest is closer.
_WITHOUT_LUNGS = ("without_lungs", "grey_lungs")
# More than this share of the success without the lungs fails the blackout test.
MOST_SURVIVING = 0.5
# The AUC of guessing.
_GUESSING = 0.5
Grouping = Literal["source", "age", "sex", "view"]


class Scores(Part):
    """The figures of a model on some images, with 95 % intervals by patient-level bootstrap.

    Attributes
    ----------
    accuracy
        Share of images whose class has the greatest probability.
    auc
        Area under the ROC curve of a class against all others, as the mean over the classes; undefined for
        images of one class.
    recall
        Share of the images of each class that are predicted as it, for the classes that there are.
    """

    accuracy: Interval
    auc: Interval
    recall: dict[str, Interval]


class BlackoutTest(Part):
    """What a model predicts where parts of every image are blacked out.

    Attributes
    ----------
    test
        A key of ``TESTS``.
    images
        Number of images.
    scores
        The figures.
    """

    test: str
    images: int
    scores: Scores


class Lungs(Part):
    """Where the lungs are known.

    Attributes
    ----------
    masks
        Number of masks, of images of any split, that the region was made from.
    sources
        The sources that have masks.
    masked
        Number of explained images with a mask, by class.
    blacked_out
        What the blackout tests take for the lungs: ``mask``, each image's own, if every image has one; else
        ``region``, the same pixels in every image, because a mask that only some classes have shows the
        class.
    region_area
        Share of the image that the region covers.
    region_coverage
        Share of the pixels of a mask that are in the region, as the mean over the masks.
    """

    masks: int
    sources: list[str]
    masked: dict[str, int]
    blacked_out: Literal["mask", "region"]
    region_area: float
    region_coverage: float


class Shares(Part):
    """The shares of something in the lungs, in the border outside them, and elsewhere: together 1.

    ``lungs`` is null where no lungs are known; ``border`` is then the whole border.
    """

    lungs: Figure
    border: Figure
    elsewhere: Figure


class ClassShares(Part):
    """The mean shares of one class's images.

    Attributes
    ----------
    images
        Number of images.
    area
        Of the area.
    attribution
        Of the attribution, by method.
    """

    images: int
    area: Shares
    attribution: dict[str, Shares]


class GroupScores(Part):
    """The figures of one group of test images.

    Attributes
    ----------
    grouping, group
        The property, and its value.
    images, patients
        Their numbers.
    counts
        Images by class.
    scores
        ``None`` for a group of too few patients.
    """

    grouping: Grouping
    group: str
    images: int
    patients: int
    counts: dict[str, int]
    scores: Scores | None


class CalibrationFigures(Part):
    """How well the predicted probabilities agree with the classes of the test split.

    Attributes
    ----------
    log_loss
        Mean negative logarithm of the probability of the true class.
    reliability
        How often predictions of a given confidence are right.
    """

    log_loss: Figure
    reliability: Reliability


class Calibration(Part):
    """The calibration on test, before and after temperature scaling.

    Attributes
    ----------
    fitted_on
        Number of validation images that the temperature was fitted on; 0 without a temperature.
    temperature
        What the logits are divided by, ``None`` without a validation split, or if it lacks a class.
    before, after
        The figures on test; ``after`` is ``None`` without a temperature.
    validation
        The validation images by class; empty without a validation split.
    """

    fitted_on: int
    temperature: float | None
    before: CalibrationFigures
    after: CalibrationFigures | None
    validation: dict[str, int] = Field(default_factory=dict)

    @property
    def remark(self) -> str:
        """What the temperature was fitted on, or why there is none."""
        if not any(self.validation.values()) and self.temperature is None:
            return "No temperature is fitted: the dataset has no validation split, and test must not be used."
        counts = ", ".join(f"{count:,} {name}" for name, count in self.validation.items())
        images = f"{self.fitted_on:,} validation images" + (f" ({counts})" if counts else "")
        if self.temperature is not None:
            return f"The temperature {self.temperature:.3f} was fitted on {images}."
        missing = ", ".join(name for name, count in self.validation.items() if not count)
        return f"No temperature is fitted: the validation split has no image of {missing} ({counts})."


class ExplanationDataset(DatasetReference):
    """The dataset whose test images were explained.

    Attributes
    ----------
    manifest_sha256
        Hash of its manifest (of a release, that of its build), null where it has none.
    counts
        The explained images by class.
    excluded_as_seen
        Images excluded because the model was trained on their patients, by class.
    """

    manifest_sha256: str | None
    counts: dict[str, int]
    excluded_as_seen: dict[str, int]


class ExplanationDocument(Document):
    """The ``explanation.json`` of an explained model.

    Attributes
    ----------
    recipe
        The recipe of the dataset.
    classes
        The classes, in the order of their numbers.
    dataset
        The explained images.
    model
        The model.
    lungs
        Where the lungs are known, ``None`` without masks.
    blackout
        The blackout tests.
    masked
        The blackout tests that use each image's own mask, on the images that have one; empty without masks,
        and if these are of fewer than ``least_patients`` patients.
    shares
        The shares of the attribution, by class.
    groups
        The figures by source, age, sex and view.
    least_patients
        A group of fewer patients has no figures.
    calibration
        The calibration on test.
    resamples
        Number of bootstrap resamples.
    occluded
        Number of images with an occlusion map.
    versions, device
        The libraries and the processor that decide the figures.
    """

    FORMAT: ClassVar[int] = 1
    KIND: ClassVar[str] = "an explanation of a model"
    NEXT_STEP: ClassVar[str] = "Run `cxrbuild explain` again, or move the file away"

    format: Literal[1] = 1
    recipe: RecipeVersion
    classes: list[str]
    dataset: ExplanationDataset
    model: ModelFile
    lungs: Lungs | None
    blackout: list[BlackoutTest]
    masked: list[BlackoutTest]
    shares: dict[str, ClassShares]
    groups: list[GroupScores]
    least_patients: int
    calibration: Calibration
    resamples: int
    occluded: int
    versions: dict[str, str]
    device: str

    def scores(self, test: str) -> Scores | None:
        """Return the figures of a blackout test, ``None`` if it was not made."""
        return next((one.scores for one in self.blackout if one.test == test), None)

    @property
    def best_without_lungs(self) -> BlackoutTest | None:
        """The test without lungs in which the model does best, ``None`` where no lungs are known."""
        tests = [one for one in self.blackout if one.test in _WITHOUT_LUNGS]
        return max(tests, key=lambda one: one.scores.auc.value or 0, default=None)

    @property
    def surviving(self) -> float | None:
        """The share of the model's success that survives without the lungs, at least.

        Success is the mean area under the ROC curve above 0.5, which guessing reaches. What the model still
        reaches in one of the tests without lungs, it can reach without them. ``None`` where no lungs are
        known, or where the model does not distinguish the classes with the whole image: of nothing, nothing
        can survive, so such a model would pass.
        """
        whole, without = self.scores("whole"), self.best_without_lungs
        if whole is None or without is None or not self.distinguishes:
            return None
        with_lungs, without_lungs = whole.auc.value, without.scores.auc.value
        if with_lungs is None or without_lungs is None:
            return None
        return max(without_lungs - _GUESSING, 0.0) / (with_lungs - _GUESSING)

    @property
    def distinguishes(self) -> bool:
        """Whether the interval of the area under the ROC curve with the whole image is above guessing."""
        whole = self.scores("whole")
        return whole is not None and whole.auc.low is not None and whole.auc.low > _GUESSING

    @property
    def passed(self) -> bool | None:
        """Whether at most half of the success survives without the lungs, ``None`` where it is not known."""
        return None if self.surviving is None else self.surviving <= MOST_SURVIVING

    @property
    def sentence(self) -> str:
        """How much of the model's success survives without the lungs."""
        whole, without = self.scores("whole"), self.best_without_lungs
        if whole is None or without is None:
            return (
                "How much of the baseline's success survives without the lungs is not known, because no "
                "lung masks of the dataset were read."
            )
        measured = (
            f"with {TESTS[without.test]}, the mean area under the ROC curve on test is "
            f"{_show(without.scores.auc)}, with the whole image {_show(whole.auc)}, by guessing 0.5; "
            f"accuracy is {_show(without.scores.accuracy)} and {_show(whole.accuracy)}"
        )
        if self.surviving is None:
            low, high = (
                "n/a" if limit is None else f"{limit:.3f}" for limit in (whole.auc.low, whole.auc.high)
            )
            return (
                "The baseline does not distinguish the classes: the 95 % interval of the mean area "
                f"under the ROC curve with the whole image, {low} to {high}, is not above the "
                f"0.5 of guessing; {measured}."
            )
        return (
            f"At least {self.surviving:.0%} of the baseline's success survives without the lungs: {measured}."
        )


def _show(figure: Interval) -> str:
    return "n/a" if figure.value is None else f"{figure.value:.3f}"
