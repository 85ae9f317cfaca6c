"""`train-baseline` from a build to its report: repeatable, resumable, honest about what fell short."""

from __future__ import annotations

import json
import os
import re
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
from click.testing import CliRunner, Result
from command import run

from cxrbuild.baseline import BaselineResult, train_baseline
from cxrbuild.baseline.report import write_report
from cxrbuild.baseline.trained_on import trained_on_of
from cxrbuild.baseline.training import CHECKPOINT, HISTORY
from cxrbuild.catalog import Recipe, read_recipe
from cxrbuild.cli.main import cli
from cxrbuild.errors import CxrbuildError
from cxrbuild.files import read_json, sha256_of
from cxrbuild.records import read_records, write_records
from cxrbuild.releasing import release

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


def on_a_full_disk(command: list[object], most: int) -> str:
    """Run a command that can write files of so many bytes at the most; return what it says."""
    full = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"COLUMNS": "1000"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most)),
    )
    assert full.returncode == 1
    assert "Traceback" not in full.stderr
    # One paragraph, and nothing of TensorFlow's beside it.
    assert len(full.stderr.splitlines()) == 1, full.stderr
    return full.stderr


def run_here(*words: object) -> Result:
    """Run a command in this process, where TensorFlow is loaded already, in a wide terminal."""
    return CliRunner().invoke(cli, [str(word) for word in words], env={"COLUMNS": "1000"})


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
    counts, spread = summary["confusion"]["Normal"], summary["confusion_sd"]["Normal"]
    assert f"| Normal | {counts[0]:.1f} ± {spread[0]:.1f} (0) |" in report
    each = [one["confusion"]["Normal"] for one in trained.metrics["runs"]]
    assert spread == pytest.approx(np.std(each, axis=0, ddof=1))
    for picture in ("samples", "network", "accuracy", "loss", "confusion", "reliability", "mistakes"):
        assert f"(figures/{picture}.png)" in report
    assert "Gate: **fell short**" in report
    assert "- **short**: test accuracy" in report
    assert "- reached: recall of Normal" in report
    assert report.startswith("# Baseline on demo-cxr 1.0.0\n")
    for one in trained.metrics["runs"]:
        file, sha256 = one["model"]["file"], one["model"]["sha256"]
        assert f"- `{file}`, SHA-256 `{sha256}`, trained on 74 images" in report


def test_lines_of_other_seeds_are_explained(trained: BaselineResult) -> None:
    report = (trained.out / "report.md").read_text()
    assert "Pictures are of seed 1, but for accuracy and loss by epoch, which show every seed." in report
    for name in ("accuracy", "loss"):
        drawn = (trained.out / "figures" / f"{name}.svg").read_text()
        # Matplotlib leaves a text that it draws as paths in a comment.
        assert [
            words for words in ("train", "test", "seed 1", "seed 2") if f"<!-- {words} -->" not in drawn
        ] == []
    assert report.count("Strong with dots: seed 1; thin: seed 2.") == 2


def test_the_papers_tables_are_named_only_where_it_is_the_papers_dataset(trained: BaselineResult) -> None:
    metrics = trained.metrics | {"settings": trained.metrics["settings"] | {"published": None}}
    report = write_report(metrics, ["The films are drawn."])
    for words in ("Table", "(Figure", "published |", "difference"):
        assert words not in report
        assert words in (trained.out / "report.md").read_text()
    assert "The recipe declares no published figures." in report
    assert "\n\n- The films are drawn.\n" in report
    assert "hospital" not in report


def test_what_it_was_trained_on_stands_beside_each_model(demo: Path, trained: BaselineResult) -> None:
    manifest = read_records(demo / "build" / "manifest.parquet").sort_values("image_id")
    train = manifest[manifest["split"] == "train"]
    for folder in (trained.out, trained.out / "seed-1", trained.out / "seed-2"):
        told = trained_on_of(
            folder / "model.keras", sha256_of(folder / "model.keras"), trained.metrics["classes"]
        )
        for name in ("image_id", "source", "patient_id", "group", "label"):
            assert told.films[name].tolist() == train[name].tolist()
        assert told.films["sha256"].tolist() == train["jpeg_sha256"].tolist()
        assert told.summary()["dataset"] == {"name": "demo-cxr", "version": "1.0.0"}
        assert told.summary() == trained.metrics["runs"][0]["model"]["trained_on"]


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
        # Keras writes the date into a model's file.
        kept = [key for key in value if "seconds" not in key and key != "sha256"]
        return {key: timeless(value[key]) for key in kept}
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

    full = on_a_full_disk(command, 4096)
    assert f"{checkpoint}: cannot be written. Found: File too large" in full
    assert "kept: the checkpoint of the epoch before" in full
    # Fuller yet: TensorBoard's logs, which TensorFlow itself writes, are begun before the checkpoint.
    full = on_a_full_disk(command, 10)
    logs = tmp_path / "seed-1" / "tensorboard"
    assert f"{logs}: cannot be written. Found: File too large; kept: the last checkpoint" in full
    assert sha256_of(checkpoint) == held
    assert [path.name for path in checkpoint.parent.glob("*.npz*")] == [CHECKPOINT]

    result = train_baseline(demo / "build", tmp_path, recipe, seeds=[1])
    assert same(tmp_path / "model.keras", trained.out / "seed-1" / "model.keras")
    assert [row["epoch"] for row in result.metrics["runs"][0]["history"]] == list(range(1, 9))


def test_a_disk_too_full_for_the_report_is_told(
    demo: Path, declared: Path, trained: BaselineResult, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "cxrbuild", "train-baseline", "--build", demo / "build", "--quiet"]
    command += ["--recipe", declared, "--out", tmp_path, "--evaluate-only", trained.out / "model.keras"]
    # The least figure has some 8,000 bytes.
    full = on_a_full_disk(command, 2000)
    assert f"{tmp_path}: cannot be written. Found: File too large; kept: " in full
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [".cxrbuild.lock"]


def test_a_recipe_of_one_class_is_refused_before_anything_is_loaded(demo: Path, tmp_path: Path) -> None:
    declared = tmp_path / "one.toml"
    declared.write_text(
        """
name = "demo-cxr"
version = "1.0.0"
title = "One class"
sources = ["cohen"]
labels = { "COVID-19" = { cohen = ["COVID-19"] } }
rules = [{ name = "other", kind = "labelled", reason = "Other." }]
split = { salt = "one" }
"""
    )
    # Neither is there to be loaded.
    for name in ("keras", "tensorflow"):
        (tmp_path / f"{name}.py").write_text(f"raise ImportError('No module named {name}')")
    ran = run("train-baseline", "--build", demo / "build", "--recipe", declared, "--out", tmp_path / "out",
              PYTHONPATH=str(tmp_path), COLUMNS="1000")  # fmt: skip
    assert ran.status == 1
    assert "demo-cxr: there is nothing for a model to tell apart. Expected: two classes or more" in ran.err
    assert "Found: COVID-19." in ran.err
    assert not (tmp_path / "out").exists()


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


@pytest.fixture
def parted_anew(demo: Path, tmp_path: Path) -> Path:
    """The same films in other parts: all of some patients of train went to test."""
    build = Path(shutil.copytree(demo / "build", tmp_path / "parted"))
    records = read_records(build / "manifest.parquet")
    train = records[(records["split"] == "train") & (records["label"] == "COVID-19")]
    moved = records["group"].isin(train["group"].unique()[:3])
    records.loc[moved, "split"] = "test"
    write_records(build / "manifest.parquet", records)
    return build


def test_a_saved_model_is_not_tested_on_what_it_was_trained_on(
    parted_anew: Path, declared: Path, trained: BaselineResult, tmp_path: Path
) -> None:
    records = read_records(parted_anew / "manifest.parquet")
    model = trained.out / "model.keras"
    words = ("train-baseline", "--build", parted_anew, "--recipe", declared, "--out", tmp_path / "out")
    words += ("--evaluate-only", model)
    refused = run_here(*words).exception
    assert isinstance(refused, CxrbuildError)
    tested = records[(records["split"] == "test") & (records["label"] == "COVID-19")]
    count = len(tested) - 6
    assert count > 2
    assert f"{model}: the test would leak: the model was trained on films of these patients" in str(refused)
    assert f"Found: test COVID-19 {count} of {len(tested)}: " in str(refused)
    assert "Add --leave-out-seen" in str(refused)
    assert not (tmp_path / "out" / "metrics.json").exists()

    ran = run_here(*words, "--leave-out-seen")
    assert ran.exit_code == 0, ran.exception
    assert f"COVID-19 {count} of {len(tested)}, Normal 0 of 4, Pneumonia 0 of 5." in ran.output
    metrics = read_json(tmp_path / "out" / "metrics.json")
    assert metrics["dataset"]["left_out"] == {"test": {"COVID-19": count, "Normal": 0, "Pneumonia": 0}}
    # What is left are the test films of the training.
    assert metrics["dataset"]["counts"]["test"] == trained.metrics["dataset"]["counts"]["test"]
    first = trained.metrics["runs"][0]["metrics"]["test"]
    assert metrics["runs"][0]["metrics"]["test"] == pytest.approx(first, rel=1e-6)
    assert metrics["runs"][0]["model"]["sha256"] == sha256_of(model)
    report = (tmp_path / "out" / "report.md").read_text()
    assert (
        f"- `{model}`, SHA-256 `{sha256_of(model)}`, trained on 74 images of 59 patients of demo-cxr"
        in report
    )
    assert (
        f"- Left out of test, because the model was trained on films of these patients: COVID-19 {count}."
        in report
    )


def test_a_model_of_unknown_training_is_evaluated_and_said_to_be(
    demo: Path, declared: Path, trained: BaselineResult, tmp_path: Path
) -> None:
    model = shutil.copy(trained.out / "model.keras", tmp_path / "alone.keras")
    words = ("train-baseline", "--build", demo / "build", "--recipe", declared, "--out", tmp_path / "out")
    ran = run_here(*words, "--evaluate-only", model)
    assert ran.exit_code == 0, ran.exception
    assert (
        "What this model was trained on is not known, for no trained_on.parquet stands beside it"
        in ran.output
    )
    report = (tmp_path / "out" / "report.md").read_text()
    assert "**it may have been trained on images of this test**" in report
    assert read_json(tmp_path / "out" / "metrics.json")["runs"][0]["model"]["trained_on"] is None


def test_a_build_of_another_recipe_is_refused(demo: Path, tmp_path: Path) -> None:
    ran = run("train-baseline", "--build", demo / "build", "--out", tmp_path / "out", COLUMNS="1000")
    assert ran.status == 1
    assert (
        f"{demo / 'build'}: the build is another recipe's. Expected: covid19-cxr. Found: demo-cxr." in ran.err
    )
    assert not (tmp_path / "out").exists()


def test_a_gate_is_declared_and_says_that_it_is_reached(
    demo: Path, declared: Path, trained: BaselineResult, tmp_path: Path
) -> None:
    words = ("train-baseline", "--build", demo / "build", "--gate", "--out", tmp_path / "out")
    ran = run(*words, "--recipe", demo / "declared" / "recipe.toml", COLUMNS="1000")
    assert ran.status == 1
    assert "demo-cxr: the recipe declares no gate. Expected: [baseline.gate] with accuracy" in ran.err
    assert "Found: no [baseline]. Declare one in the recipe's file, for example `accuracy = 0.85`" in ran.err
    assert not (tmp_path / "out").exists()

    low = Path(shutil.copytree(declared.parent, tmp_path / "low")) / "recipe.toml"
    low.write_text(low.read_text().replace("accuracy = 1.0", "accuracy = 0.1"))
    ran = run_here(*words, "--recipe", low, "--evaluate-only", trained.out / "model.keras")
    assert ran.exit_code == 0, ran.exception
    accuracy = trained.metrics["runs"][0]["metrics"]["test"]["accuracy"]
    assert (
        f"The gate is reached: test accuracy {accuracy:.4f} (at least 0.1000), recall of Normal "
        in ran.output
    )


def test_leaving_out_goes_with_a_saved_model(demo: Path) -> None:
    ran = run("train-baseline", "--build", demo / "build", "--leave-out-seen")
    assert ran.status == 2
    assert "--leave-out-seen goes with --evaluate-only" in ran.err


def test_a_release_tells_rounded_figures_with_their_spread_and_of_how_many_films(
    demo: Path, trained: BaselineResult, tmp_path: Path
) -> None:
    build = Path(shutil.copytree(demo / "build", tmp_path / "build"))
    shutil.copytree(trained.out, build / "baseline")
    release(build, "1.0.0", tmp_path / "release")
    page = (tmp_path / "release" / "report.html").read_text()
    told = page[page.index("<h2>Baseline</h2>") : page.index("<h2>Known biases</h2>")]
    assert re.findall(r"\d\.\d{5,}", told) == []
    assert "Figures are means over the runs, of seeds 1, 2, with the standard deviation after ±" in told
    accuracy = trained.metrics["summary"]["metrics"]["test"]["accuracy"]
    assert f"<td>accuracy</td><td>0.9000</td><td>{accuracy['mean']:.4f} ± {accuracy['sd']:.4f}</td>" in told
    # Of what is undefined there is a dash, and no interval.
    assert "\N{EN DASH}" * 2 not in told
    # Published were 6, 4 and 5 as well.
    assert "test: 15 films, published of 15<" in told
    assert "COVID-19 of test: 6 films, published of 6<" in told
    count, spread = (trained.metrics["summary"][name]["Normal"][0] for name in ("confusion", "confusion_sd"))
    assert f"<td>{count:.1f} ± {spread:.1f}<br>" in told
    recall = trained.metrics["runs"][0]["classes"]["COVID-19"]["recall"]
    assert f"<td>{recall['value']:.3f}<br>" in told
    assert f">{recall['low']:.3f}\N{EN DASH}{recall['high']:.3f}<" in told


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
