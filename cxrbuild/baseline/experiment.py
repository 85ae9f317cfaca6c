"""The baseline from beginning to end: read, train, evaluate, draw, report."""

from __future__ import annotations

import gc
import logging
import os
import shutil
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from cxrbuild.artifact import names
from cxrbuild.artifact.baseline import (
    BaselineDataset,
    BaselineDocument,
    RecipeVersion,
    TrainingIdentity,
)
from cxrbuild.artifact.baseline_summary import check_gate, mean_recall, summarize
from cxrbuild.baseline.backend import LOADING, describe_environment, load_tensorflow, require_packages
from cxrbuild.baseline.dataset import HeldDataset, read_dataset
from cxrbuild.baseline.disk import explaining_write_errors
from cxrbuild.baseline.evaluation import make_predictor
from cxrbuild.baseline.figures import draw_figures, figure_names
from cxrbuild.baseline.folders import choose_folder, locked_for_reading
from cxrbuild.baseline.image_table import find_identified
from cxrbuild.baseline.input import READING, Images, find_sampled, read_images
from cxrbuild.baseline.leakage import exclude_seen, find_seen, require_unseen
from cxrbuild.baseline.measurement import measure_run
from cxrbuild.baseline.model import load_model
from cxrbuild.baseline.predictions import ModelPredictions, write_predictions
from cxrbuild.baseline.report import write_report
from cxrbuild.baseline.result import BaselineResult
from cxrbuild.baseline.settings import (
    choose_settings,
    find_weights,
    make_identity,
    name_folder,
    require_fitting_weights,
    require_trainable,
    trained_classes,
    without_folder,
)
from cxrbuild.baseline.trained_on import describe_model, record_training_images
from cxrbuild.baseline.training import DRAWING, MEASURING, stage_of, train
from cxrbuild.catalog import Recipe
from cxrbuild.catalog.baseline import Baseline
from cxrbuild.files import locked, remove_temporary_files, replacing, write_bytes
from cxrbuild.progress import Progress, silent

_logger = logging.getLogger(__name__)
# Images by split and class.
Counts = dict[str, dict[str, int]]
# In a build, next to the dataset.
EVALUATION_FOLDER = "evaluation"
REPORT, PREDICTIONS, FIGURES = "report.md", "predictions.parquet", "figures"


def train_baseline(
    build: Path,
    recipe: Recipe,
    *,
    out: Path | None = None,
    variant: str | None = None,
    network: str | None = None,
    optimizer: str | None = None,
    epochs: int | None = None,
    seeds: Sequence[int] = (1,),
    evaluate_only: Path | None = None,
    exclude_seen_patients: bool = False,
    progress: Progress = silent,
) -> BaselineResult:
    """Train the recipe's baseline on a dataset and report what it learned.

    A run that was interrupted resumes from its last epoch when it is started again. Seeds that are finished
    are not trained again. The same dataset, settings, seeds, device and library versions give the same bytes
    in every file, except ``timing.json`` and TensorBoard's logs.

    Parameters
    ----------
    build
        A build, a release, or a TensorFlow Datasets folder.
    recipe
        The recipe, with its `[baseline]`; the defaults apply if it has none.
    out
        Folder of the results: ``metrics.json``, ``report.md``, ``predictions.parquet``, ``figures/``,
        ``model.keras`` (of the first seed) with ``trained_on.parquet``, its training images, and, for each
        seed, ``seed-N/`` with its model, the same list, its history, timing and TensorBoard logs. By default
        ``baseline``, or ``evaluation`` with ``evaluate_only``, in the build, with ``-`` and the name of the
        variant, network and optimizer if it is not the recipe's default. Of a release it is next to it, after
        its name and ``-``.
    variant
        A variant of the recipe's baseline.
    network
        The name of another network.
    optimizer
        The name of another optimizer.
    epochs
        Number of epochs; overrides the recipe's.
    seeds
        A model is trained for each.
    evaluate_only
        A saved model to evaluate instead of training.
    exclude_seen_patients
        With ``evaluate_only``: exclude test images of patients that the model was trained on, instead of
        raising an error.
    progress
        Advanced for each image and each step.

    Raises
    ------
    CxrbuildError
        The recipe has one class only or no such variant, there is no such network, the weights that it starts
        from are another network's, the dataset is incomplete or another recipe's, the saved model was trained
        on patients of the test, ``out`` has another training, the training diverges, or the disk is full.
    """
    require_trainable(recipe, seeds)
    baseline = choose_settings(recipe, variant=variant, network=network, optimizer=optimizer, epochs=epochs)
    classes = trained_classes(recipe, baseline)
    name = EVALUATION_FOLDER if evaluate_only else names.BASELINE_FOLDER
    out = choose_folder(build, name_folder(recipe, baseline, name), out)
    weights = find_weights(recipe, baseline) if evaluate_only is None else None
    # A wrong recipe or dataset is an error before TensorFlow is loaded or a folder is made.
    read_dataset(build, recipe)
    find_sampled(build, recipe.classes, baseline.sample)
    trainings = [stage_of("training", seed) for seed in dict.fromkeys(seeds)] if evaluate_only is None else []
    require_packages()
    progress.plan(LOADING, READING, *trainings, MEASURING, DRAWING)
    with progress(LOADING, None, ""):
        load_tensorflow()
        # Read before the images, which take longer.
        require_fitting_weights([(baseline.network, weights)])
        model = load_model(evaluate_only, baseline.network, len(classes)) if evaluate_only else None
    with locked(out):
        for folder in (out, out / FIGURES):
            remove_temporary_files(folder)
        with locked_for_reading(build):
            dataset = read_dataset(build, recipe)
            identified = find_identified(build)
            sides = (baseline.training_side, baseline.network.side)
            images = read_images(build, recipe.classes, *sides, progress, scratch=out, sample=baseline.sample)
        _logger.info("read %d images: %s", len(images.table), build)
        excluded: Counts = {}
        if evaluate_only is None:
            identity = make_identity(baseline, classes, images, weights)
            trained = _train_all(images, identity, seeds, dataset, out, weights, progress)
        else:
            images, excluded, trained = _evaluate(
                model, evaluate_only, images, baseline, classes, exclude=exclude_seen_patients
            )
        with progress(MEASURING, None, ""):
            document = _describe(
                recipe, without_folder(baseline), classes, images, trained, dataset, excluded
            )
        with progress(DRAWING, None, ""), explaining_write_errors(out, kept="every model trained so far"):
            draw_figures(out / FIGURES, images, trained.predictions, document, identified)
            write_predictions(out / PREDICTIONS, images, trained.predictions, classes)
            report = write_report(document, recipe.datasheet.biases, _count_hidden(images, identified))
            write_bytes(out / REPORT, report.encode())
            document.write(out / names.METRICS)
        _logger.info("wrote %s", out)
    return BaselineResult(out, document, median(trained.seconds) if trained.seconds else None)


@dataclass(frozen=True)
class _Models:
    """The predictions of each model, the number of parameters, and the seconds of every epoch."""

    predictions: list[ModelPredictions]
    parameters: int
    seconds: list[float]


def _train_all(
    images: Images,
    identity: TrainingIdentity,
    seeds: Sequence[int],
    dataset: HeldDataset,
    out: Path,
    weights: Path | None,
    progress: Progress,
) -> _Models:
    """Train a model for each seed."""
    import keras

    predictions: list[ModelPredictions] = []
    seconds: list[float] = []
    parameters = 0
    for seed in dict.fromkeys(seeds):
        folder = out / f"seed-{seed}"
        trained = train(images, identity.model_copy(update={"seed": seed}), folder, progress, weights=weights)
        seconds += [timing.train for timing in trained.timing]
        record_training_images(folder / names.MODEL, images, identity.classes, dataset)
        described, _ = describe_model(folder / names.MODEL, f"seed-{seed}/{names.MODEL}", identity.classes)
        parameters = trained.model.count_params()
        predict = make_predictor(trained.model, identity.network.side, identity.batch)
        predictions.append(ModelPredictions(described, seed, trained.history, predict(images.for_testing)))
        # A model, its optimizer and its gradients take a gigabyte.
        del trained, predict
        keras.backend.clear_session()
        gc.collect()
    for name in (names.MODEL, names.TRAINED_ON):
        _link(out / f"seed-{predictions[0].seed}" / name, out / name)
    return _Models(predictions, parameters, seconds)


def _evaluate(
    model: Any, path: Path, images: Images, baseline: Baseline, classes: list[str], *, exclude: bool
) -> tuple[Images, Counts, _Models]:
    """Evaluate a saved model on the test images of patients that it was not trained on.

    Returns
    -------
    The images without the excluded ones, the number of these by split and class, and the predictions.
    """
    excluded: Counts = {}
    described, trained = describe_model(path, path.name, classes)
    if trained is not None:
        seen = find_seen(images.table, trained)
        if not exclude:
            require_unseen(path, images.table, seen)
        images, excluded = exclude_seen(path, images, seen, classes)
        _logger.info("excluded images of patients that the model was trained on: %s", excluded)
    predict = make_predictor(model, baseline.network.side, baseline.batch)
    predictions = ModelPredictions(described, None, [], predict(images.for_testing))
    return images, excluded, _Models([predictions], model.count_params(), [])


def _describe(
    recipe: Recipe,
    baseline: Baseline,
    classes: list[str],
    images: Images,
    models: _Models,
    dataset: HeldDataset,
    excluded: Counts,
) -> BaselineDocument:
    """Measure the models and return ``metrics.json``."""
    runs = [measure_run(one, baseline, images, classes) for one in models.predictions]
    summary = summarize(runs, classes)
    accuracy = summary.metrics["test"].accuracy.mean
    return BaselineDocument(
        recipe=RecipeVersion(name=recipe.name, version=recipe.version),
        classes=classes,
        dataset=BaselineDataset(
            name=dataset.reference.name,
            version=dataset.reference.version,
            manifest_sha256=dataset.manifest_sha256,
            counts=_count(images, classes),
            excluded_as_seen=excluded,
            images_sha256=images.fingerprint(),
        ),
        settings=baseline,
        gate=check_gate(baseline.gate, accuracy, mean_recall(runs, classes)),
        summary=summary,
        runs=runs,
        parameters=models.parameters,
        **describe_environment(),
        figures=figure_names(models.predictions),
    )


def _count(images: Images, classes: list[str]) -> Counts:
    counts = images.table.groupby(["split", "label"]).size()
    return {split: {name: int(counts.get((split, name), 0)) for name in classes} for split in images.splits}


def _count_hidden(images: Images, identified: Collection[str] | None) -> int | None:
    """Return the number of test images that no figure shows, ``None`` where no review is known."""
    if identified is None:
        return None
    return int(images.table["image_id"].iloc[images.rows("test")].isin(identified).sum())


def _link(file: Path, path: Path) -> None:
    # Renaming one name of a file to another of its names does nothing and leaves the temporary name.
    if path.exists() and path.samefile(file):
        return
    with explaining_write_errors(path, kept=str(file)), replacing(path) as temporary:
        try:
            os.link(file, temporary)
        except OSError:  # not every file system has hard links
            shutil.copyfile(file, temporary)
