"""`explain` on planted truth: a mark in a corner fails the blackout test, a patch in the lungs passes."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from html import unescape
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from accessibility import read_axe, severe_findings
from browser import open_browser
from command import run
from planted import CLASSES, COUNTS, Planted, make_planted
from recording import Recorded

from cxrbuild.artifact.baseline import Interval
from cxrbuild.artifact.explanation import TESTS, BlackoutTest, ExplanationDocument
from cxrbuild.baseline.image_table import find_images
from cxrbuild.errors import CheckError, CxrbuildError
from cxrbuild.explanation import ExplanationResult, explain, require_passed
from cxrbuild.explanation.attribution import Attribution
from cxrbuild.explanation.images import Selection, select
from cxrbuild.explanation.model import open_model
from cxrbuild.explanation.page import write_page
from cxrbuild.files import read_json, sha256_of, write_json
from cxrbuild.releasing import release
from cxrbuild.verification import verify

# TensorFlow takes seconds to load: all its tests run in one worker.
pytestmark = pytest.mark.xdist_group("tensorflow")
SHARES = [f"{what}_{part}" for what in ("area", "grad_cam", "integrated_gradients", "occlusion")
          for part in ("lungs", "border", "elsewhere")]  # fmt: skip


@pytest.fixture(scope="module")
def mark(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    return make_planted(tmp_path_factory.mktemp("mark"), "mark")


@pytest.fixture(scope="module")
def patch(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    return make_planted(tmp_path_factory.mktemp("patch"), "patch")


@pytest.fixture(scope="module")
def progress_of_mark() -> Recorded:
    return Recorded()


@pytest.fixture(scope="module")
def of_mark(mark: Planted, progress_of_mark: Recorded) -> ExplanationResult:
    return explain(mark.build, mark.recipe, data=mark.data, progress=progress_of_mark)


@pytest.fixture(scope="module")
def of_patch(patch: Planted) -> ExplanationResult:
    return explain(patch.build, patch.recipe, data=patch.data)


def open_test(planted: Planted) -> tuple[Attribution, Selection]:
    model = open_model(planted.build / "baseline" / "model.keras", planted.recipe.classes)
    found = find_images(planted.build, planted.recipe.classes)
    excluded = np.zeros(len(found.rows), bool)
    return Attribution(model), select(planted.build, found, planted.recipe.classes, "test", excluded)


# Planted truth


def test_a_mark_in_a_corner_fails_the_blackout_test(of_mark: ExplanationResult) -> None:
    document = of_mark.document
    assert document.scores("whole").auc.value > 0.95
    assert document.scores("grey_lungs").auc.value > 0.95
    assert document.scores("only_border").auc.value > 0.95
    assert document.scores("only_lungs").auc.value < 0.75
    assert document.surviving > 0.9
    assert document.passed is False
    with pytest.raises(CheckError, match="survives without the lungs"):
        require_passed(of_mark)


def test_a_model_that_distinguishes_nothing_has_no_result(of_mark: ExplanationResult) -> None:
    """Of nothing, nothing can survive: the blackout test would be passed."""

    def with_auc(low: float) -> ExplanationResult:
        def narrow(one: BlackoutTest) -> BlackoutTest:
            value = 0.571 if one.test == "whole" else 0.5
            auc = Interval(value=value, low=low, high=0.649)
            return one.model_copy(update={"scores": one.scores.model_copy(update={"auc": auc})})

        blackout = [narrow(one) for one in of_mark.document.blackout]
        return replace(of_mark, document=of_mark.document.model_copy(update={"blackout": blackout}))

    assert with_auc(0.501).document.passed is True
    found = with_auc(0.494)
    assert (found.document.surviving, found.document.passed) == (None, None)
    assert found.document.sentence.startswith("The baseline does not distinguish the classes: ")
    assert "with the whole image, 0.494 to 0.649, is not above the 0.5 of guessing" in found.document.sentence
    with pytest.raises(CxrbuildError, match="the blackout test has no result") as error:
        require_passed(found)
    assert "Train the model longer" in str(error.value)


def test_every_bar_comes_to_its_end(of_mark: ExplanationResult, progress_of_mark: Recorded) -> None:
    progress_of_mark.require_ended()
    assert (
        progress_of_mark.totals["reading lung masks"] == of_mark.document.lungs.masks == sum(COUNTS.values())
    )
    assert progress_of_mark.totals["predicting validation images"] == COUNTS["val"]


@pytest.mark.slow
def test_a_patch_in_the_lungs_passes_the_blackout_test(of_patch: ExplanationResult) -> None:
    document = of_patch.document
    assert document.scores("whole").auc.value > 0.95
    assert document.scores("only_lungs").auc.value > 0.9
    assert document.scores("without_lungs").auc.value < 0.7
    assert document.scores("grey_lungs").auc.value < 0.7
    assert document.surviving < 0.4
    assert document.passed is True
    require_passed(of_patch)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["grad_cam", "integrated_gradients", "occlusion"])
def test_attribution_is_where_the_sign_is(
    of_mark: ExplanationResult, of_patch: ExplanationResult, method: str
) -> None:
    mark, patch = (one.document.shares["COVID-19"] for one in (of_mark, of_patch))
    assert mark.attribution[method].border > mark.area.border + 0.1
    assert mark.attribution[method].border > mark.attribution[method].lungs
    assert patch.attribution[method].lungs > 2 * patch.area.lungs
    assert patch.attribution[method].border < patch.area.border


def test_the_maps_of_a_mark_are_greatest_in_its_corner(mark: Planted) -> None:
    attribution, selection = open_test(mark)
    place, grey = next(selection.batches(attribution.side))
    sick = grey[selection.labels[place] == 0]
    _, cam = attribution.grad_cam(sick)
    gradients = attribution.integrated_gradients(sick, np.zeros(len(sick), np.int64))
    corner = (slice(None), slice(0, 4), slice(0, 4))
    for maps in (cam, gradients):
        assert maps[corner].mean() > 10 * maps.mean()
    for image in sick[:3]:
        occlusion = attribution.occlusion(image, 0)
        assert np.unravel_index(occlusion.argmax(), occlusion.shape) == (0, 0)


@pytest.mark.slow
def test_integrated_gradients_add_up_to_the_difference_of_the_scores(patch: Planted) -> None:
    attribution, selection = open_test(patch)
    _, grey = next(selection.batches(attribution.side))
    flat = np.broadcast_to(grey.mean(axis=(1, 2), keepdims=True), grey.shape)
    # The mean grey is no whole number, so it is not given as pixels of 8 bits.
    logits = [attribution.predict(grey), np.asarray(attribution._predict(flat.astype(np.float32)))]
    scores = [one[:, 0] - one.mean(axis=1) for one in logits]
    classes = np.zeros(len(grey), np.int64)
    for points, tolerance in ((20, 0.02), (2, 0.2)):
        found = attribution.signed_gradients(grey, classes, points).sum(axis=(1, 2))
        np.testing.assert_allclose(found, scores[0] - scores[1], atol=tolerance)


# The files


def test_the_table_has_a_row_for_each_test_image(mark: Planted, of_mark: ExplanationResult) -> None:
    table = pd.read_parquet(of_mark.out / "explain.parquet")
    predictions = pd.read_parquet(mark.build / "baseline" / "predictions.parquet")
    expected = predictions[predictions["split"] == "test"].sort_values("image_id")
    assert table["image_id"].tolist() == expected["image_id"].tolist()
    assert table["predicted"].tolist() == expected["predicted"].tolist()
    np.testing.assert_allclose(
        table["probability"], expected.filter(like="probability_").max(axis=1), atol=1e-5
    )
    assert [name for name in table if name.startswith("true_class_")] == [
        f"true_class_{test}" for test in TESTS
    ]
    assert set(table["lungs_from"]) == {"mask"}
    assert [name for name in table if name in SHARES] == SHARES
    for what in ("area", "integrated_gradients"):
        sums = table[[name for name in SHARES if name.startswith(what)]].sum(axis=1)
        np.testing.assert_allclose(sums, 1, atol=1e-5)
    shown = table["occlusion_border"].notna().sum()
    assert 0 < shown <= of_mark.document.occluded < len(table)


def test_the_figures_follow_from_the_table(of_mark: ExplanationResult) -> None:
    document = ExplanationDocument.read(of_mark.out / "explanation.json")
    assert document == of_mark.document
    table = pd.read_parquet(of_mark.out / "explain.parquet")
    right = (table["label"] == table["predicted"]).mean()
    assert document.scores("whole").accuracy.value == pytest.approx(right)
    covid = table[table["label"] == "COVID-19"]
    assert document.scores("grey_lungs").recall["COVID-19"].value == pytest.approx(
        (covid["true_class_grey_lungs"] > 0.5).mean()
    )
    share = document.shares["COVID-19"].attribution["integrated_gradients"].lungs
    assert share == pytest.approx(covid["integrated_gradients_lungs"].mean(), abs=1e-6)
    # One image for all: the classes cannot be distinguished.
    assert document.scores("mean_image").auc.value == 0.5


def test_the_page_shows_images_of_each_class_and_loads_nothing(of_mark: ExplanationResult) -> None:
    page = (of_mark.out / "explain.html").read_text()
    assert of_mark.document.sentence in unescape(page)
    assert "The blackout test is failed" in page
    for name in CLASSES:
        for kind in ("most confident", "worst", "most driven by the border"):
            assert f"<h3>{name}: {kind}</h3>" in page
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert page.count('alt="image of ') == page.count('alt="occlusion of ') >= 4


def test_the_page_says_whether_images_with_a_name_are_hidden(
    of_mark: ExplanationResult, tmp_path: Path
) -> None:
    pages = {}
    for hidden in (None, 0, 1, 2):
        write_page(tmp_path / "page.html", of_mark.document, {}, {}, hidden)
        pages[hidden] = (tmp_path / "page.html").read_text()
    note = "it is not known which images show a readable name"
    assert [hidden for hidden, page in pages.items() if note in page] == [None]
    assert "1 test image with a readable name or birth date is not shown." in pages[1]
    assert "2 test images with a readable name or birth date are not shown." in pages[2]
    assert not [hidden for hidden in (None, 0) if "not shown" in pages[hidden]]


def test_the_command_prints_the_tests_and_the_sentence_and_writes_the_same_bytes_again(
    mark: Planted, of_mark: ExplanationResult, tmp_path: Path
) -> None:
    ran = run("explain", "--build", mark.build, "--recipe", mark.recipe_file, "--data", mark.data,
              "--out", tmp_path / "again", "--gate")  # fmt: skip
    assert ran.status == 3
    assert "the model's success survives without the lungs" in " ".join(ran.err.split())
    lines = ran.out.splitlines()
    assert lines[0] == "the model sees  accuracy  AUC    recall COVID-19  recall Normal"
    assert [line[:14].strip() for line in lines[1:8]] == [test.replace("_", " ") for test in TESTS]
    printed = " ".join(ran.out.split())
    assert of_mark.document.sentence in printed
    assert printed.endswith("explain.html")
    for name in ("explanation.json", "explain.parquet", "explain.html"):
        assert sha256_of(tmp_path / "again" / name) == sha256_of(of_mark.out / name)


@pytest.mark.slow
def test_the_command_is_quiet_on_request(mark: Planted, tmp_path: Path) -> None:
    quiet = run("explain", "--build", mark.build, "--recipe", mark.recipe_file, "--data", mark.data,
                "--out", tmp_path / "out", "--quiet")  # fmt: skip
    assert (quiet.status, quiet.out, quiet.err) == (0, "", "")


# Masks of some images


@pytest.mark.slow
def test_blackout_tests_use_one_region_if_only_one_class_has_masks(patch: Planted, tmp_path: Path) -> None:
    data = Path(shutil.copytree(patch.data, tmp_path / "data"))
    sick = {path.stem for path in (data / "sources" / "planted" / "images").glob("*/sick/*")}
    for path in (data / "sources" / "planted" / "masks").iterdir():
        if path.stem not in sick:
            path.unlink()
    found = explain(patch.build, patch.recipe, data=data, out=tmp_path / "out", occlude_all=True)
    lungs, tested = found.document.lungs, COUNTS["test"] // 2
    assert (lungs.blacked_out, lungs.masks) == ("region", sum(COUNTS.values()) // 2)
    assert lungs.masked == {"COVID-19": tested, "Normal": 0}
    assert 0.9 <= lungs.region_coverage <= 1
    # All of these images are of one class, so there is no AUC.
    assert [one.test for one in found.document.masked] == [
        "whole", "without_lungs", "grey_lungs", "only_lungs",
    ]  # fmt: skip
    assert all(one.images == tested and one.scores.auc.value is None for one in found.document.masked)
    assert found.document.surviving < 0.5
    table = pd.read_parquet(found.out / "explain.parquet")
    assert table["lungs_from"].value_counts().to_dict() == {"mask": tested, "region": tested}
    assert table["occlusion_border"].notna().sum() > 0.9 * len(table)
    assert found.document.occluded == len(table)


def test_without_masks_the_lungs_are_unknown(
    mark: Planted, of_mark: ExplanationResult, tmp_path: Path
) -> None:
    ran = run("explain", "--build", mark.build, "--recipe", mark.recipe_file, "--data", tmp_path / "none",
              "--out", tmp_path / "out", "--without-masks", "--gate", "--json")  # fmt: skip
    assert ran.status == 1
    assert "the blackout test has no result" in " ".join(ran.err.split())
    document = ExplanationDocument.read(tmp_path / "out" / "explanation.json")
    result = replace(of_mark, out=tmp_path / "out", document=document)
    assert json.loads(ran.out) == result.to_dict() | {"schema": "explain-1"}
    assert read_json(tmp_path / "out" / "explanation.json").items() <= json.loads(ran.out).items()
    assert (document.lungs, document.passed) == (None, None)
    assert [one.test for one in document.blackout] == ["whole", "only_border", "mean_grey", "mean_image"]
    assert document.sentence.endswith("because no lung masks of the dataset were read.")
    shares = document.shares["COVID-19"].attribution["integrated_gradients"]
    assert shares.lungs is None
    assert shares.border + shares.elsewhere == pytest.approx(1)


# The release


def test_card_and_report_of_a_release_have_the_sentence(
    mark: Planted, of_mark: ExplanationResult, tmp_path: Path
) -> None:
    folder = tmp_path / "planted-cxr-1.0.0"
    release(mark.build, "1.0.0", folder)
    sentence = of_mark.document.sentence
    assert sentence in (folder / "README.md").read_text()
    assert sentence in unescape((folder / "report.html").read_text())
    assert sentence in read_json(folder / "croissant.json")["rai:dataBiases"]
    assert (folder / "explanation.json").read_bytes() == (of_mark.out / "explanation.json").read_bytes()
    assert verify(folder).findings == ()
    document = read_json(folder / "explanation.json")
    tested = document["dataset"]["counts"]["Normal"]
    document["dataset"]["counts"]["Normal"] = tested - 1
    write_json(folder / "explanation.json", document)
    changed = {finding.message for finding in verify(folder).findings}
    assert f"counts {tested - 1} test images, the manifest has {tested}" in changed


@pytest.mark.slow
def test_an_explanation_of_another_build_is_not_released(
    mark: Planted, of_patch: ExplanationResult, tmp_path: Path
) -> None:
    build = Path(shutil.copytree(mark.build, tmp_path / "build"))
    shutil.copytree(of_patch.out, build / "explanation", dirs_exist_ok=True)
    with pytest.raises(CxrbuildError, match="this explanation result is of another build"):
        release(build, "1.0.0", tmp_path / "release")


@pytest.mark.slow
def test_the_page_has_no_severe_accessibility_finding(
    of_patch: ExplanationResult, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    axe = read_axe(pytestconfig)
    with open_browser(tmp_path / "profile") as driver:
        driver.get((of_patch.out / "explain.html").as_uri())
        driver.find_element("css selector", "button.enlarge").click()
        driver.find_element("css selector", "#enlarged-close").click()
        for scheme in ("light", "dark"):
            assert severe_findings(driver, axe, scheme) == []
        assert driver.get_log("browser") == []
        # The page does not scroll sideways, on a phone no table does, and no table leaves its card.
        for width in (360, 390, 800, 1280):
            screen = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 600}
            driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
            driver.refresh()
            elements = "html, .scroll" if width < 600 else "html"
            assert not driver.execute_script(
                f"return [...document.querySelectorAll('{elements}')]"
                "  .filter((e) => e.scrollWidth > e.clientWidth + 1).map((e) => e.textContent.slice(0, 80))"
            )
            assert driver.execute_script(
                "const right = (element) => element.getBoundingClientRect().right;"
                "return [...document.querySelectorAll('figcaption table')]"
                "  .every((table) => right(table) < right(table.closest('figure')))"
            )
