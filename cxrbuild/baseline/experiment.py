"""The baseline from beginning to end: read, train, evaluate, draw, report."""

from __future__ import annotations

import gc
import os
import platform
import shutil
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import numpy as np

from cxrbuild.artifact import names
from cxrbuild.artifact.baseline import (
    BaselineDataset,
    BaselineDocument,
    DatasetReference,
    RecipeVersion,
    TrainingIdentity,
)
from cxrbuild.baseline.backend import describe_device, load_tensorflow
from cxrbuild.baseline.dataset import read_dataset
from cxrbuild.baseline.disk import explaining_write_errors
from cxrbuild.baseline.evaluation import make_predictor
from cxrbuild.baseline.figures import draw_figures, figure_names
from cxrbuild.baseline.gate import check_gate
from cxrbuild.baseline.input import Images, read_images
from cxrbuild.baseline.leakage import exclude_seen, find_seen, require_unseen
from cxrbuild.baseline.measurement import mean_recall, measure_run, summarize
from cxrbuild.baseline.model import load_model
from cxrbuild.baseline.predictions import ModelPredictions, write_predictions
from cxrbuild.baseline.report import write_report
from cxrbuild.baseline.result import BaselineResult
from cxrbuild.baseline.trained_on import TRAINED_ON, describe_model, record_training_images
from cxrbuild.baseline.training import MODEL, train
from cxrbuild.catalog import Recipe
from cxrbuild.catalog.baseline import MAX_EPOCHS, MAX_SEED, Baseline, Training
from cxrbuild.errors import CxrbuildError, name_some
from cxrbuild.files import locked, replacing, sha256_of, write_bytes
from cxrbuild.progress import Progress, silent

# In a build, next to the dataset.
EVALUATION_FOLDER = "evaluation"
REPORT, PREDICTIONS, FIGURES = "report.md", "predictions.parquet", "figures"
METRICS_FILE = Path(names.BASELINE).name


def train_baseline(
    build: Path,
    recipe: Recipe,
    *,
    out: Path | None = None,
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
        ``baseline``, or ``evaluation`` with ``evaluate_only``, in the build.
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
        The recipe has one class only, the dataset is incomplete or another recipe's, the saved model was
        trained on patients of the test, ``out`` has another training, the training diverges, or the disk is
        full.
    """
    if len(recipe.classes) < 2:
        raise CxrbuildError(
            "a model needs two classes to distinguish",
            where=recipe.name,
            expected="two classes or more in the recipe's [labels]",
            found=recipe.classes[0],
        )
    _require_valid(epochs, seeds)
    if not build.is_dir():
        raise CxrbuildError(
            "no such build",
            where=build,
            todo="Run `cxrbuild curate`, or name a build or a release with --build",
        )
    baseline = recipe.baseline or Baseline.model_validate({})
    if epochs is not None:
        baseline = Baseline.model_validate(baseline.model_dump() | {"epochs": epochs})
    out = out or build / (EVALUATION_FOLDER if evaluate_only else names.BASELINE_FOLDER)
    reference = read_dataset(build, recipe)
    tf = load_tensorflow()
    # Loaded before the images, which take longer to read.
    model = load_model(evaluate_only, baseline.network, len(recipe.classes)) if evaluate_only else None
    manifest = build / names.MANIFEST
    manifest_sha256 = sha256_of(manifest) if manifest.is_file() else None
    with locked(out):
        images = read_images(
            build, recipe.classes, baseline.augmentation.side, baseline.network.side, progress
        )
        excluded: dict[str, dict[str, int]] = {}
        seconds: list[float] = []
        if model is None or evaluate_only is None:
            identity = _identity(baseline, recipe.classes, images)
            predictions, parameters, seconds = _train_all(
                images, identity, seeds, reference, manifest_sha256, out, progress
            )
        else:
            described, trained = describe_model(evaluate_only, str(evaluate_only), recipe.classes)
            if trained is not None:
                seen = find_seen(images.table, trained)
                if not exclude_seen_patients:
                    require_unseen(evaluate_only, images.table, seen)
                images, excluded = exclude_seen(evaluate_only, images, seen, recipe.classes)
            predict = make_predictor(model, baseline.network.side, baseline.batch)
            predictions = [ModelPredictions(described, None, [], predict(images.for_testing))]
            parameters = model.count_params()
        runs = [measure_run(one, baseline, images, recipe.classes) for one in predictions]
        summary = summarize(runs, recipe.classes)
        document = BaselineDocument(
            recipe=RecipeVersion(name=recipe.name, version=recipe.version),
            classes=recipe.classes,
            dataset=BaselineDataset(
                name=reference.name,
                version=reference.version,
                manifest_sha256=manifest_sha256,
                counts=_count(images, recipe.classes),
                excluded_as_seen=excluded,
                images_sha256=images.fingerprint(),
            ),
            settings=baseline,
            gate=check_gate(
                baseline.gate, summary.metrics["test"].accuracy.mean, mean_recall(runs, recipe.classes)
            ),
            summary=summary,
            runs=runs,
            parameters=parameters,
            versions={
                "Python": platform.python_version(),
                "TensorFlow": tf.__version__,
                "Keras": tf.keras.__version__,
                "NumPy": np.__version__,
            },
            device=describe_device(tf),
            figures=figure_names(predictions),
        )
        with explaining_write_errors(out, kept="every model trained so far"):
            draw_figures(out / FIGURES, images, predictions, document)
            write_predictions(out / PREDICTIONS, images, predictions, recipe.classes)
            write_bytes(out / REPORT, write_report(document, recipe.datasheet.biases).encode())
            document.write(out / METRICS_FILE)
    return BaselineResult(out, document, median(seconds) if seconds else None)


def _require_valid(epochs: int | None, seeds: Sequence[int]) -> None:
    if epochs is not None and not 1 <= epochs <= MAX_EPOCHS:
        raise CxrbuildError("invalid number of epochs", expected=f"from 1 to {MAX_EPOCHS:,}", found=epochs)
    invalid = [seed for seed in seeds if not 0 <= seed <= MAX_SEED]
    if invalid or not seeds:
        raise CxrbuildError(
            "invalid seeds",
            expected=f"one or more numbers from 0 to {MAX_SEED:,}",
            found=name_some(invalid) or "none",
        )


def _identity(baseline: Baseline, classes: list[str], images: Images) -> TrainingIdentity:
    """Return everything but the seed that decides the weights."""
    import keras
    import tensorflow as tf

    return TrainingIdentity(
        **{name: getattr(baseline, name) for name in Training.model_fields},
        seed=0,
        classes=classes,
        images_sha256=images.fingerprint(),
        tensorflow=tf.__version__,
        keras=keras.__version__,
    )


def _train_all(
    images: Images,
    identity: TrainingIdentity,
    seeds: Sequence[int],
    reference: DatasetReference,
    manifest_sha256: str | None,
    out: Path,
    progress: Progress,
) -> tuple[list[ModelPredictions], int, list[float]]:
    """Train a model for each seed.

    Returns
    -------
    The predictions of each model, the number of parameters, and the seconds of every epoch.
    """
    import keras

    predictions: list[ModelPredictions] = []
    seconds: list[float] = []
    parameters = 0
    for seed in dict.fromkeys(seeds):
        folder = out / f"seed-{seed}"
        trained = train(images, identity.model_copy(update={"seed": seed}), folder, progress)
        seconds += [timing.train for timing in trained.timing]
        record_training_images(folder / MODEL, images, identity.classes, reference, manifest_sha256)
        described, _ = describe_model(folder / MODEL, f"seed-{seed}/{MODEL}", identity.classes)
        parameters = trained.model.count_params()
        predict = make_predictor(trained.model, identity.network.side, identity.batch)
        predictions.append(ModelPredictions(described, seed, trained.history, predict(images.for_testing)))
        # A model, its optimizer and its gradients take a gigabyte.
        del trained, predict
        keras.backend.clear_session()
        gc.collect()
    for name in (MODEL, TRAINED_ON):
        _link(out / f"seed-{predictions[0].seed}" / name, out / name)
    return predictions, parameters, seconds


def _count(images: Images, classes: list[str]) -> dict[str, dict[str, int]]:
    counts = images.table.groupby(["split", "label"]).size()
    return {split: {name: int(counts.get((split, name), 0)) for name in classes} for split in images.splits}


def _link(file: Path, path: Path) -> None:
    # Renaming one name of a file to another of its names does nothing and leaves the temporary name.
    if path.exists() and path.samefile(file):
        return
    with explaining_write_errors(path, kept=str(file)), replacing(path) as temporary:
        try:
            os.link(file, temporary)
        except OSError:  # not every file system has hard links
            shutil.copyfile(file, temporary)
