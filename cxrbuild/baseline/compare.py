"""Compare networks and optimizers: train each on the same images, and measure the differences."""

from __future__ import annotations

import gc
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cxrbuild.artifact import names
from cxrbuild.artifact.baseline import RecipeVersion
from cxrbuild.artifact.comparison import Combination, ComparedRun, ComparisonDocument, Protocol
from cxrbuild.baseline.backend import LOADING, describe_environment, load_tensorflow, require_packages
from cxrbuild.baseline.compare_figure import draw_comparison
from cxrbuild.baseline.compare_measurement import Predicted, measure_comparison, write_comparison
from cxrbuild.baseline.compare_report import report_comparison
from cxrbuild.baseline.compare_result import ComparisonResult
from cxrbuild.baseline.dataset import HeldDataset, read_dataset
from cxrbuild.baseline.disk import explaining_write_errors
from cxrbuild.baseline.evaluation import make_predictor
from cxrbuild.baseline.experiment import FIGURES
from cxrbuild.baseline.folders import choose_folder, locked_for_reading
from cxrbuild.baseline.input import READING, Images, find_sampled, read_images
from cxrbuild.baseline.partitions import Partition, keep_splits, make_folds, withhold_sources
from cxrbuild.baseline.settings import (
    choose_settings,
    find_weights,
    make_identity,
    require_fitting_weights,
    require_trainable,
    trained_classes,
    without_folder,
)
from cxrbuild.baseline.trained_on import record_training_images
from cxrbuild.baseline.training import DRAWING, MEASURING, train
from cxrbuild.catalog import Recipe
from cxrbuild.catalog.baseline import Baseline
from cxrbuild.errors import CxrbuildError
from cxrbuild.files import locked, remove_temporary_files, sha256_of, write_bytes
from cxrbuild.progress import Bar, Progress, silent

TRAINING = "training"

_logger = logging.getLogger(__name__)
COMPARISON_FOLDER, RUNS = "comparison", "runs"
DOCUMENT, TABLE, REPORT, FIGURE = names.COMPARISON, "comparison.parquet", "comparison.md", "comparison"


@dataclass(frozen=True)
class _Candidate:
    """A network and an optimizer with all settings, and the file of weights that the network starts from."""

    name: str
    settings: Baseline
    weights: Path | None

    @property
    def sides(self) -> tuple[int, int]:
        """Sides of the images for training and for evaluation."""
        return self.settings.training_side, self.settings.network.side


@dataclass
class _Runs:
    """What has been trained so far: a description of each run, its predictions, and numbers of parameters."""

    described: list[ComparedRun] = field(default_factory=list)
    predictions: list[Predicted] = field(default_factory=list)
    parameters: dict[str, int] = field(default_factory=dict)


def compare_baselines(
    build: Path,
    recipe: Recipe,
    *,
    out: Path | None = None,
    variant: str | None = None,
    networks: Sequence[str] = (),
    optimizers: Sequence[str] = (),
    folds: int | None = None,
    leave_out: Sequence[str] = (),
    epochs: int | None = None,
    seeds: Sequence[int] = (1,),
    progress: Progress = silent,
) -> ComparisonResult:
    """Train every combination of networks and optimizers on the same images, and compare them.

    Each combination is trained with each seed, for each fold or withheld source. Each training is a run that
    resumes from its last epoch, and a finished one is not trained again. Nothing is chosen by the figures:
    combinations are listed in the order of the arguments, and all are compared with the first.

    Parameters
    ----------
    build
        A build, a release, or a TensorFlow Datasets folder.
    recipe
        The recipe, with its `[baseline]`.
    out
        Folder of the results: ``comparison.json``, ``comparison.md``, ``comparison.parquet``, ``figures/``,
        and ``runs/`` with a folder for each training. By default ``comparison`` in the build, with ``-`` and
        the name of the variant that is not the recipe's default, the folds or ``sources``. Of a release it is
        next to it, after its name and ``-``.
    variant
        A variant of the recipe's baseline.
    networks
        Names of networks; default the recipe's.
    optimizers
        Names of optimizers; default the recipe's.
    folds
        Cross-validate in so many folds of the images that are not in the test split.
    leave_out
        Sources that are withheld from training and evaluated on, one after the other.
    epochs
        Number of epochs; overrides the recipe's.
    seeds
        A model is trained for each.
    progress
        Advanced for each image and each step.

    Raises
    ------
    CxrbuildError
        There is no such network or source, a class cannot fill the folds, a source cannot be withheld, a file
        of weights is another network's, or a condition of ``train_baseline``.
    """
    require_trainable(recipe, seeds)
    if folds is not None and leave_out:
        raise CxrbuildError(
            "folds and withheld sources are two protocols",
            expected="folds, or withheld sources",
            found="both",
            todo="Run one comparison for each",
        )
    candidates = _choose_candidates(recipe, variant, networks, optimizers, epochs)
    settings = candidates[0].settings
    classes = trained_classes(recipe, settings)
    protocol: Protocol = "folds" if folds is not None else "sources" if leave_out else "split"
    out = choose_folder(build, _name_folder(recipe, settings, protocol, folds), out)
    read_dataset(build, recipe)
    # What cannot be compared is an error before TensorFlow is loaded or an image is read.
    rows = find_sampled(build, recipe.classes, settings.sample).rows
    if folds is not None:
        partitions = make_folds(rows, folds, recipe.split, classes, build)
    else:
        partitions = withhold_sources(rows, leave_out, classes, build) if leave_out else keep_splits(rows)
    require_packages()
    progress.plan(LOADING, READING, TRAINING, MEASURING, DRAWING)
    with progress(LOADING, None, ""):
        load_tensorflow()
        require_fitting_weights([(one.settings.network, one.weights) for one in candidates])
    with locked(out):
        for folder in (out, out / FIGURES):
            remove_temporary_files(folder)
        runs = _Runs()
        with locked_for_reading(build):
            dataset = read_dataset(build, recipe)
            # Images are read once for all networks with an input of the same size.
            by_sides = sorted(candidates, key=lambda one: one.sides)
            for (training, testing), same in groupby(by_sides, lambda one: one.sides):
                images = read_images(
                    build,
                    recipe.classes,
                    training,
                    testing,
                    progress,
                    scratch=out,
                    sample=settings.sample,
                )
                chosen = list(same)
                count = len(chosen) * len(partitions) * len({*seeds})
                with progress(TRAINING, count, "model") as bar:
                    for candidate in chosen:
                        _train_candidate(
                            candidate, images, partitions, classes, seeds, dataset, out, runs, progress, bar
                        )
        names = [candidate.name for candidate in candidates]
        runs.described.sort(key=lambda run: names.index(run.combination))
        runs.predictions.sort(key=lambda one: names.index(one.combination))

        with progress(MEASURING, None, ""):
            document = ComparisonDocument(
                recipe=RecipeVersion(name=recipe.name, version=recipe.version),
                dataset=dataset.reference,
                manifest_sha256=dataset.manifest_sha256,
                classes=classes,
                protocol=protocol,
                settings=without_folder(settings),
                seeds=list(dict.fromkeys(seeds)),
                combinations=[_describe(candidate, runs) for candidate in candidates],
                evaluations=measure_comparison(runs.predictions, classes, settings.resamples),
                runs=runs.described,
                **describe_environment(),
            )
        with progress(DRAWING, None, ""), explaining_write_errors(out, kept="every model trained so far"):
            draw_comparison(out / FIGURES / FIGURE, document)
            write_comparison(out / TABLE, runs.predictions, classes)
            write_bytes(out / REPORT, report_comparison(document).encode())
            document.write(out / DOCUMENT)
        _logger.info("wrote %s", out)
    return ComparisonResult(out, document)


def _choose_candidates(
    recipe: Recipe,
    variant: str | None,
    networks: Sequence[str],
    optimizers: Sequence[str],
    epochs: int | None,
) -> list[_Candidate]:
    """Return each combination, without repetitions, in the order of the arguments."""
    candidates: dict[str, _Candidate] = {}
    for network in networks or (None,):
        for optimizer in optimizers or (None,):
            settings = choose_settings(
                recipe, variant=variant, network=network, optimizer=optimizer, epochs=epochs
            )
            name = f"{settings.network.name}-{settings.optimizer}"
            candidates[name] = _Candidate(name, settings, find_weights(recipe, settings))
    return list(candidates.values())


def _name_folder(recipe: Recipe, settings: Baseline, protocol: Protocol, folds: int | None) -> str:
    default = recipe.baseline or Baseline.model_validate({})
    name = COMPARISON_FOLDER
    if settings.variant != default.variant:
        name += f"-{settings.variant}"
    return name + {"split": "", "folds": f"-{folds}-folds", "sources": "-sources"}[protocol]


def _train_candidate(
    candidate: _Candidate,
    images: Images,
    partitions: Sequence[Partition],
    classes: list[str],
    seeds: Sequence[int],
    dataset: HeldDataset,
    out: Path,
    runs: _Runs,
    progress: Progress,
    bar: Bar,
) -> None:
    """Train a combination on every partition with every seed, and predict the images evaluated."""
    import keras

    settings = candidate.settings
    for partition in partitions:
        view = images.with_splits(partition.splits)
        identity = make_identity(settings, classes, view, candidate.weights)
        for seed in dict.fromkeys(seeds):
            name = f"{RUNS}/{candidate.name}/{partition.name}/seed-{seed}"
            folder = out / name
            _logger.info("%s, %s, seed %d", candidate.name, partition.name, seed)
            trained = train(
                view,
                identity.model_copy(update={"seed": seed}),
                folder,
                progress,
                weights=candidate.weights,
                title=f"{candidate.name}, {partition.name}",
            )
            record_training_images(folder / names.MODEL, view, classes, dataset)
            runs.parameters[candidate.name] = trained.model.count_params()
            predict = make_predictor(trained.model, settings.network.side, settings.batch)
            tested = view.rows("test")
            runs.predictions.append(
                Predicted(
                    candidate.name,
                    partition.name,
                    partition.evaluation,
                    seed,
                    view.table.iloc[tested].assign(split=_own_splits(images, partition)),
                    view.labels[tested],
                    predict(view.for_testing.select(tested)),
                )
            )
            counts = _count(view, classes)
            runs.described.append(
                ComparedRun(
                    combination=candidate.name,
                    part=partition.name,
                    seed=seed,
                    folder=name,
                    model_sha256=sha256_of(folder / names.MODEL),
                    train=counts["train"],
                    test=counts["test"],
                )
            )
            # A model, its optimizer and its gradients take a gigabyte.
            del trained, predict
            keras.backend.clear_session()
            gc.collect()
            bar.update()


def _own_splits(images: Images, partition: Partition) -> NDArray[np.object_]:
    """Return the dataset's split of each image that is evaluated."""
    evaluated = partition.splits.index[partition.splits == "test"].sort_values()
    splits: NDArray[np.object_] = images.table["split"].to_numpy(object)[evaluated]
    return splits


def _count(view: Images, classes: list[str]) -> dict[str, dict[str, int]]:
    counts = view.table.groupby(["split", "label"]).size()
    return {
        split: {name: int(counts.get((split, name), 0)) for name in classes} for split in ("train", "test")
    }


def _describe(candidate: _Candidate, runs: _Runs) -> Combination:
    network = without_folder(candidate.settings).network
    return Combination(
        name=candidate.name,
        network=network.name,
        side=network.side,
        optimizer=candidate.settings.optimizer,
        parameters=runs.parameters[candidate.name],
        weights=network.weights,
    )
