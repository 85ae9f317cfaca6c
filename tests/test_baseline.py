"""`train-baseline` from a build to its report: results, equal bytes, resuming, full disks."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from baseline_training import have_equal_weights
from command import run, run_process
from systems import largest_file, needs_kills, needs_limits, needs_links

from cxrbuild.artifact.baseline import BaselineDocument, HistoryDocument, TimingDocument
from cxrbuild.artifact.names import HISTORY, MODEL, TIMING
from cxrbuild.baseline import BaselineResult, train_baseline
from cxrbuild.baseline.folders import choose_folder
from cxrbuild.baseline.report import write_report
from cxrbuild.baseline.trained_on import find_trained_on
from cxrbuild.baseline.training import CHECKPOINT, LOGS
from cxrbuild.catalog import Recipe, read_recipe
from cxrbuild.errors import CxrbuildError
from cxrbuild.explanation import explain
from cxrbuild.files import read_json, sha256_of
from cxrbuild.progress import Silent
from cxrbuild.records import read_records

# TensorFlow takes seconds to load: all its tests run in one worker.
pytestmark = pytest.mark.xdist_group("tensorflow")

FIGURES = ("counts", "samples", "network", "accuracy", "loss", "confusion", "reliability", "mistakes")


def deterministic_files(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file of a result but its times and TensorBoard's logs."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != ".cxrbuild.lock"]
    return {
        path.relative_to(folder).as_posix(): sha256_of(path)
        for path in files
        if path.name != TIMING and LOGS not in path.parts
    }


# The results


def test_a_training_writes_all_results(demo: Path, trained: BaselineResult) -> None:
    out, document = trained.out, trained.document
    assert BaselineDocument.read(out / "metrics.json") == document
    assert trained.to_dict() == read_json(out / "metrics.json") | {
        "out": str(out), "seconds_per_epoch": trained.seconds_per_epoch,
    }  # fmt: skip
    assert {path.name for path in (out / "figures").iterdir()} == {
        f"{name}.{suffix}" for name in FIGURES for suffix in ("png", "svg")
    }
    for seed in (1, 2):
        folder = out / f"seed-{seed}"
        assert not (folder / CHECKPOINT).exists()
        assert {path.name for path in (folder / LOGS).iterdir()} == {"train", "test"}
        assert [row.epoch for row in TimingDocument.read(folder / TIMING).epochs] == [1, 2, 3, 4, 5]
    assert have_equal_weights(out / MODEL, out / "seed-1" / MODEL)
    assert not have_equal_weights(out / MODEL, out / "seed-2" / MODEL)
    assert document.dataset.counts == read_json(demo / "build" / "build.json")["counts"]
    assert document.dataset.manifest_sha256 == sha256_of(demo / "build" / "manifest.parquet")
    assert document.settings.batch == 16
    assert [run.seed for run in document.runs] == [1, 2]
    rates = [epoch.learning_rate for epoch in document.runs[0].history]
    assert rates == [4e-3] * 3 + [2e-3] * 2


def test_the_loss_decreases(trained: BaselineResult) -> None:
    history = trained.document.runs[0].history
    assert history[-1].metrics["train"].loss < 0.9 * history[0].metrics["train"].loss


def test_predictions_agree_with_metrics(demo: Path, trained: BaselineResult) -> None:
    predictions = pd.read_parquet(trained.out / "predictions.parquet")
    manifest = read_records(demo / "build" / "manifest.parquet")
    assert len(predictions) == 2 * len(manifest)
    probabilities = predictions.filter(like="probability_")
    assert list(probabilities) == [f"probability_{name}" for name in ("COVID-19", "Normal", "Pneumonia")]
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    for one in trained.document.runs:
        test = predictions[(predictions["seed"] == one.seed) & (predictions["split"] == "test")]
        merged = test.merge(manifest, on="image_id", suffixes=("", "_in_manifest"))
        assert len(merged) == len(test) == (manifest["split"] == "test").sum()
        assert (merged["label"] == merged["label_in_manifest"]).all()
        right = (test["label"] == test["predicted"]).mean()
        assert one.metrics["test"].accuracy == pytest.approx(right)
        assert one.history[-1].metrics["test"] == one.metrics["test"]
        table = pd.crosstab(test["label"], test["predicted"]).reindex(
            columns=list(one.confusion), fill_value=0
        )
        assert {name: table.loc[name].tolist() for name in table.index} == one.confusion
        covid = test[test["label"] == "COVID-19"]
        assert one.probability["COVID-19"].value == pytest.approx(covid["probability_COVID-19"].mean())
        right = (covid["label"] == covid["predicted"]).mean()
        assert one.metrics["COVID-19"].accuracy == pytest.approx(right)


def test_the_training_images_are_saved_with_each_model(demo: Path, trained: BaselineResult) -> None:
    manifest = read_records(demo / "build" / "manifest.parquet").sort_values("image_id")
    train = manifest[manifest["split"] == "train"]
    for folder in (trained.out, trained.out / "seed-1", trained.out / "seed-2"):
        found = find_trained_on(folder / MODEL, sha256_of(folder / MODEL), trained.document.classes)
        for name in ("image_id", "source", "patient_id", "group", "label"):
            assert found.images[name].tolist() == train[name].tolist()
        assert found.images["sha256"].tolist() == train["jpeg_sha256"].tolist()
        assert found.summary() == trained.document.runs[0].model.trained_on
        assert (found.document.dataset.name, found.document.dataset.version) == ("demo-cxr", "1.0.0")


def test_a_notebook_shows_published_and_measured_figures(trained: BaselineResult) -> None:
    html = trained._repr_html_()
    accuracy = trained.document.summary.metrics["test"].accuracy.mean
    assert "Baseline of demo-cxr 1.0.0; gate not passed" in html
    assert "<td>test, published</td><td>0.5000</td><td>0.9000</td>" in html
    assert f"<td>{accuracy:.4f}</td>" in html
    assert len(html) < 2000


# The report


def test_the_report_compares_with_published_figures(trained: BaselineResult) -> None:
    report = (trained.out / "report.md").read_text()
    summary = trained.document.summary
    accuracy = summary.metrics["test"].accuracy
    mean, deviation = accuracy.mean, accuracy.sd
    assert f"|  | accuracy | 0.9000 | {mean:.4f} ± {deviation:.4f} | {mean - 0.9:+.4f} |" in report
    assert "| COVID-19 of test | loss |" in report
    values = [one.metrics["test"].accuracy for one in trained.document.runs]
    assert mean == pytest.approx(np.mean(values))
    assert deviation == pytest.approx(np.std(values, ddof=1))
    counts, spread = summary.confusion["Normal"], summary.confusion_sd["Normal"]
    assert f"| Normal | {counts[0]:.1f} ± {spread[0]:.1f} (0) |" in report
    each = [one.confusion["Normal"] for one in trained.document.runs]
    assert spread == pytest.approx(np.std(each, axis=0, ddof=1))
    for name in FIGURES:
        assert f"(figures/{name}.png)" in report
    assert "Gate: **failed**" in report
    assert "- **failed**: test accuracy" in report
    assert "- passed: recall of Normal" in report
    assert report.startswith("# Baseline on demo-cxr 1.0.0\n")
    for one in trained.document.runs:
        assert (
            f"- `{one.model.file}`, SHA-256 `{one.model.sha256}`, trained on 74 images of 59 patients"
            in report
        )


def test_the_legend_names_every_seed(trained: BaselineResult) -> None:
    report = (trained.out / "report.md").read_text()
    assert "Drawings are of seed 1, except accuracy and loss by epoch, which show every seed." in report
    for name in ("accuracy", "loss"):
        drawn = (trained.out / "figures" / f"{name}.svg").read_text()
        # Matplotlib repeats a text that it draws as paths in a comment.
        missing = [text for text in ("train", "test", "seed 1", "seed 2") if f"<!-- {text} -->" not in drawn]
        assert missing == []
    assert report.count("Strong with dots: seed 1; thin: seed 2.") == 2


def test_the_report_names_the_papers_tables_only_with_published_figures(trained: BaselineResult) -> None:
    settings = trained.document.settings.model_copy(update={"published": None})
    report = write_report(trained.document.model_copy(update={"settings": settings}), ["A bias."])
    for text in ("Table", "(Figure", "published |", "difference"):
        assert text not in report
        assert text in (trained.out / "report.md").read_text()
    assert "The recipe declares no published figures." in report
    assert "\n\n- A bias.\n" in report


@pytest.mark.parametrize(
    ("published", "shown"),
    [
        # Only the accuracy, as in a protocol that compares networks.
        ({}, False),
        # Of another order than the classes, and with a class more.
        (
            {
                "Pneumonia": [7, 1, 0, 0],
                "Normal": [2, 8, 1, 0],
                "COVID-19": [3, 0, 9, 0],
                "Other": [0, 0, 0, 5],
            },
            True,
        ),
        # Without a class.
        ({"COVID-19": [9, 0], "Normal": [0, 8]}, False),
    ],
)
def test_a_published_matrix_is_compared_class_by_class(
    trained: BaselineResult, published: dict[str, list[int]], shown: bool
) -> None:
    settings = trained.document.settings
    assert settings.published is not None
    other = settings.published.model_copy(update={"confusion": published})
    document = trained.document.model_copy(
        update={"settings": settings.model_copy(update={"published": other})}
    )
    report = write_report(document, [])
    matrix = report.partition("## Confusion")[2].partition("![")[0]
    assert ("(published in brackets)" in matrix) == shown
    assert ("(published: " in matrix) == shown
    (row,) = re.findall(r"^\| Normal \|.*$", matrix, re.MULTILINE)
    # Columns: COVID-19, Normal, Pneumonia.
    assert re.findall(r"\((\d+)\)", row) == (["1", "8", "2"] if shown else [])


# Equal trainings give equal bytes


@pytest.mark.slow
def test_a_training_in_another_process_gives_the_same_bytes(
    demo: Path, small_recipe: Path, trained: BaselineResult, tmp_path: Path
) -> None:
    """The second training runs in a process of its own, seconds later."""
    ran = run_process("train-baseline", "--build", demo / "build", "--recipe", small_recipe,
              "--out", tmp_path / "out", "--seed", 1, "--seed", 2, COLUMNS="1000")  # fmt: skip
    assert ran.status == 0, ran.err
    lines = [line for line in ran.err.splitlines() if " left" not in line and "so far" not in line]
    assert [line.partition(":")[0] for line in lines] == [
        "Stages", "1/6 loading TensorFlow", "2/6 reading images",
        "3/6 training, seed 1", "4/6 training, seed 2", "5/6 measuring", "6/6 drawing figures",
    ]  # fmt: skip
    found, expected = deterministic_files(tmp_path / "out"), deterministic_files(trained.out)
    assert [name for name in expected if found.get(name) != expected[name]] == []
    assert set(found) == set(expected)
    assert {
        "model.keras",
        "metrics.json",
        "report.md",
        "seed-1/history.json",
        "seed-2/trained_on.parquet",
    } < {*found}
    accuracy = trained.document.summary.metrics["test"].accuracy.mean
    assert f"{accuracy:.4f}" in ran.out
    assert f"The report is {tmp_path / 'out' / 'report.md'}" in " ".join(ran.out.split())
    assert "An epoch took 0." in ran.out


@pytest.mark.usefixtures("without_figures")  # those of the copied result stay
def test_a_seed_gives_the_same_bytes_again_and_a_finished_one_is_not_trained(
    demo: Path, recipe: Recipe, trained: BaselineResult, tmp_path: Path
) -> None:
    out = Path(shutil.copytree(trained.out, tmp_path / "out"))
    shutil.rmtree(out / "seed-2")
    # The result does not depend on the times.
    (out / "seed-1" / TIMING).unlink()
    before = {path: path.stat().st_mtime_ns for path in (out / "seed-1").iterdir()}
    result = train_baseline(demo / "build", recipe, out=out, seeds=[1, 2])
    assert {path: path.stat().st_mtime_ns for path in (out / "seed-1").iterdir()} == before
    assert [row.epoch for row in TimingDocument.read(out / "seed-2" / TIMING).epochs] == [1, 2, 3, 4, 5]
    assert result.document == trained.document
    assert deterministic_files(out) == deterministic_files(trained.out)


def test_another_training_is_not_overwritten(demo: Path, recipe: Recipe, trained: BaselineResult) -> None:
    with pytest.raises(CxrbuildError) as error:
        train_baseline(demo / "build", recipe, out=trained.out, epochs=2, seeds=[1])
    assert "this folder holds another training. Expected: epochs 2. Found: epochs 5" in str(error.value)
    assert str(trained.out / "seed-1" / HISTORY) in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not a JSON document"),
        ('{"format": 1, "epochs": []}', "identity: missing"),
        ('{"identity": {}, "epochs": []}', "format: this version of cxrbuild reads 1; found None"),
    ],
)
def test_a_damaged_history_is_an_error_that_names_file_and_key(
    demo: Path, recipe: Recipe, tmp_path: Path, content: str, message: str
) -> None:
    path = tmp_path / "seed-1" / HISTORY
    path.parent.mkdir()
    path.write_text(content)
    with pytest.raises(CxrbuildError) as error:
        train_baseline(demo / "build", recipe, out=tmp_path)
    assert f"{path}: not the history of a training" in str(error.value)
    assert message in str(error.value)


@pytest.mark.slow
@needs_kills
@needs_limits
def test_an_interrupted_run_resumes_and_gives_the_same_bytes(
    demo: Path, small_recipe: Path, recipe: Recipe, trained: BaselineResult, tmp_path: Path
) -> None:
    """The run is killed; then the disk is full, twice; then it resumes to the end."""
    folder = tmp_path / "seed-1"
    checkpoint = folder / CHECKPOINT
    command = [sys.executable, "-m", "cxrbuild", "train-baseline", "--build", demo / "build"]
    command += ["--recipe", small_recipe, "--out", tmp_path, "--quiet"]
    running = subprocess.Popen([str(argument) for argument in command], stderr=subprocess.PIPE)
    deadline = time.monotonic() + 600
    while not checkpoint.exists():
        assert running.poll() is None, running.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    running.send_signal(signal.SIGKILL)
    running.communicate()
    assert not (folder / HISTORY).exists()
    before = sha256_of(checkpoint)

    with largest_file(4096), pytest.raises(CxrbuildError) as error:
        train_baseline(demo / "build", recipe, out=tmp_path)
    assert f"{checkpoint}: cannot be written. Found: File too large" in str(error.value)
    assert "kept: the checkpoint of the previous epoch" in str(error.value)
    # TensorBoard's logs, which TensorFlow writes, are opened before the first epoch.
    with largest_file(10), pytest.raises(CxrbuildError) as error:
        train_baseline(demo / "build", recipe, out=tmp_path)
    assert f"{folder / LOGS}: cannot be written. Found: File too large; kept: the last checkpoint" in str(
        error.value
    )
    assert sha256_of(checkpoint) == before
    assert [path.name for path in folder.glob("*.npz*")] == [CHECKPOINT]

    notes: list[str] = []

    class Noting(Silent):
        def note(self, message: str, /) -> None:
            notes.append(message)

    train_baseline(demo / "build", recipe, out=tmp_path, progress=Noting())
    assert re.fullmatch(r"training, seed 1: resumes after epoch [1-5] of 5\.", *notes)
    train_baseline(demo / "build", recipe, out=tmp_path, progress=Noting())
    assert notes[1:] == ["training, seed 1: finished already, 5 epochs."]
    assert deterministic_files(folder) == deterministic_files(trained.out / "seed-1")
    assert [row.epoch for row in HistoryDocument.read(folder / HISTORY).epochs] == [1, 2, 3, 4, 5]
    assert [row.epoch for row in TimingDocument.read(folder / TIMING).epochs] == [1, 2, 3, 4, 5]
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []


@pytest.mark.slow
@needs_limits
def test_a_full_disk_is_one_message(
    demo: Path, small_recipe: Path, trained: BaselineResult, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "cxrbuild", "train-baseline", "--build", demo / "build", "--quiet"]
    command += ["--recipe", small_recipe, "--out", tmp_path, "--evaluate-only", trained.out / MODEL]
    # The smallest figure has about 8,000 bytes.
    with largest_file(2000):
        ran = subprocess.run(
            [str(argument) for argument in command],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"COLUMNS": "1000"},
        )
    assert ran.returncode == 1
    # One paragraph, without a traceback or messages of TensorFlow.
    assert len(ran.stderr.splitlines()) == 1, ran.stderr
    assert f"{tmp_path}: cannot be written. Found: File too large; kept: " in ran.stderr
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [".cxrbuild.lock"]


def test_a_training_that_diverges_is_an_error(demo: Path, recipe: Recipe, tmp_path: Path) -> None:
    stage = recipe.baseline.learning_rate[0].model_copy(update={"rate": 1e30})
    baseline = recipe.baseline.model_copy(update={"learning_rate": [stage], "epochs": 2})
    with pytest.raises(CxrbuildError) as error:
        train_baseline(demo / "build", recipe.model_copy(update={"baseline": baseline}), out=tmp_path)
    assert "seed 1, epoch 1: the training diverged. Expected: a finite loss" in str(error.value)
    assert "at a learning rate of 1e+30" in str(error.value)
    assert not (tmp_path / "seed-1" / CHECKPOINT).exists()


# Wrong input


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 0}, "invalid number of epochs. Expected: from 1 to 2,000. Found: 0"),
        ({"seeds": []}, "invalid seeds"),
        ({"seeds": [1, -1, 2**31]}, "Found: -1, 2147483648"),
    ],
)
def test_invalid_epochs_and_seeds_are_errors(
    demo: Path, recipe: Recipe, tmp_path: Path, settings: dict, message: str
) -> None:
    with pytest.raises(CxrbuildError) as error:
        train_baseline(demo / "build", recipe, out=tmp_path / "out", **settings)
    assert message in str(error.value)
    assert not (tmp_path / "out").exists()


def test_a_missing_build_or_model_is_an_error_and_creates_no_folder(
    demo: Path, recipe: Recipe, tmp_path: Path
) -> None:
    build = tmp_path / "absent"
    with pytest.raises(CxrbuildError, match=f"{build}: no such build. Run `cxrbuild curate`"):
        train_baseline(build, recipe)
    assert not build.exists()
    model = tmp_path / "absent.keras"
    with pytest.raises(CxrbuildError, match=f"{model}: no such model"):
        train_baseline(demo / "build", recipe, out=tmp_path / "out", evaluate_only=model)
    assert not (tmp_path / "out").exists()


@needs_links
def test_results_are_not_written_among_the_files_of_the_dataset(
    demo: Path, recipe: Recipe, tmp_path: Path
) -> None:
    build = tmp_path / "build"
    build.symlink_to(demo / "build")
    with pytest.raises(CxrbuildError, match="the results would be among the files of the dataset"):
        train_baseline(demo / "build", recipe, out=build)
    with pytest.raises(CxrbuildError, match="the results would be among the files of the dataset"):
        explain(demo / "build", recipe, out=build)


def test_the_results_of_a_release_are_next_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release, build = tmp_path / "demo-1.0.0", tmp_path / "build"
    inner = release / "tfds" / "demo" / "1.0.0"
    for folder in (inner, build):
        folder.mkdir(parents=True)
    for name in ("SHA256SUMS", "build.json"):
        (release / name).touch()
    # A list of hashes of other files.
    (tmp_path / "SHA256SUMS").touch()
    outside = tmp_path / "demo-1.0.0-baseline"
    assert choose_folder(release, "baseline") == outside
    assert choose_folder(inner, "baseline") == outside.resolve()
    assert choose_folder(build, "baseline") == build / "baseline"
    assert choose_folder(release, "baseline", tmp_path / "out") == tmp_path / "out"
    monkeypatch.chdir(release)
    assert choose_folder(Path(), "baseline") == outside.resolve()
    for out in (release, release / "baseline", inner / "new"):
        with pytest.raises(CxrbuildError, match="among the files of the dataset") as error:
            choose_folder(release, "baseline", out)
        assert f"Expected: a folder outside a release. Name another --out, for example {outside}" in str(
            error.value
        )


def test_a_build_is_locked_while_a_model_is_explained(demo: Path, recipe: Recipe, tmp_path: Path) -> None:
    build = Path(shutil.copytree(demo / "build", tmp_path / "build"))
    with in_use(build), pytest.raises(CxrbuildError, match=f"{build}: another cxrbuild command uses this"):
        explain(build, recipe, without_masks=True)


def test_a_build_that_is_being_written_is_an_error(demo: Path, recipe: Recipe, tmp_path: Path) -> None:
    build = Path(shutil.copytree(demo / "build", tmp_path / "build"))
    with in_use(build), pytest.raises(CxrbuildError, match=f"{build}: another cxrbuild command uses this"):
        train_baseline(build, recipe)


@contextmanager
def in_use(folder: Path) -> Iterator[None]:
    """Lock a folder in another process."""
    holder = "from cxrbuild.files import locked; from pathlib import Path; import sys\n"
    holder += "with locked(Path(sys.argv[1])): print(1, flush=True); sys.stdin.read()"
    other = subprocess.Popen(
        [sys.executable, "-c", holder, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        other.stdout.readline()
        yield
    finally:
        other.communicate()


def test_a_recipe_of_one_class_is_an_error(demo: Path, tmp_path: Path) -> None:
    path = tmp_path / "one.toml"
    path.write_text(
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
    with pytest.raises(CxrbuildError) as error:
        train_baseline(demo / "build", read_recipe(str(path)), out=tmp_path / "out")
    assert "demo-cxr: a model needs two classes to distinguish. Expected: two classes or more" in str(
        error.value
    )
    assert "Found: COVID-19." in str(error.value)
    assert not (tmp_path / "out").exists()


def test_without_tensorflow_the_error_names_the_extra(
    demo: Path, small_recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "keras.py").write_text("raise ImportError('No module named keras')")
    monkeypatch.delitem(sys.modules, "keras", raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    ran = run(
        "train-baseline", "--build", demo / "build", "--recipe", small_recipe, "--out", tmp_path / "out"
    )
    assert ran.status == 1
    assert 'Install them: pip install "cxrbuild[train]"' in ran.err
    assert "Traceback" not in ran.err
