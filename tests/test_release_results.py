"""Releases: the audit and baseline results that they include."""

from __future__ import annotations

import json
import shutil
from html import escape
from pathlib import Path

import pandas as pd
import pytest
from command import run
from releasing import baseline_result, change_rows, images_of, set_version, varied_build

from cxrbuild.errors import CxrbuildError
from cxrbuild.files import read_json, sha256_of
from cxrbuild.releasing import release
from cxrbuild.verification import verify

# Other files need the same build.
pytestmark = pytest.mark.xdist_group("verify")


def test_a_release_includes_audit_and_baseline_results(audited_build: Path, audited_release: Path) -> None:
    build, out = audited_build, audited_release
    bias, probed = read_json(build / "audit.json")["biases"]
    assert "Classes of fewer than 20 patients are excluded from these classifiers: Normal." in probed
    assert "single properties explain shares of a class's entropy: source 9" in bias
    page = (out / "report.html").read_text()
    for words in (
        "63,148,835 parameters",
        "Gate: failed",
        "unlinked_duplicates",
        "<td>0.25",
        escape(bias).replace("&#x27;", "&#39;"),
    ):
        assert words in page
    assert (out / "audit.json").read_bytes() == (build / "audit.json").read_bytes()
    card = (out / "README.md").read_text()
    assert "`audit.json` and `report.html`" in card
    assert "`baseline.json` and `report.html`" in card
    assert f"- {bias}" in card
    assert {bias, probed} <= set(json.loads((out / "croissant.json").read_text())["rai:dataBiases"])
    assert f"- {probed}" in card
    assert (
        "Classes of fewer than 20 patients are excluded from these classifiers: Normal."
        in (out / "report.html").read_text()
    )


def test_refuses_a_baseline_of_another_build(demo: Path, tmp_path: Path) -> None:
    build = varied_build(demo, tmp_path, ["parquet"])
    (build / "baseline").mkdir()
    result = baseline_result(build)
    (build / "baseline" / "metrics.json").write_text(json.dumps(result))
    change_rows(build, images_of(build)["image_id"].iloc[0], patient_age=3.0)
    with pytest.raises(CxrbuildError, match=r"metrics\.json: this baseline result is of another build"):
        release(build, "1.0.0", tmp_path / "out")


@pytest.mark.usefixtures("without_verifying")
def test_results_of_the_same_images_get_the_version_of_the_release(
    audited_build: Path, tmp_path: Path
) -> None:
    build = tmp_path / "build"
    shutil.copytree(audited_build, build)
    (build / "baseline").mkdir(exist_ok=True)
    (build / "baseline" / "metrics.json").write_text(json.dumps(baseline_result(build)))
    set_version(build, "3.0.0")
    out = tmp_path / "out"
    release(build, "3.0.0", out)
    for name in ("audit.json", "baseline.json"):
        assert json.loads((out / name).read_text())["dataset"]["version"] == "3.0.0"


def test_refuses_a_baseline_by_another_recipe(demo: Path, tmp_path: Path) -> None:
    build = varied_build(demo, tmp_path, ["parquet"])
    (build / "baseline").mkdir()
    metrics = build / "baseline" / "metrics.json"
    result = baseline_result(build)
    metrics.write_text(json.dumps(result | {"recipe": {"name": "covid19-cxr", "version": "1.0.0"}}))
    with pytest.raises(
        CxrbuildError, match=r"metrics\.json: this baseline result is of another recipe.*covid19-cxr"
    ):
        release(build, "1.0.0", tmp_path / "out")
    # One that does not say what it was trained on may be of anything.
    result["dataset"]["manifest_sha256"] = None
    metrics.write_text(json.dumps(result))
    with pytest.raises(CxrbuildError, match=r"this baseline result is of another build.*Found: none"):
        release(build, "1.0.0", tmp_path / "out")


def test_a_release_refuses_a_baseline_result_without_its_keys(demo: Path, tmp_path: Path) -> None:
    build = varied_build(demo, tmp_path, ["parquet"])
    (build / "baseline").mkdir()
    path = build / "baseline" / "metrics.json"
    result = baseline_result(build)
    runs = [result["runs"][0] | {"classes": {}}]
    for change, message in (
        ({"summary": {}}, "summary.metrics: missing"),
        ({"parameters": "many"}, "parameters: expected a whole number; found 'many'"),
        ({"format": 1}, "format: this version of cxrbuild reads 2; found 1"),
        ({"runs": []}, "runs: expected at least 1 value(s); found 0"),
        ({"runs": runs}, "runs.0.classes: keys are missing, the classes are COVID-19, Normal, Pneumonia"),
        ({"gpu": "H100"}, "gpu: unknown key"),
    ):
        path.write_text(json.dumps(result | change))
        with pytest.raises(CxrbuildError) as error:
            release(build, "1.0.0", tmp_path / "out")
        assert f"{path}: not a baseline result" in str(error.value)
        assert message in str(error.value)
    path.write_text("[]")
    with pytest.raises(CxrbuildError, match="not a JSON object"):
        release(build, "1.0.0", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("without_verifying")
def test_the_card_describes_what_the_audit_found(
    audited_build: Path, varied_public: Path, tmp_path: Path
) -> None:
    build = Path(
        shutil.copytree(audited_build, tmp_path / "build", ignore=shutil.ignore_patterns("baseline"))
    )
    result = read_json(build / "audit.json")
    assert "This build was not audited" in (varied_public / "README.md").read_text()
    train, test = images_of(build, split="train"), images_of(build, split="test")
    a, b, c = (*train["image_id"].iloc[[0, -1]], test["image_id"].iloc[-1])

    def crosses(other: str) -> list[str]:
        rows = pd.concat([train, test]).set_index("image_id").loc[[a, other]]
        names = {"split": "split", "label": "label", "source": "source", "patient": "group"}
        return [name for name, column in names.items() if rows[column].nunique() > 1]

    pair = {"a": a, "b": b, "kind": "near-duplicate", "crosses": crosses(b)}
    finding = pair | {"type": "pair", "message": f"{a} and {b} (near-duplicate)"}
    ids = [
        {
            "type": "similar ids", "message": "", "source": "mooney", "stem": f"p{i}",
            "patient_ids": [f"p{i}a", f"p{i}b"], "splits": ["test", "train"][i:],
        }
        for i in range(2)
    ]  # fmt: skip
    found = {
        "label_conflicts": [finding],
        "duplicates": [finding],
        "unlinked_duplicates": [finding],
        "similar_patient_ids": ids,
    }
    for check in result["checks"]:
        if check["id"] == "shared_patient_ids":
            check |= {"status": "not applicable", "value": None, "message": "the ids are hashed"}
        if check["id"].startswith("probe_"):
            message = "fewer than 20 patients of Normal"
            check |= {"status": "not applicable", "value": None, "message": message, "findings": []}
        if check["id"] in found:
            check["findings"] = found[check["id"]]
            check["value"] = len(check["findings"])
            check["status"] = "failed" if check["id"] == "label_conflicts" else check["status"]
        if check["id"] == "confounding":
            check |= {"status": "failed", "limit": 0.5}
    pair |= {"similarity": 0.99, "changes": [], "linked": False}
    result["pairs"] = [pair, pair | {"b": c, "kind": "similar", "crosses": crosses(c)}]
    result["status"] = "failed"
    result["duplicate_search"] |= {"limited_images": 30, "skipped_pairs": 412}
    (build / "audit.json").write_text(json.dumps(result))
    ran = run("release", "1.0.0", "--build", build, "--out", tmp_path / "second", COLUMNS="300")
    assert "Failed checks of its audit: label_conflicts, confounding. The card and the report" in ran.out
    card = (tmp_path / "second" / "README.md").read_text()
    limitations = read_json(tmp_path / "second" / "croissant.json")["rai:dataLimitations"]
    for sentence in (
        f"The audit found 1 duplicate with two labels: {a} (COVID-19) and {b} (Pneumonia). "
        "This exceeds the default limit of 0: the check label_conflicts failed.",
        "This exceeds the recipe's limit of 0.5: the check confounding failed.",
        "The check confounding found this: ",
        "The audit found 1 pair of duplicates, 1 of them of two patients.",
        f"The audit found 1 duplicate of patients who are not linked: {a} and {b}.",
        "The audit found 2 patient numbers with several endings (2 of mooney), such as p0a and p0b",
        "1 of the 2 are in several splits",
        "The audit found 1 similar pair of images of two patients, who may be one person; this is not "
        f"confirmed: {a}",
        "The audit compared only the best candidates of 30 images with more than 20 similar ones: it did not "
        "compare 412 pairs of possible duplicates.",
        "The audit did not make the check shared_patient_ids: the ids are hashed.",
        "The audit did not make the checks probe_border",
    ):
        assert sentence in card
        assert any(sentence in line for line in limitations)
    assert "30 images resemble more than 20 others" in (tmp_path / "second" / "report.html").read_text()
    assert "not audited" not in card
    assert verify(tmp_path / "second").findings == ()
    tree = read_json(build / "build.json")["declared_sources"]["cohen"]["pin"]["tree"]
    assert f"Git tree `{tree}`." in card


def test_refuses_an_audit_without_checks(varied: Path, tmp_path: Path) -> None:
    shutil.copytree(varied, tmp_path / "build")
    of = {"name": "demo-cxr", "manifest_sha256": sha256_of(varied / "manifest.parquet")}
    (tmp_path / "build" / "audit.json").write_text(json.dumps({"format": 2, "dataset": of}))
    with pytest.raises(CxrbuildError, match=r"(?s)audit\.json: not an audit result.*checks: missing"):
        release(tmp_path / "build", "1.0.0", tmp_path / "out")


@pytest.mark.parametrize("text", ["[]", "3", '{"dataset": 3}'])
def test_refuses_an_audit_that_is_none(varied: Path, tmp_path: Path, text: str) -> None:
    shutil.copytree(varied, tmp_path / "build")
    (tmp_path / "build" / "audit.json").write_text(text)
    with pytest.raises(CxrbuildError, match=r"audit\.json: not an audit result"):
        release(tmp_path / "build", "1.0.0", tmp_path / "out")
