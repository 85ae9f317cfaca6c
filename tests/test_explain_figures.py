"""The figures of `explain`: regions, groups of patients, calibration, what survives without the lungs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cxrbuild.artifact.baseline import Interval
from cxrbuild.bootstrap import overall_figures
from cxrbuild.explanation.blackout import MeanImage, black_out_inside, black_out_lungs, mean_greys
from cxrbuild.explanation.calibration import fit_temperature, log_loss, measure_calibration
from cxrbuild.explanation.groups import measure_groups
from cxrbuild.explanation.regions import border_mask, share_out
from cxrbuild.explanation.scores import measure

CLASSES = ["COVID-19", "Normal", "Pneumonia"]


# Regions and blackouts


def test_the_border_is_an_eighth_of_each_side_wide() -> None:
    border = border_mask(80)
    assert (border[:10].all(), border[:, -10:].all(), border[10:-10, 10:-10].any()) == (True, True, False)
    assert border_mask(4).sum() == 12


def test_shares_add_up_to_1_and_lungs_come_before_the_border() -> None:
    border, lungs = border_mask(8), np.zeros((8, 8), bool)
    lungs[0:4, 0:4] = True
    shares = share_out(np.ones((1, 8, 8), np.float32), lungs, border)
    np.testing.assert_allclose(shares, [[16 / 64, (28 - 7) / 64, (36 - 9) / 64]])
    unknown = share_out(np.ones((1, 8, 8), np.float32), None, border)
    np.testing.assert_allclose(unknown, [[np.nan, 28 / 64, 36 / 64]])
    assert np.isnan(share_out(np.zeros((1, 8, 8), np.float32), lungs, border)).all()


def test_nothing_of_the_lungs_remains_without_them() -> None:
    random = np.random.default_rng(0)
    grey = random.integers(0, 256, (2, 8, 8), np.uint8)
    lungs = np.zeros((8, 8), bool)
    lungs[2:6, 2:4] = True
    parts = black_out_lungs(grey, lungs)
    assert not parts["without_lungs"][:, lungs].any()
    assert (parts["without_lungs"][:, ~lungs] == grey[:, ~lungs]).all()
    assert (parts["only_lungs"][:, lungs] == grey[:, lungs]).all()
    assert not parts["only_lungs"][:, ~lungs].any()
    # The grey follows from the rest alone: other lungs give the same image.
    other = np.where(lungs, 255 - grey, grey)
    assert (black_out_lungs(other, lungs)["grey_lungs"] == parts["grey_lungs"]).all()
    assert parts["grey_lungs"][0, 3, 3] == round(grey[0][~lungs].mean())
    border = black_out_inside(grey, border_mask(8))
    assert not border[:, 1:-1, 1:-1].any()
    assert (border[:, 0] == grey[:, 0]).all()
    assert mean_greys(grey).tolist() == [round(one.mean()) for one in grey]


def test_the_mean_image_gives_each_class_the_same_weight() -> None:
    mean = MeanImage(3, 2)
    mean.add(np.full((3, 2, 2), 10, np.uint8), np.array([0, 0, 0]))
    mean.add(np.full((1, 2, 2), 30, np.uint8), np.array([1]))
    assert mean.image().tolist() == [[20, 20], [20, 20]]


# Intervals


def test_overall_figures_are_those_of_scikit_learn() -> None:
    from sklearn.metrics import recall_score, roc_auc_score

    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 90)
    probabilities = random.dirichlet(np.ones(3), 90)
    groups = [f"p{number // 2}" for number in range(90)]
    found = overall_figures(labels, probabilities, groups, resamples=200)
    assert found["accuracy"][0]["value"] == pytest.approx((probabilities.argmax(axis=1) == labels).mean())
    expected = roc_auc_score(labels, probabilities, multi_class="ovr", average="macro")
    assert found["auc"][0]["value"] == pytest.approx(expected)
    expected = recall_score(labels, probabilities.argmax(axis=1), average=None)
    assert [figure["value"] for figure in found["recall"]] == pytest.approx(list(expected))
    for figure in (*found["accuracy"], *found["auc"], *found["recall"]):
        assert figure["low"] < figure["value"] < figure["high"]


def test_the_auc_of_one_class_is_undefined() -> None:
    scores = measure(np.zeros(4, np.int64), np.eye(3)[[0, 0, 1, 0]], list("abcd"), CLASSES, 20)
    assert scores.auc == Interval(value=None, low=None, high=None)
    assert scores.accuracy.value == 0.75
    # Three of four are right; of the images of four patients that are all right, the interval is exact.
    assert scores.accuracy.low < scores.accuracy.high <= 1
    perfect = measure(np.zeros(4, np.int64), np.eye(3)[[0, 0, 0, 0]], list("abcd"), CLASSES, 20)
    assert perfect.accuracy.low == perfect.recall["COVID-19"].low == pytest.approx(0.025 ** (1 / 4))
    assert perfect.accuracy.high == 1
    assert list(scores.recall) == ["COVID-19"]


# Groups


def test_groups_of_fewer_than_20_patients_are_named_and_not_scored() -> None:
    count = 60
    patients = [f"p{number}" for number in range(40)] + ["p39"] * 20
    records = pd.DataFrame(
        {
            "source": ["a"] * 40 + ["b"] * 20,
            "patient_age": pd.array([None, 17.9, 18, 79, 80] * 12, "Float64"),
            "patient_sex": pd.array(["F", None] * 30, "string"),
            "view_position": pd.array([None] * 60, "string"),
        }
    )
    labels = np.arange(count) % 3
    found = measure_groups(records, patients, labels, np.eye(3)[labels].astype(np.float32), CLASSES, 20)
    by_name = {(one.grouping, one.group): one for one in found}
    assert list(by_name) == [
        ("source", "a"), ("source", "b"),
        ("age", "0 to 17"), ("age", "18 to 39"), ("age", "60 to 79"), ("age", "80 and over"),
        ("age", "unknown"), ("sex", "F"), ("sex", "unknown"), ("view", "unknown"),
    ]  # fmt: skip
    a, b = by_name["source", "a"], by_name["source", "b"]
    assert (a.images, a.patients, a.scores.accuracy.value) == (40, 40, 1)
    assert (b.images, b.patients, b.scores) == (20, 1, None)
    assert b.counts == {"COVID-19": 6, "Normal": 7, "Pneumonia": 7}
    assert by_name["age", "0 to 17"].scores is None
    assert by_name["sex", "F"].scores.auc.value == 1


# Calibration


def test_the_temperature_of_overconfident_logits_is_found() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(0, 2, (4000, 3))
    odds = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = np.array([random.choice(3, p=row) for row in odds])
    overconfident = (3 * logits).astype(np.float32)
    assert fit_temperature(labels, overconfident) == pytest.approx(3, rel=0.05)
    half = slice(0, 2000), slice(2000, 4000)
    found = measure_calibration(
        labels[half[0]], overconfident[half[0]], labels[half[1]], overconfident[half[1]], CLASSES
    )
    assert found.fitted_on == sum(found.validation.values()) == 2000
    assert f"({found.validation['COVID-19']:,} COVID-19, " in found.remark
    assert found.after.log_loss < found.before.log_loss - 0.1
    before, after = (one.reliability.expected_calibration_error for one in (found.before, found.after))
    assert after < 0.05 < before


def test_without_a_validation_split_no_temperature_is_fitted() -> None:
    labels, logits = np.array([0, 1]), np.array([[2, 0], [0, 2]], np.float32)
    found = measure_calibration(
        labels, logits, np.empty(0, np.int64), np.empty((0, 2), np.float32), CLASSES[:2]
    )
    assert (found.fitted_on, found.temperature, found.after) == (0, None, None)
    assert found.remark.startswith("No temperature is fitted: the dataset has no validation split")
    assert found.before.log_loss == pytest.approx(log_loss(labels, logits))
    assert found.before.log_loss == pytest.approx(np.log(1 + np.exp(-2)))


def test_a_validation_split_that_lacks_a_class_fits_no_temperature() -> None:
    labels, logits = np.array([0, 1]), np.array([[2, 0], [0, 2]], np.float32)
    found = measure_calibration(
        labels, logits, np.zeros(8, np.int64), np.ones((8, 2), np.float32), CLASSES[:2]
    )
    assert (found.fitted_on, found.temperature, found.after) == (0, None, None)
    assert found.validation == {"COVID-19": 8, "Normal": 0}
    assert found.remark == (
        "No temperature is fitted: the validation split has no image of Normal (8 COVID-19, 0 Normal)."
    )
