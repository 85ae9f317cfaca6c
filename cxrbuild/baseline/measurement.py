"""The figures of each model, as ``metrics.json`` has them."""

from __future__ import annotations

from cxrbuild.artifact.baseline import ClassFigures, Metrics, Run
from cxrbuild.baseline.evaluation import (
    count_confusion,
    find_mistakes,
    keras_metrics,
    measure_reliability,
    require_agreement,
    sklearn_metrics,
    true_class_probability,
)
from cxrbuild.baseline.input import Images
from cxrbuild.baseline.predictions import ModelPredictions
from cxrbuild.bootstrap import class_figures
from cxrbuild.catalog.baseline import Baseline


def measure_run(predictions: ModelPredictions, baseline: Baseline, images: Images, classes: list[str]) -> Run:
    """Return the figures of one model.

    Parameters
    ----------
    predictions
        The model's predictions.
    baseline
        The declaration.
    images
        The dataset.
    classes
        The classes in the order of their numbers.

    Raises
    ------
    CxrbuildError
        Keras and scikit-learn disagree.
    """
    test = images.rows("test")
    labels, probabilities = images.labels[test], predictions.probabilities[test]
    groups = images.table["group"].iloc[test].tolist()
    of_class = class_figures(labels, probabilities, groups, resamples=baseline.resamples)
    confusion = count_confusion(labels, probabilities)
    mistakes = find_mistakes(images.table.iloc[test], labels, probabilities)
    return Run(
        seed=predictions.seed,
        model=predictions.model,
        metrics=_measure_splits(predictions, baseline, images, classes),
        probability={
            name: true_class_probability(labels[labels == number], probabilities[labels == number])
            for number, name in enumerate(classes)
        },
        confusion={name: confusion[number].tolist() for number, name in enumerate(classes)},
        classes={
            name: ClassFigures.model_validate(figures)
            for name, figures in zip(classes, of_class, strict=True)
        },
        reliability=measure_reliability(labels, probabilities),
        mistakes=[images.table["image_id"].iat[test[row]] for row in mistakes],
        history=predictions.history,
    )


def _measure_splits(
    predictions: ModelPredictions, baseline: Baseline, images: Images, classes: list[str]
) -> dict[str, Metrics]:
    smoothing = baseline.keras_label_smoothing(len(classes))
    rows = {split: images.rows(split) for split in images.splits if split != "train"}
    if baseline.focus is not None:
        test = images.rows("test")
        rows[baseline.focus] = test[images.labels[test] == classes.index(baseline.focus)]
    metrics = {"train": predictions.history[-1].metrics["train"]} if predictions.history else {}
    for name, numbers in rows.items():
        truth, probabilities = images.labels[numbers], predictions.probabilities[numbers]
        figures = keras_metrics(truth, probabilities, smoothing)
        require_agreement(figures, sklearn_metrics(truth, probabilities, smoothing))
        metrics[name] = Metrics.model_validate(figures)
    return metrics
