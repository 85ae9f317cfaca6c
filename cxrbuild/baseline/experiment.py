"""The baseline from beginning to end: read, train, evaluate, draw, report, judge."""

from __future__ import annotations

import gc
import math
import os
import platform
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxrbuild.baseline import figures
from cxrbuild.baseline.backend import load_tensorflow
from cxrbuild.baseline.checkpoint import explaining_full_disk
from cxrbuild.baseline.dataset import read_dataset
from cxrbuild.baseline.evaluation import (
    confusion,
    cross_check,
    measure,
    measure_again,
    predictor,
    probability_of_truth,
    reliability,
    worst_mistakes,
)
from cxrbuild.baseline.gate import check_gate
from cxrbuild.baseline.input import Images, read_images
from cxrbuild.baseline.leakage import find_seen, leave_out_seen, refuse_seen
from cxrbuild.baseline.model import load_model
from cxrbuild.baseline.report import write_report
from cxrbuild.baseline.trained_on import TRAINED_ON, describe_model, note_films
from cxrbuild.baseline.training import MODEL, train
from cxrbuild.bootstrap import class_figures
from cxrbuild.catalog import Recipe
from cxrbuild.catalog.baseline import Baseline
from cxrbuild.errors import CxrbuildError
from cxrbuild.files import locked, replacing, sha256_of, write_bytes, write_json
from cxrbuild.progress import Progress, silent

# These say how a model is judged; a change of them is no other training.
_JUDGING = {"gate", "published", "focus", "resamples"}


@dataclass(frozen=True)
class BaselineResult:
    """Where the baseline's results are, and what ``metrics.json`` holds."""

    out: Path
    metrics: dict[str, Any]


@dataclass(frozen=True)
class _Run:
    """One model: its file, its seed and history where it was trained here, and its probabilities."""

    model: dict[str, Any]
    seed: int | None
    history: list[dict[str, Any]]
    probabilities: NDArray[np.float32]


def train_baseline(
    build: Path,
    out: Path,
    recipe: Recipe,
    *,
    epochs: int | None = None,
    seeds: Sequence[int] = (1,),
    evaluate_only: Path | None = None,
    leave_out: bool = False,
    progress: Progress = silent,
) -> BaselineResult:
    """Train the recipe's baseline on a dataset and report what it learned.

    A run that was killed goes on from the last epoch's end when the same is asked for again; seeds that are
    done are not trained again.

    Parameters
    ----------
    build
        A build, a release, or a TensorFlow Datasets folder.
    out
        Where the results go: ``metrics.json``, ``report.md``, ``predictions.parquet``, ``figures/``,
        ``model.keras`` (of the first seed) with ``trained_on.parquet``, the images that it was trained on,
        and, for each seed, ``seed-N/`` with its model, the same list, its history and its TensorBoard logs.
    recipe
        The recipe, with its `[baseline]`; without one the defaults hold.
    epochs
        In place of the recipe's.
    seeds
        A model is trained for each.
    evaluate_only
        A saved model to evaluate in place of training.
    leave_out
        Of a saved model: leave out of the test the films of patients that it was trained on, in place of an
        error.
    progress
        Told of each image and each step.

    Raises
    ------
    CxrbuildError
        The recipe has one class alone, the dataset lacks something or is another recipe's, the saved model
        was trained on patients of the test, ``out`` holds another training, or the disk is full.
    """
    if len(recipe.classes) < 2:
        raise CxrbuildError(
            "there is nothing for a model to tell apart",
            where=recipe.name,
            expected="two classes or more in the recipe's [labels]",
            found=recipe.classes[0],
        )
    baseline = recipe.baseline or Baseline.model_validate({})
    if epochs is not None:
        baseline = baseline.model_copy(update={"epochs": epochs})
    if not build.is_dir():
        raise CxrbuildError(
            "no such build",
            where=build,
            todo="Run `cxrbuild curate`, or name a build or a release with --build",
        )
    dataset: dict[str, Any] = dict(read_dataset(build, recipe))
    tf = load_tensorflow()
    # Before the images, which take longer to read.
    model = load_model(evaluate_only, baseline.network, len(recipe.classes)) if evaluate_only else None
    if (build / "manifest.parquet").is_file():
        dataset["manifest_sha256"] = sha256_of(build / "manifest.parquet")
    with locked(out):
        images = read_images(
            build, recipe.classes, baseline.augmentation.side, baseline.network.side, progress
        )
        left_out: dict[str, dict[str, int]] = {}
        if model is None or evaluate_only is None:
            runs, parameters = _train_all(baseline, images, recipe.classes, seeds, dataset, out, progress)
        else:
            described, films = describe_model(evaluate_only, str(evaluate_only), recipe.classes)
            if films is not None:
                seen = find_seen(images.table, films)
                if not leave_out:
                    refuse_seen(evaluate_only, images.table, seen)
                images, left_out = leave_out_seen(evaluate_only, images, seen, recipe.classes)
            predict = predictor(model, baseline.network.side, baseline.batch)
            runs = [_Run(described, None, [], predict(images.whole))]
            parameters = model.count_params()
        document = _document(recipe, baseline, images, runs, dataset | {"left_out": left_out}) | {
            "parameters": parameters,
            "versions": {
                "Python": platform.python_version(),
                "TensorFlow": tf.__version__,
                "Keras": tf.keras.__version__,
                "NumPy": np.__version__,
            },
            "device": _device(tf),
        }
        with explaining_full_disk(out, kept="every model trained so far"):
            _draw(out / "figures", baseline, images, runs, recipe.classes, document)
            _write_predictions(out / "predictions.parquet", images, runs, recipe.classes)
            write_bytes(out / "report.md", write_report(document, recipe.datasheet.biases).encode())
            document = _defined(document)
            write_json(out / "metrics.json", document)
    return BaselineResult(out, document)


def _train_all(
    baseline: Baseline,
    images: Images,
    classes: list[str],
    seeds: Sequence[int],
    dataset: dict[str, Any],
    out: Path,
    progress: Progress,
) -> tuple[list[_Run], int]:
    import keras
    import tensorflow as tf

    identity = baseline.model_dump(mode="json", exclude=_JUDGING) | {
        "classes": classes,
        "images": images.fingerprint(),
        "TensorFlow": tf.__version__,
        "Keras": keras.__version__,
    }
    runs, parameters = [], 0
    for seed in dict.fromkeys(seeds):
        folder = out / f"seed-{seed}"
        trained = train(baseline, images, classes, seed, folder, identity, progress)
        note_films(folder, MODEL, images, classes, dataset)
        described, _ = describe_model(folder / MODEL, f"seed-{seed}/{MODEL}", classes)
        parameters = trained.model.count_params()
        predict = predictor(trained.model, baseline.network.side, baseline.batch)
        runs.append(_Run(described, seed, trained.history, predict(images.whole)))
        # A model, its optimizer and its gradients are a gigabyte.
        del trained, predict
        keras.backend.clear_session()
        gc.collect()
    for name in (MODEL, TRAINED_ON):
        _link(out / f"seed-{runs[0].seed}" / name, out / name)
    return runs, parameters


def _link(model: Path, path: Path) -> None:
    # One name renamed to another of the same file would stay where it is.
    if path.exists() and path.samefile(model):
        return
    with explaining_full_disk(path, kept=str(model)), replacing(path) as temporary:
        try:
            os.link(model, temporary)
        except OSError:  # not every file system has hard links
            shutil.copyfile(model, temporary)


def _document(
    recipe: Recipe, baseline: Baseline, images: Images, runs: Sequence[_Run], dataset: dict[str, Any]
) -> dict[str, Any]:
    measured = [_measured(run, baseline, images, recipe.classes) for run in runs]
    counts = images.table.groupby(["split", "label"]).size()
    recall: dict[str, Any] = {
        name: _mean([run["classes"][name]["recall"]["value"] for run in measured])["mean"]
        for name in recipe.classes
    }
    summary: dict[str, Any] = {
        "metrics": {
            row: {
                name: _mean([run["metrics"][row][name] for run in measured])
                for name in ("loss", "accuracy", "precision", "recall")
            }
            for row in measured[0]["metrics"]
        },
        "probability": {
            name: _mean([run["probability"][name]["mean"] for run in measured]) for name in recipe.classes
        },
        "confusion": {
            name: np.mean([run["confusion"][name] for run in measured], axis=0).tolist()
            for name in recipe.classes
        },
        "confusion_sd": {
            name: np.std([run["confusion"][name] for run in measured], axis=0, ddof=1).tolist()
            for name in recipe.classes
        }
        if len(measured) > 1
        else None,
    }
    accuracy = summary["metrics"]["test"]["accuracy"]["mean"]
    seconds = [row["seconds"]["train"] for run in runs for row in run.history]
    return {
        "format": 1,
        "recipe": {"name": recipe.name, "version": recipe.version},
        "classes": recipe.classes,
        "dataset": dataset
        | {
            "counts": {
                part: {name: int(counts.get((part, name), 0)) for name in recipe.classes}
                for part in images.parts
            },
            "images_sha256": images.fingerprint(),
        },
        "settings": baseline.model_dump(mode="json"),
        "gate": check_gate(baseline.gate, accuracy, recall),
        "summary": summary,
        "runs": measured,
        "timing": {"seconds_per_epoch": float(np.median(seconds)) if seconds else None},
    }


def _measured(run: _Run, baseline: Baseline, images: Images, classes: list[str]) -> dict[str, Any]:
    test = images.rows("test")
    labels, probabilities = images.labels[test], run.probabilities[test]
    subsets = {part: images.rows(part) for part in images.parts if part != "train"}
    if baseline.focus is not None:
        subsets[baseline.focus] = test[labels == classes.index(baseline.focus)]
    metrics = {"train": run.history[-1]["train"]} if run.history else {}
    for name, rows in subsets.items():
        figures_ = measure(images.labels[rows], run.probabilities[rows], baseline.label_smoothing)
        again = measure_again(images.labels[rows], run.probabilities[rows], baseline.label_smoothing)
        cross_check(figures_, again)
        metrics[name] = figures_
    groups = images.table["group"].iloc[test].tolist()
    of_class = class_figures(labels, probabilities, groups, resamples=baseline.resamples)
    counts = confusion(labels, probabilities)
    return {
        "seed": run.seed,
        "model": run.model,
        "metrics": metrics,
        "probability": {
            name: dict(
                zip(
                    ("mean", "low", "high"),
                    probability_of_truth(labels[labels == k], probabilities[labels == k]),
                    strict=True,
                )
            )
            for k, name in enumerate(classes)
        },
        "confusion": {name: counts[k].tolist() for k, name in enumerate(classes)},
        "classes": dict(zip(classes, of_class, strict=True)),
        "reliability": reliability(labels, probabilities),
        "worst": [
            images.table["image_id"].iat[test[row]]
            for row in worst_mistakes(images.table.iloc[test], labels, probabilities)
        ],
        "history": run.history,
    }


def _draw(
    folder: Path,
    baseline: Baseline,
    images: Images,
    runs: Sequence[_Run],
    classes: list[str],
    document: dict[str, Any],
) -> None:
    first = document["runs"][0]
    test = images.rows("test")
    figures.draw_samples(folder / "samples", images, classes)
    figures.draw_network(folder / "network", baseline, len(classes), document["parameters"])
    names = ["samples", "network"]
    if runs[0].history:
        for name in ("accuracy", "loss"):
            figures.draw_epochs(folder / name, {str(run.seed): run.history for run in runs}, name)
            names.append(name)
    counts = np.array([first["confusion"][name] for name in classes])
    figures.draw_confusion(folder / "confusion", counts, classes)
    calibration = first["reliability"]
    figures.draw_reliability(
        folder / "reliability", calibration["bins"], calibration["expected_calibration_error"]
    )
    probabilities = runs[0].probabilities
    worst = test[worst_mistakes(images.table.iloc[test], images.labels[test], probabilities[test])]
    figures.draw_mistakes(folder / "mistakes", images, worst.tolist(), probabilities[worst], classes)
    document["figures"] = [*names, "confusion", "reliability", "mistakes"]


def _write_predictions(path: Path, images: Images, runs: Sequence[_Run], classes: list[str]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    tables = []
    for run in runs:
        columns: dict[str, Any] = {
            "seed": pa.array([run.seed] * len(images.table), pa.int64()),
            **{name: pa.array(images.table[name]) for name in ("image_id", "split", "label")},
            "predicted": pa.array([classes[k] for k in run.probabilities.argmax(axis=1)]),
        }
        columns |= {f"probability_{name}": run.probabilities[:, k] for k, name in enumerate(classes)}
        tables.append(pa.table(columns).replace_schema_metadata(None))
    with replacing(path) as temporary:
        pq.write_table(pa.concat_tables(tables), temporary, compression="zstd")


def _mean(values: Sequence[float]) -> dict[str, float | None]:
    """Return mean and standard deviation; of one value there is no deviation."""
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return {"mean": float(np.mean(values)), "sd": spread}


def _defined(value: Any) -> Any:
    """Return a document with null for figures that are undefined: JSON knows no nan."""
    if isinstance(value, dict):
        return {key: _defined(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_defined(inner) for inner in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _device(tf: Any) -> str:
    devices = tf.config.list_physical_devices("GPU")
    if devices:
        return str(tf.config.experimental.get_device_details(devices[0]).get("device_name", "GPU"))
    return f"{len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()} CPU cores"
