"""`train-baseline` from a build to its report: repeatable, resumable, honest about what fell short."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from command import run

from cxrbuild.baseline import BaselineResult, train_baseline
from cxrbuild.baseline.training import CHECKPOINT, HISTORY
from cxrbuild.catalog import Recipe, read_recipe
from cxrbuild.errors import CxrbuildError
from cxrbuild.files import read_json, sha256_of
from cxrbuild.records import read_records

# TensorFlow takes seconds to load: all its tests in one worker.
pytestmark = pytest.mark.xdist_group("tensorflow")

SMALL = """
[baseline]
epochs = 8
batch = 16
class_weights = { "COVID-19" = 10, "Normal" = 3 }
learning_rate = [{ from_epoch = 1, rate = 4e-3 }, { from_epoch = 4, rate = 2e-3 }]
focus = "COVID-19"
resamples = 50

[baseline.network]
side = 16
blocks = [{ filters = 4, convolutions = 1 }, { filters = 4, convolutions = 2 }]
dense = [{ units = 8, dropout = 0.5 }]

[baseline.augmentation]
side = 20

[baseline.gate]
accuracy = 1.0
tolerance = 0.0
recall = { "Normal" = 0.0 }

[baseline.published]
where = "a paper"
metrics = { test = { loss = 0.5, accuracy = 0.9, precision = 0.9, recall = 0.9 } }
probability = { "Normal" = [0.6, 0.5, 0.7] }
confusion = { "COVID-19" = [5, 1, 0], "Normal" = [0, 4, 0], "Pneumonia" = [0, 1, 4] }
"""


@pytest.fixture(scope="module")
def declared(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's recipe with a baseline that trains in seconds."""
    folder = shutil.copytree(demo / "declared", tmp_path_factory.mktemp("baseline") / "declared")
    recipe = folder / "recipe.toml"
    recipe.write_text(recipe.read_text() + SMALL)
    return recipe


@pytest.fixture(scope="module")
def recipe(declared: Path) -> Recipe:
    return read_recipe(str(declared))


@pytest.fixture(scope="module")
def trained(demo: Path, recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> BaselineResult:
    """Two seeds, trained without a break."""
    return train_baseline(demo / "build", tmp_path_factory.mktemp("out"), recipe, seeds=[1, 2])


def weights(model: Path) -> list[np.ndarray]:
    import keras

    return keras.saving.load_model(model).get_weights()


def same(one: Path, other: Path) -> bool:
    return all((a == b).all() for a, b in zip(weights(one), weights(other), strict=True))


def test_the_results_are_all_there(demo: Path, trained: BaselineResult) -> None:
    out, metrics = trained.out, trained.metrics
    assert metrics == read_json(out / "metrics.json")
    assert {path.name for path in (out / "figures").iterdir()} == {
        f"{name}.{suffix}"
        for name in ("samples", "network", "accuracy", "loss", "confusion", "reliability", "mistakes")
        for suffix in ("png", "svg")
    }
    for seed in (1, 2):
        folder = out / f"seed-{seed}"
        assert not (folder / CHECKPOINT).exists()
        assert {path.name for path in (folder / "tensorboard").iterdir()} == {"train", "test"}
    assert same(out / "model.keras", out / "seed-1" / "model.keras")
    assert not same(out / "model.keras", out / "seed-2" / "model.keras")
    assert metrics["dataset"]["counts"] == read_json(demo / "build" / "build.json")["counts"]
    assert metrics["dataset"]["manifest_sha256"] == sha256_of(demo / "build" / "manifest.parquet")
    assert metrics["settings"]["batch"] == 16
    assert [run["seed"] for run in metrics["runs"]] == [1, 2]
    rates = [row["learning_rate"] for row in metrics["runs"][0]["history"]]
    assert rates == [4e-3] * 3 + [2e-3] * 5


def test_it_learns(trained: BaselineResult) -> None:
    history = trained.metrics["runs"][0]["history"]
    assert history[-1]["train"]["loss"] < 0.9 * history[0]["train"]["loss"]


def test_predictions_say_what_the_metrics_say(demo: Path, trained: BaselineResult) -> None:
    predictions = pd.read_parquet(trained.out / "predictions.parquet")
    manifest = read_records(demo / "build" / "manifest.parquet")
    assert len(predictions) == 2 * len(manifest)
    probabilities = predictions.filter(like="probability_")
    assert list(probabilities) == [f"probability_{name}" for name in ("COVID-19", "Normal", "Pneumonia")]
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    for one in trained.metrics["runs"]:
        test = predictions[(predictions["seed"] == one["seed"]) & (predictions["split"] == "test")]
        merged = test.merge(manifest, on="image_id", suffixes=("", "_in_manifest"))
        assert len(merged) == len(test) == (manifest["split"] == "test").sum()
        assert (merged["label"] == merged["label_in_manifest"]).all()
        right = (test["label"] == test["predicted"]).mean()
        assert one["metrics"]["test"]["accuracy"] == pytest.approx(right)
        assert one["history"][-1]["test"] == one["metrics"]["test"]
        table = pd.crosstab(test["label"], test["predicted"]).reindex(
            columns=list(one["confusion"]), fill_value=0
        )
        assert {name: table.loc[name].tolist() for name in table.index} == one["confusion"]
        covid = test[test["label"] == "COVID-19"]
        assert one["probability"]["COVID-19"]["mean"] == pytest.approx(covid["probability_COVID-19"].mean())
        assert one["metrics"]["COVID-19"]["accuracy"] == pytest.approx(
            (covid["label"] == covid["predicted"]).mean()
        )


def test_the_report_stands_beside_the_paper(trained: BaselineResult) -> None:
    report = (trained.out / "report.md").read_text()
    summary = trained.metrics["summary"]
    accuracy = summary["metrics"]["test"]["accuracy"]
    mean, deviation = accuracy["mean"], accuracy["sd"]
    assert f"|  | accuracy | 0.9000 | {mean:.4f} ± {deviation:.4f} | {mean - 0.9:+.4f} |" in report
    assert "| COVID-19 of test | loss |" in report
    values = [run["metrics"]["test"]["accuracy"] for run in trained.metrics["runs"]]
    assert mean == pytest.approx(np.mean(values))
    assert deviation == pytest.approx(np.std(values, ddof=1))
    assert f"| Normal | {summary['confusion']['Normal'][0]:.1f} (0) |" in report
    for picture in ("samples", "network", "accuracy", "loss", "confusion", "reliability", "mistakes"):
        assert f"(figures/{picture}.png)" in report
    assert "Gate: **fell short**" in report
    assert "- **short**: test accuracy" in report
    assert "- reached: recall of Normal" in report


def test_a_seed_is_repeatable_to_the_bit_and_what_is_done_is_not_done_again(
    demo: Path, recipe: Recipe, trained: BaselineResult, tmp_path: Path
) -> None:
    shutil.copytree(trained.out / "seed-1", tmp_path / "seed-1")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "seed-1").iterdir()}
    again = train_baseline(demo / "build", tmp_path, recipe, seeds=[1, 2])
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "seed-1").iterdir()} == before
    train_baseline(demo / "build", tmp_path, recipe, seeds=[1, 2])
    assert not list(tmp_path.rglob(".*.part"))
    assert same(tmp_path / "seed-2" / "model.keras", trained.out / "seed-2" / "model.keras")
    assert timeless(again.metrics) == timeless(trained.metrics)
    for name in (
        "predictions.parquet",
        "figures/accuracy.svg",
        "figures/mistakes.png",
        "figures/mistakes.svg",
    ):
        assert sha256_of(tmp_path / name) == sha256_of(trained.out / name), name


def timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: timeless(inner) for key, inner in value.items() if "seconds" not in key}
    return [timeless(inner) for inner in value] if isinstance(value, list) else value


def test_another_training_is_not_overwritten(demo: Path, recipe: Recipe, trained: BaselineResult) -> None:
    with pytest.raises(CxrbuildError) as error:
        train_baseline(demo / "build", trained.out, recipe, epochs=2, seeds=[1])
    assert "this folder holds a training of another kind. Expected: epochs 2. Found: epochs 8" in str(
        error.value
    )
    assert str(trained.out / "seed-1" / HISTORY) in str(error.value)


def test_a_killed_run_goes_on_and_ends_with_the_same_weights(
    demo: Path, declared: Path, recipe: Recipe, trained: BaselineResult, tmp_path: Path
) -> None:
    """Killed in the middle; then the disk is full; then it goes on to the end."""
    command = [sys.executable, "-m", "cxrbuild", "train-baseline", "--build", demo / "build"]
    command += ["--recipe", declared, "--out", tmp_path, "--seed", "1", "--quiet"]
    checkpoint = tmp_path / "seed-1" / CHECKPOINT
    running = subprocess.Popen(command, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 600
    while not checkpoint.exists():
        assert running.poll() is None, running.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    running.send_signal(signal.SIGKILL)
    running.communicate()
    assert not (tmp_path / "seed-1" / HISTORY).exists()
    held = sha256_of(checkpoint)

    full = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"COLUMNS": "1000"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)),
    )
    assert full.returncode == 1
    assert f"{checkpoint}: cannot be written. Found: File too large" in full.stderr
    assert "kept: the checkpoint of the epoch before" in full.stderr
    assert "Traceback" not in full.stderr
    assert sha256_of(checkpoint) == held
    assert [path.name for path in checkpoint.parent.glob("*.npz*")] == [CHECKPOINT]

    result = train_baseline(demo / "build", tmp_path, recipe, seeds=[1])
    assert same(tmp_path / "model.keras", trained.out / "seed-1" / "model.keras")
    assert [row["epoch"] for row in result.metrics["runs"][0]["history"]] == list(range(1, 9))


def test_evaluate_only_judges_a_saved_model(
    demo: Path, declared: Path, trained: BaselineResult, tmp_path: Path
) -> None:
    model = trained.out / "seed-2" / "model.keras"
    words = ("train-baseline", "--build", demo / "build", "--recipe", declared, "--out", tmp_path)
    ran = run(*words, "--evaluate-only", model, "--gate", "--json")
    assert ran.status == 3
    found = trained.metrics["runs"][1]["metrics"]["test"]
    assert "the baseline fell short of the gate: test accuracy." in " ".join(ran.err.split())
    document = json.loads(ran.out)
    assert document["runs"][0]["metrics"]["test"] == pytest.approx(found, rel=1e-6)
    assert document["runs"][0]["history"] == []
    assert not document["gate"]["passed"]
    assert document["figures"] == ["samples", "network", "confusion", "reliability", "mistakes"]
    assert {path.name for path in tmp_path.iterdir()} == {
        ".cxrbuild.lock", "figures", "metrics.json", "predictions.parquet", "report.md",
    }  # fmt: skip


def test_what_is_not_there_is_told_and_not_made(demo: Path, recipe: Recipe, tmp_path: Path) -> None:
    build = tmp_path / "absent"
    with pytest.raises(CxrbuildError, match=f"{build}: no such build. Run `cxrbuild curate`"):
        train_baseline(build, build / "baseline", recipe)
    assert not build.exists()
    model = tmp_path / "absent.keras"
    with pytest.raises(CxrbuildError, match=f"{model}: no such model"):
        train_baseline(demo / "build", tmp_path / "out", recipe, evaluate_only=model)


def test_without_tensorflow_the_extra_is_named(demo: Path, declared: Path, tmp_path: Path) -> None:
    (tmp_path / "keras.py").write_text("raise ImportError('No module named keras')")
    ran = run("train-baseline", "--build", demo / "build", "--recipe", declared, "--out", tmp_path / "out",
              PYTHONPATH=str(tmp_path))  # fmt: skip
    assert ran.status == 1
    assert "Install them: pip install 'cxrbuild[train]'" in " ".join(ran.err.split())
    assert "Traceback" not in ran.err
