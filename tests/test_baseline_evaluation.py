"""`train-baseline --evaluate-only`: a saved model on other data, the gate, and the report of a release."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from command import run

from cxrbuild.artifact.baseline import BaselineDocument
from cxrbuild.baseline import BaselineResult, train_baseline
from cxrbuild.catalog import Recipe
from cxrbuild.cli.main import cli
from cxrbuild.errors import CheckError, CxrbuildError
from cxrbuild.files import sha256_of
from cxrbuild.records import read_records, write_records
from cxrbuild.releasing import release

pytestmark = pytest.mark.xdist_group("tensorflow")


def run_here(*words: object) -> Result:
    """Run a command in this process, where TensorFlow is loaded already, in a wide terminal."""
    return CliRunner().invoke(cli, [str(word) for word in words], env={"COLUMNS": "1000"})


@pytest.mark.usefixtures("drawn_figures")
def test_a_saved_model_is_evaluated(
    demo: Path, small_recipe: Path, trained: BaselineResult, tmp_path: Path
) -> None:
    model = trained.out / "seed-2" / "model.keras"
    ran = run_here("train-baseline", "--build", demo / "build", "--recipe", small_recipe, "--out", tmp_path,
                   "--evaluate-only", model, "--gate", "--json")  # fmt: skip
    assert isinstance(ran.exception, CheckError)
    assert "the baseline is below the gate: test accuracy." in str(ran.exception)
    printed = json.loads(ran.stdout)
    assert printed.pop("schema") == "train-baseline-1"
    assert printed.pop("out") == str(tmp_path)
    assert printed.pop("seconds_per_epoch") is None
    document = BaselineDocument.parse(printed, tmp_path)
    assert document == BaselineDocument.read(tmp_path / "metrics.json")
    expected = trained.document.runs[1].metrics["test"].model_dump()
    assert document.runs[0].metrics["test"].model_dump() == pytest.approx(expected, rel=1e-6)
    assert document.runs[0].history == []
    assert not document.gate.passed
    assert document.figures == ["counts", "samples", "network", "confusion", "reliability", "mistakes"]
    assert {path.name for path in tmp_path.iterdir()} == {
        ".cxrbuild.lock", "figures", "metrics.json", "predictions.parquet", "report.md",
    }  # fmt: skip
    assert (tmp_path / "report.md").read_text().count("A saved model, not trained here; ") == 1


@pytest.fixture
def other_split(demo: Path, tmp_path: Path) -> Path:
    """A build of the same images with another split: some patients of train are in test."""
    build = Path(shutil.copytree(demo / "build", tmp_path / "other"))
    records = read_records(build / "manifest.parquet")
    train = records[(records["split"] == "train") & (records["label"] == "COVID-19")]
    moved = records["group"].isin(train["group"].unique()[:3])
    records.loc[moved, "split"] = "test"
    write_records(build / "manifest.parquet", records)
    return build


@pytest.mark.usefixtures("without_figures")
def test_a_saved_model_is_not_tested_on_its_training_images(
    other_split: Path, small_recipe: Path, trained: BaselineResult, tmp_path: Path
) -> None:
    records = read_records(other_split / "manifest.parquet")
    model = trained.out / "model.keras"
    command = ("train-baseline", "--build", other_split, "--recipe", small_recipe, "--out", tmp_path / "out")
    command += ("--evaluate-only", model)
    error = run_here(*command).exception
    assert isinstance(error, CxrbuildError)
    tested = records[(records["split"] == "test") & (records["label"] == "COVID-19")]
    count = len(tested) - 6
    assert count > 2
    assert f"{model}: leakage: the model was trained on images of patients in the test" in str(error)
    assert f"Found: test COVID-19 {count} of {len(tested)}: " in str(error)
    assert "Add --exclude-seen" in str(error)
    assert not (tmp_path / "out" / "metrics.json").exists()

    ran = run_here(*command, "--exclude-seen")
    assert ran.exit_code == 0, ran.exception
    assert f"COVID-19 {count} of {len(tested)}, Normal 0 of 4, Pneumonia 0 of 5." in ran.output
    document = BaselineDocument.read(tmp_path / "out" / "metrics.json")
    assert document.dataset.excluded_as_seen == {"test": {"COVID-19": count, "Normal": 0, "Pneumonia": 0}}
    # The test images of the training remain.
    assert document.dataset.counts["test"] == trained.document.dataset.counts["test"]
    expected = trained.document.runs[0].metrics["test"].model_dump()
    assert document.runs[0].metrics["test"].model_dump() == pytest.approx(expected, rel=1e-6)
    assert document.runs[0].model.sha256 == sha256_of(model)
    # A release must not have the names of private folders.
    assert str(tmp_path) not in (tmp_path / "out" / "metrics.json").read_text()
    report = (tmp_path / "out" / "report.md").read_text()
    assert (
        f"- `model.keras`, SHA-256 `{sha256_of(model)}`, trained on 74 images of 59 patients of demo-cxr"
        in report
    )
    assert (
        f"- Excluded from test, because the model was trained on images of these patients: COVID-19 {count}."
        in report
    )


@pytest.mark.usefixtures("without_figures")
def test_a_model_with_unknown_training_images_passes_a_gate_and_is_reported(
    demo: Path, small_recipe: Path, trained: BaselineResult, tmp_path: Path
) -> None:
    low = Path(shutil.copytree(small_recipe.parent, tmp_path / "low")) / "recipe.toml"
    low.write_text(low.read_text().replace("accuracy = 1.0", "accuracy = 0.1"))
    model = shutil.copy(trained.out / "model.keras", tmp_path / "alone.keras")
    ran = run_here("train-baseline", "--build", demo / "build", "--gate", "--recipe", low,
                   "--out", tmp_path / "out", "--evaluate-only", model)  # fmt: skip
    assert ran.exit_code == 0, ran.exception
    accuracy = trained.document.runs[0].metrics["test"].accuracy
    assert (
        f"The gate is passed: test accuracy {accuracy:.4f} (at least 0.1000), recall of Normal " in ran.output
    )
    assert "because there is no trained_on.parquet next to it: they may include images of this" in ran.output
    report = (tmp_path / "out" / "report.md").read_text()
    assert "**they may include images of this test**" in report
    document = BaselineDocument.read(tmp_path / "out" / "metrics.json")
    assert document.runs[0].model.trained_on is None


def test_a_model_that_predicts_nan_is_an_error(
    demo: Path, recipe: Recipe, trained: BaselineResult, tmp_path: Path
) -> None:
    import keras
    import numpy as np

    from cxrbuild.baseline.model import save_model

    model = keras.saving.load_model(trained.out / "model.keras")
    model.set_weights([np.full_like(weights, np.nan) for weights in model.get_weights()])
    save_model(model, tmp_path / "nan.keras", kept="nothing")
    with pytest.raises(CxrbuildError, match=r"nan\.keras: the model predicts no probabilities"):
        train_baseline(demo / "build", recipe, out=tmp_path / "out", evaluate_only=tmp_path / "nan.keras")


def test_a_build_of_another_recipe_is_an_error(demo: Path, tmp_path: Path) -> None:
    ran = run("train-baseline", "--build", demo / "build", "--out", tmp_path / "out", COLUMNS="1000")
    assert ran.status == 1
    assert f"{demo / 'build'}: no shipped recipe is called 'demo-cxr'" in ran.err
    assert "Name the recipe that it was built from" in ran.err
    assert not (tmp_path / "out").exists()


def test_gate_requires_a_declared_gate(demo: Path, tmp_path: Path) -> None:
    ran = run_here("train-baseline", "--build", demo / "build", "--gate", "--out", tmp_path / "out",
                   "--recipe", demo / "declared" / "recipe.toml")  # fmt: skip
    error = str(ran.exception)
    assert "demo-cxr: the recipe declares no gate. Expected: [baseline.gate] with accuracy" in error
    assert "Found: no [baseline]. Declare one in the recipe's file, for example `accuracy = 0.85`" in error
    assert not (tmp_path / "out").exists()


def test_exclude_seen_requires_evaluate_only(demo: Path) -> None:
    ran = run_here("train-baseline", "--build", demo / "build", "--exclude-seen")
    assert ran.exit_code == 2
    assert "--exclude-seen requires --evaluate-only" in ran.output


def test_a_release_reports_the_baseline(demo: Path, trained: BaselineResult, tmp_path: Path) -> None:
    """Figures are rounded and have their spread; the number of images is next to each split."""
    build = Path(shutil.copytree(demo / "build", tmp_path / "build"))
    shutil.copytree(trained.out, build / "baseline")
    release(build, "1.0.0", tmp_path / "release")
    assert (tmp_path / "release" / "baseline.json").read_bytes() == (
        trained.out / "metrics.json"
    ).read_bytes()
    page = (tmp_path / "release" / "report.html").read_text()
    section = page[page.index('<h2 id="baseline">') : page.index('<h2 id="explanation">')]
    assert re.findall(r"\d\.\d{5,}", section) == []
    assert "Figures are means over the runs, of seeds 1, 2, with the standard deviation after ±" in section
    summary, first = trained.document.summary, trained.document.runs[0]
    accuracy = summary.metrics["test"].accuracy
    assert (
        f'<th scope="row">accuracy</th><td>0.9000</td><td>{accuracy.mean:.4f} ± {accuracy.sd:.4f}</td>'
        in section
    )
    # An undefined figure is a dash without an interval.
    assert "\N{EN DASH}" * 2 not in section
    # The published counts are also 6, 4 and 5.
    assert "test: 15 images, published of 15<" in section
    assert "COVID-19 of test: 6 images, published of 6<" in section
    count, spread = summary.confusion["Normal"][0], summary.confusion_sd["Normal"][0]
    assert f"<td>{count:.1f} ± {spread:.1f}<br>" in section
    recall = first.classes["COVID-19"].recall
    assert f"<td>{recall.value:.3f}<br>" in section
    assert f">{recall.low:.3f}\N{EN DASH}{recall.high:.3f}<" in section
