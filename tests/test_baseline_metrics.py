"""The baseline's figures, its gate and its declaration."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from releasing import baseline_result

from cxrbuild.artifact.baseline import BaselineDocument
from cxrbuild.artifact.baseline_summary import check_gate
from cxrbuild.baseline.backend import load_tensorflow
from cxrbuild.baseline.evaluation import (
    count_confusion,
    find_mistakes,
    keras_metrics,
    measure_reliability,
    require_agreement,
    sklearn_metrics,
    true_class_probability,
)
from cxrbuild.baseline.figures import draw_confusion
from cxrbuild.baseline.gate import describe_checks, require_gate
from cxrbuild.baseline.report import write_report
from cxrbuild.bootstrap import class_figures
from cxrbuild.catalog import read_recipe
from cxrbuild.catalog.baseline import Gate
from cxrbuild.errors import CheckError, CxrbuildError, DeclarationError

# TensorFlow takes seconds to load: all its tests run in one worker.
pytestmark = pytest.mark.xdist_group("tensorflow")


@pytest.fixture(scope="module", autouse=True)
def tf():
    return load_tensorflow()


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def predictions(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    labels = random.integers(0, 3, 200).astype(np.int32)
    logits = random.normal(size=(200, 3)) + 1.5 * np.eye(3)[labels]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    # Rounded, so that there are ties.
    return labels, np.round(probabilities, 1).astype(np.float32)


def test_keras_and_scikit_learn_agree(predictions: tuple[np.ndarray, np.ndarray]) -> None:
    labels, probabilities = predictions
    probabilities = probabilities / probabilities.sum(axis=1, keepdims=True)
    figures = keras_metrics(labels, probabilities, 0.12)
    require_agreement(figures, sklearn_metrics(labels, probabilities, 0.12))
    with pytest.raises(CxrbuildError, match=r"Expected: recall 0\.\d+\. Found: recall 0.123000"):
        require_agreement(figures | {"recall": 0.123}, figures)


def test_precision_and_recall_count_probabilities_over_a_half() -> None:
    labels = np.array([0, 0, 1, 2], np.int32)
    probabilities = np.array([[0.9, 0.1, 0], [0.4, 0.3, 0.3], [0.7, 0.2, 0.1], [0, 0, 1]], np.float32)
    figures = keras_metrics(labels, probabilities, 0.0)
    # By the greatest probability all but the third are right. Three are over a half, two of them right.
    assert figures["accuracy"] == pytest.approx(3 / 4)
    assert figures["precision"] == pytest.approx(2 / 3)
    assert figures["recall"] == pytest.approx(2 / 4)


def test_figures_of_each_class_equal_scikit_learn(predictions: tuple[np.ndarray, np.ndarray]) -> None:
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support, roc_auc_score

    labels, probabilities = predictions
    groups = [f"patient {row // 2}" for row in range(len(labels))]
    figures = class_figures(labels, probabilities, groups, resamples=100)
    called = probabilities.argmax(axis=1)
    expected = precision_recall_fscore_support(labels, called)[:3]
    for k, of_class in enumerate(figures):
        values = [of_class[name]["value"] for name in ("precision", "recall", "f1", "auc")]
        auc = roc_auc_score(labels == k, probabilities[:, k])
        assert values == pytest.approx([*(row[k] for row in expected), auc])
        assert all(figure["low"] < figure["value"] < figure["high"] for figure in of_class.values())
    assert (count_confusion(labels, probabilities) == confusion_matrix(labels, called)).all()


def test_intervals_resample_patients(predictions: tuple[np.ndarray, np.ndarray]) -> None:
    """Nine copies of every image do not make the intervals narrower."""
    labels, probabilities = predictions
    alone = class_figures(labels, probabilities, [str(i) for i in range(200)], resamples=500)
    labels, probabilities = labels.repeat(9), probabilities.repeat(9, axis=0)
    by_patient = class_figures(labels, probabilities, [str(i // 9) for i in range(1800)], resamples=500)
    by_image = class_figures(labels, probabilities, [str(i) for i in range(1800)], resamples=500)

    def width(figures: list) -> float:
        return figures[0]["recall"]["high"] - figures[0]["recall"]["low"]

    assert width(by_patient) == pytest.approx(width(alone))
    assert width(by_image) < width(alone) / 2


def test_a_class_that_is_never_predicted_has_no_precision() -> None:
    labels = np.array([0, 1, 2, 1], np.int32)
    probabilities = np.array([[0.8, 0.1, 0.1]] * 4, np.float32)
    figures = class_figures(labels, probabilities, list("abcd"), resamples=10)[1]
    assert np.isnan([figures["precision"][key] for key in ("value", "low", "high")]).all()
    # Of two patients; a bootstrap gives no width.
    assert figures["recall"] == {"value": 0, "low": 0, "high": pytest.approx(1 - 0.025**0.5)}
    assert figures["auc"]["value"] == 0.5


def test_the_probability_of_the_true_class_has_an_interval() -> None:
    labels = np.zeros(100, np.int32)
    truth = np.linspace(0.5, 1, 100)
    found = true_class_probability(labels, np.stack([truth, 1 - truth], axis=1))
    assert found.value == pytest.approx(0.75)
    assert found.value - found.low == pytest.approx(1.96 * truth.std(ddof=1) / 10, rel=1e-4)
    assert found.high - found.value == pytest.approx(found.value - found.low)
    single = true_class_probability(labels[:1], np.array([[0.5, 0.5]], np.float32))
    assert (single.value, single.low, single.high) == (0.5, None, None)


def test_reliability_compares_confidence_with_accuracy() -> None:
    labels = np.array([0] * 10, np.int32)
    probabilities = np.array([[0.85, 0.15]] * 8 + [[0.35, 0.65]] * 2, np.float32)
    result = measure_reliability(labels, probabilities)
    assert [(row.count, row.accuracy) for row in result.bins] == [(2, 0), (8, 1)]
    assert result.expected_calibration_error == pytest.approx(0.2 * 0.65 + 0.8 * 0.15)


def test_the_worst_mistakes_come_first() -> None:
    table = pd.DataFrame({"image_id": ["a", "d", "c", "b"]})
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.1, 0.9], [0.2, 0.8]], np.float32)
    assert find_mistakes(table, np.zeros(4, np.int32), probabilities) == [2, 3, 1]


def test_the_gate_names_figures_below_their_limit() -> None:
    gate = Gate(accuracy=0.873, tolerance=0.02, recall={"COVID-19": 0.95})
    assert check_gate(gate, 0.853, {"COVID-19": 0.95}).passed
    require_gate(check_gate(gate, 0.853, {"COVID-19": 0.95}), "report.md")
    with pytest.raises(CheckError) as error:
        require_gate(check_gate(gate, 0.8529, {"COVID-19": 0.96}), "report.md")
    assert "below the gate: test accuracy. Expected: test accuracy at least 0.8530" in str(error.value)
    assert error.value.status == 3
    with pytest.raises(CheckError, match=r"gate: recall of COVID-19\. .* Found: 0\.9400"):
        require_gate(check_gate(gate, 0.9, {"COVID-19": 0.94}), "report.md")
    assert not check_gate(gate, 0.9, {"COVID-19": float("nan")}).passed
    undefined = check_gate(gate, 0.9, {"COVID-19": None})
    assert not undefined.passed
    with pytest.raises(CheckError, match=r"recall of COVID-19\. .* Found: undefined"):
        require_gate(undefined, "report.md")
    assert describe_checks(undefined) == (
        "test accuracy 0.9000 (at least 0.8530), recall of COVID-19 undefined (at least 0.9500)"
    )


def test_names_of_classes_are_literal_in_figures_and_report(demo: Path, tmp_path: Path) -> None:
    """A name can have characters that matplotlib or Markdown interprets, or that the font lacks."""
    names = {"COVID-19": "$x", "Normal": "a|b<i>", "Pneumonia": "\u80ba\u708e$"}
    text = json.dumps(baseline_result(demo / "build"))
    for name, other in names.items():
        text = text.replace(name, other)
    document = BaselineDocument.parse(json.loads(text), tmp_path)
    draw_confusion(tmp_path / "confusion", np.eye(3, dtype=np.int64), document.classes)
    assert "<!-- $x -->" in (tmp_path / "confusion.svg").read_text()
    assert r"| a\|b&lt;i> | 1 | 3 | 0 |" in write_report(document, [])


def test_all_problems_of_a_declaration_are_listed(demo: Path, tmp_path: Path) -> None:
    declared = shutil.copytree(demo / "declared", tmp_path / "declared")
    recipe = declared / "recipe.toml"
    recipe.write_text(
        recipe.read_text()
        + """
[baseline]
epoch = 3
learning_rate = [{ from_epoch = 2, rate = 1e-4 }]
[baseline.augmentation]
contrast = "strong"
"""
    )
    with pytest.raises(DeclarationError) as error:
        read_recipe(str(recipe))
    assert "baseline.epoch: unknown key; the nearest known key is `epochs`" in str(error.value)
    assert "baseline.augmentation.contrast" in str(error.value)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ('class_weights = { "Covid" = 2 }', "baseline.class_weights: 'Covid' is no class"),
        ('focus = "Covid"', "baseline.focus: 'Covid' is no class"),
        ('gate.recall = { "Covid" = 0.9 }', "baseline.gate.recall: 'Covid' is no class"),
        ("learning_rate = [{ from_epoch = 2, rate = 1e-4 }]", "the stages must start at epoch 1 and go up"),
        ("augmentation.side = 64", "augmentation.side: 64 is less than network.side, 80"),
        ("epochs = 2001", "baseline.epochs: expected a number of 2000 or less; found 2001"),
        ("network.side = 8", "side: 8 pixels cannot be halved 4 times"),
        ("augmentation.contrast = [1.2, 0.8]", "contrast: 1.2 to 0.8 is no range of factors"),
    ],
)
def test_a_problem_of_a_declaration_is_listed(demo: Path, tmp_path: Path, table: str, message: str) -> None:
    declared = shutil.copytree(demo / "declared", tmp_path / "declared")
    recipe = declared / "recipe.toml"
    recipe.write_text(f"{recipe.read_text()}\n[baseline]\n{table}\n")
    with pytest.raises(DeclarationError) as error:
        read_recipe(str(recipe))
    assert message in str(error.value)
