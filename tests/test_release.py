"""Releases: what they embed, what others load from them, which versions they may have."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from html import escape
from pathlib import Path

import pandas as pd
import pytest
import yaml
from command import run
from libraries import library
from PIL import Image
from releasing import WITHHELD, baseline_result, change_rows, drop_rows, images_of, varied_build

from cxrbuild.artifact import ReleaseDocument
from cxrbuild.auditing.audit import audit
from cxrbuild.catalog import read_recipe
from cxrbuild.catalog.declarations import CATALOG
from cxrbuild.catalog.license import read_licenses
from cxrbuild.catalog.override import Overrides, ReviewOverride, RuleOverride
from cxrbuild.contents import Contents
from cxrbuild.documents import texts as generate_texts
from cxrbuild.errors import CheckError, CxrbuildError
from cxrbuild.files import read_json, sha256_of, write_json
from cxrbuild.records import conform, read_records
from cxrbuild.releasing import release
from cxrbuild.verification import verify


@pytest.fixture(scope="module")
def build(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return varied_build(demo, tmp_path_factory.mktemp("varied"), ["parquet"])


@pytest.fixture(scope="module")
def public(build: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("public") / "demo-cxr-1.0.0"
    release(build, "1.0.0", out)
    return out


@pytest.fixture(scope="module")
def private(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("private")
    out = folder / "demo-cxr-1.0.0"
    release(varied_build(demo, folder, ["parquet", "tfrecord"]), "1.0.0", out, policy="private")
    return out


def jpeg_of(build: Path, row: pd.Series) -> bytes:
    return (build / row["jpeg_path"]).read_bytes()


def test_public_embeds_what_may_be_passed_on(build: Path, public: Path) -> None:
    manifest = images_of(public)
    assert manifest["withheld"].value_counts().to_dict() == dict.fromkeys(WITHHELD, 1)
    for reason, columns in WITHHELD.items():
        row = manifest[manifest["withheld"] == reason].iloc[0]
        assert {name: row[name] for name in columns} == columns
        assert row["jpeg_sha256"] == sha256_of(build / row["jpeg_path"])
    shards = pd.concat(pd.read_parquet(path) for path in (public / "data").glob("*.parquet"))
    assert set(shards["image_id"]) == set(manifest.loc[manifest["withheld"].isna(), "image_id"])
    assert read_json(public / "build.json")["withheld"] == dict.fromkeys(WITHHELD, 1)
    # Not in the shards is not enough: no file of the release may hold a withheld image.
    for image in manifest.loc[manifest["withheld"].notna(), "jpeg_path"]:
        pixels = (build / image).read_bytes()
        assert not any(pixels in path.read_bytes() for path in public.rglob("*") if path.is_file())
    assert not (public / "images").exists()


def test_report_shows_embedded_images_only(public: Path, private: Path) -> None:
    hidden = images_of(public)
    hidden = hidden[hidden["withheld"].notna()]
    page = (public / "report.html").read_text()
    assert not [image for image in hidden["image_id"] if image in page]
    # A private release shows more, but never an image with a name on it.
    page = (private / "report.html").read_text()
    named = hidden.loc[hidden["withheld"] == "identifier", "image_id"].item()
    assert named not in page
    assert [image for image in hidden["image_id"] if image in page]


def test_report_is_one_file_without_network(public: Path) -> None:
    page = (public / "report.html").read_text()
    markup, script = page.split("<script>")
    addresses = re.findall(r'(?:src|href|url)\s*[=(]\s*["\']?([^"\'\s>)]+)', markup)
    assert addresses
    assert all(address.startswith(("data:image/jpeg;base64,", "data:,", "#")) for address in addresses)
    assert not re.search(r"https?:|fetch\(|import\(|XMLHttpRequest", script)


def test_report_escapes_words(demo: Path, tmp_path: Path) -> None:
    build = varied_build(demo, tmp_path, ["parquet"])
    document = read_json(build / "build.json")
    document["dataset"]["title"] = document["recipe"]["title"] = "<script>alert(1)</script>"
    (build / "build.json").write_text(json.dumps(document))
    release(build, "1.0.0", tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text()
    assert "&lt;script&gt;alert(1)" in page
    assert page.count("<script") == 1
    assert "<script>alert" not in page


def test_a_release_includes_audit_and_baseline_results(demo: Path, tmp_path: Path) -> None:
    build = varied_build(demo, tmp_path, ["parquet"])
    (build / "baseline").mkdir()
    (build / "baseline" / "metrics.json").write_text(json.dumps(baseline_result(build)))
    audited = audit(build, read_recipe(str(demo / "declared" / "recipe.toml"))).document.to_dict()
    (bias,) = audited["biases"]
    assert "single properties explain shares of a class's entropy: source 9" in bias
    release(build, "1.0.0", tmp_path / "out")
    assert verify(tmp_path / "out").findings == ()
    page = (tmp_path / "out" / "report.html").read_text()
    for words in (
        "63,148,835 parameters",
        "Gate: failed",
        "unlinked_duplicates",
        "<td>0.25",
        escape(bias).replace("&#x27;", "&#39;"),
    ):
        assert words in page
    assert (tmp_path / "out" / "audit.json").read_bytes() == (build / "audit.json").read_bytes()
    card = (tmp_path / "out" / "README.md").read_text()
    assert "`audit.json` and `report.html`" in card
    assert "`baseline.json` and `report.html`" in card
    assert f"- {bias}" in card
    assert bias in json.loads((tmp_path / "out" / "croissant.json").read_text())["rai:dataBiases"]


def test_refuses_a_baseline_of_another_build(demo: Path, tmp_path: Path) -> None:
    build = varied_build(demo, tmp_path, ["parquet"])
    (build / "baseline").mkdir()
    result = baseline_result(build)
    (build / "baseline" / "metrics.json").write_text(json.dumps(result))
    change_rows(build, images_of(build)["image_id"].iloc[0], patient_age=3.0)
    with pytest.raises(CxrbuildError, match=r"metrics\.json: this baseline result is of another build"):
        release(build, "1.0.0", tmp_path / "out")


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


def test_the_card_describes_what_the_audit_found(demo: Path, tmp_path: Path) -> None:
    build = varied_build(demo, tmp_path, ["parquet"])
    release(build, "1.0.0", tmp_path / "first")
    assert "This build was not audited" in (tmp_path / "first" / "README.md").read_text()
    audited = audit(build, read_recipe(str(demo / "declared" / "recipe.toml"))).document.to_dict()
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
    for check in audited["checks"]:
        if check["id"] in found:
            check["findings"] = found[check["id"]]
            check["value"] = len(check["findings"])
            check["status"] = "failed" if check["id"] == "label_conflicts" else check["status"]
    pair |= {"similarity": 0.99, "changes": [], "linked": False}
    audited["pairs"] = [pair, pair | {"b": c, "kind": "similar", "crosses": crosses(c)}]
    audited["status"] = "failed"
    audited["duplicate_search"] |= {"limited_images": 30, "skipped_pairs": 412}
    (build / "audit.json").write_text(json.dumps(audited))
    release(build, "1.0.0", tmp_path / "second")
    card = (tmp_path / "second" / "README.md").read_text()
    limitations = read_json(tmp_path / "second" / "croissant.json")["rai:dataLimitations"]
    for sentence in (
        f"1 duplicate with two labels: {a} (COVID-19) and {b} (Pneumonia). "
        "This exceeds the recipe's limit of 0",
        "1 pair of duplicates, 1 of them of two patients.",
        f"1 duplicate of patients who are not linked: {a} and {b}.",
        "2 patient numbers (mooney 2) with several endings, such as p0a and p0b",
        "1 of the 2 are in several splits",
        f"1 similar pair of images of two patients, who may be one person; this is not confirmed: {a}",
        "30 images resemble more than 20 others. Only their best candidates were compared: 412 pairs",
        "Not measured, because this dataset is too small: probe_border",
    ):
        assert sentence in card
        assert any(sentence in line for line in limitations)
    assert "30 images resemble more than 20 others" in (tmp_path / "second" / "report.html").read_text()
    assert "not audited" not in card
    assert verify(tmp_path / "second").findings == ()
    tree = read_json(build / "build.json")["declared_sources"]["cohen"]["pin"]["tree"]
    assert f"Git tree `{tree}`." in card
    ran = run("release", "1.0.0", "--build", build, "--out", tmp_path / "second", COLUMNS="300")
    assert "Failed checks of its audit: label_conflicts" in ran.out


def incomplete(build: Path, folder: Path) -> tuple[Path, list[str]]:
    """Copy a build without two images, as if they were missing, from an unpinned source."""
    shutil.copytree(build, folder / "incomplete")
    gone = images_of(build, source="cohen", split="train")["image_id"].iloc[-2:].tolist()
    drop_rows(folder / "incomplete", gone, step="missing_file")
    document = read_json(folder / "incomplete" / "build.json")
    document |= {"missing": dict.fromkeys(gone, "missing_file"), "unpinned": ["cohen"]}
    document["sources"]["cohen"] |= {"different": {"images/a.png": "0" * 40}, "unpinned": True}
    (folder / "incomplete" / "build.json").write_text(json.dumps(document))
    return folder / "incomplete", gone


def test_an_incomplete_build_keeps_its_version(build: Path, tmp_path: Path) -> None:
    short, gone = incomplete(build, tmp_path)
    release(build, "1.0.0", tmp_path / "demo-cxr-1.0.0")
    ran = run("release", "1.0.1", "--build", short, cwd=tmp_path, COLUMNS="300")
    out = tmp_path / "release" / "demo-cxr-1.0.1"
    assert ran.status == 0, ran.err
    assert "Incomplete: 2 images missing. The release cannot be published." in ran.out
    assert verify(out).findings == ()
    assert (verify(out).missing, verify(out).unpinned) == (2, ("cohen",))
    incompleteness = "2 images of 89 in the dataset missing."
    unpinned = "The files of cohen are not verified to be the pinned version. 1 file known to be different."
    card = (out / "README.md").read_text()
    assert f"> **Incomplete.** {incompleteness}" in card
    assert f"> **Unpinned.** {unpinned}" in card
    described = read_json(out / "croissant.json")["description"]
    assert described.startswith(f"Incomplete: {incompleteness}")
    assert unpinned in described
    assert "2 images of the dataset are missing" in (out / "report.html").read_text()
    # Next to the complete release: no row was removed.
    shutil.rmtree(out)
    release(short, "1.0.1", tmp_path / "demo-cxr-1.0.1")
    words = (tmp_path / "demo-cxr-1.0.1" / "CHANGELOG.md").read_text()
    assert f"Incomplete: {incompleteness}" in words
    assert "removed" not in words
    assert f"  - {gone[0]} (train COVID-19): new: missing_file" in words
    # Complete again: no row was added.
    release(build, "1.0.2", tmp_path / "demo-cxr-1.0.2", previous=tmp_path / "demo-cxr-1.0.1")
    words = (tmp_path / "demo-cxr-1.0.2" / "CHANGELOG.md").read_text().split("## 1.0.1")[0]
    assert "added" not in words
    assert f"  - {gone[0]} (train COVID-19): old: missing_file" in words


def test_verify_holds_what_is_missing_against_the_ledger(build: Path, tmp_path: Path) -> None:
    short, _ = incomplete(build, tmp_path)
    document = read_json(short / "build.json")
    other = images_of(short)["image_id"].iloc[0]
    (short / "build.json").write_text(json.dumps(document | {"missing": {other: "missing_file"}}))
    with pytest.raises(CheckError, match=rf"{other}: missing has missing_file, the ledger null"):
        release(short, "1.0.0", tmp_path / "out")
    (short / "build.json").write_text(json.dumps(document))
    release(short, "1.0.0", tmp_path / "out")
    for name, words in (("README.md", "**Incomplete.**"), ("croissant.json", "Incomplete: ")):
        text = (tmp_path / "out" / name).read_text()
        (tmp_path / "out" / name).write_text(text.replace(words, "Nearly whole: "))
        assert [found for found in verify(tmp_path / "out").findings if "Incomplete" in str(found)]
        (tmp_path / "out" / name).write_text(text)


def test_tfds_says_what_is_missing(build: Path, tmp_path: Path) -> None:
    short, _ = incomplete(build, tmp_path)
    document = read_json(short / "build.json")
    (short / "build.json").write_text(json.dumps(document | {"formats": ["tfrecord"]}))
    release(short, "1.0.0", tmp_path / "out")
    info = read_json(tmp_path / "out" / "tfds" / "demo_cxr" / "1.0.0" / "dataset_info.json")
    assert info["description"].startswith("Incomplete: 2 images")
    assert "Unpinned: The files of cohen" in info["description"]


def test_recipe_of_the_paper_dataset_says_no_more_than_is_known() -> None:
    recipe = read_recipe("covid19-cxr")
    assert "The recipe defines 6,354 chest X-rays" in " ".join(recipe.description.split())
    with (CATALOG / "reviews" / "covid_frontal.csv").open(encoding="utf-8", newline="") as stream:
        marks = [row["mark"] for row in csv.DictReader(stream)]
    seen = len(marks) - marks.count("unseen")
    text = " ".join(recipe.datasheet.annotation.split())
    assert f"{seen} of the {len(marks)} COVID-19 candidates" in text
    assert f"other {marks.count('unseen')} (32 of ActualMed, 7 of Cohen)" in text


def test_a_release_without_pixels(build: Path, tmp_path: Path) -> None:
    shutil.copytree(build, tmp_path / "build")
    change_rows(tmp_path / "build", images_of(build)["image_id"].tolist(), license="LicenseRef-internal")
    ran = run("release", "1.0.0", "--build", tmp_path / "build", cwd=tmp_path, COLUMNS="600")
    assert ran.status == 0
    assert "No image may be redistributed, so the release has no pixels" in ran.out
    assert "--policy private" in ran.out
    out = tmp_path / "release" / "demo-cxr-1.0.0"
    assert not (out / "data").exists()
    assert verify(out).findings == ()
    card = (out / "README.md").read_text()
    assert "only the tables can be loaded" in card
    for code in ("load_dataset", "mlcroissant", "builder_from_directory"):
        assert code not in card
    assert "manifest.parquet' GROUP BY ALL" in card


def commands(card: Path) -> list[str]:
    return [
        line
        for line in card.read_text().splitlines()
        if re.match(r"cxrbuild (fetch|curate|verify) ", f"{line} ")
    ]


def shipped_build(build: Path, folder: Path, name: str, overrides: Overrides) -> Path:
    """Copy a build as if a shipped recipe had made it."""
    shutil.copytree(build, folder)
    document = read_json(build / "build.json")
    recipe = read_recipe(name).model_dump(mode="json", exclude={"audit", "baseline"})
    document |= {"recipe": recipe, "dataset": {"name": name, "version": "1.0.0", "title": recipe["title"]}}
    document["overrides"] = overrides.model_dump(mode="json")
    (folder / "build.json").write_text(json.dumps(document))
    return folder


@pytest.mark.parametrize(
    ("name", "overrides", "fetch", "curate"),
    [
        ("covid19-cxr", Overrides(), "", ""),
        (
            "covid19-cxr",
            Overrides(
                rules=(RuleOverride(rule="lateral", switch="lateral", enabled=False),),
                reviews=(
                    ReviewOverride(file="my, second reader.csv", reviews=1, replaced=1),
                    ReviewOverride(file="b.csv", reviews=1, replaced=0),
                ),
            ),
            "",
            " --keep-lateral --reviews 'my, second reader.csv' --reviews b.csv",
        ),
        (
            "covid19-cxr-adult",
            Overrides(rules=(RuleOverride(rule="annotated", switch="annotated", enabled=False),)),
            " cohen figure1 actualmed",
            " --recipe covid19-cxr-adult --keep-annotated",
        ),
    ],
)  # fmt: skip
def test_card_rebuilds_this_very_dataset(
    build: Path, tmp_path: Path, name: str, overrides: Overrides, fetch: str, curate: str
) -> None:
    from cxrbuild.contents import Contents
    from cxrbuild.documents.rebuild import rebuild_commands
    from cxrbuild.rules import switch_rules

    made = shipped_build(build, tmp_path / "build", name, overrides)
    document = read_json(made / "build.json")
    recipe, _ = switch_rules(read_recipe(name), {"lateral": False})
    document["recipe"] = recipe.model_dump(mode="json", exclude={"audit", "baseline"})
    document |= {"policy": "public", "date": "2026-11-23", "withheld": {}}
    del document["files"]
    document["packaging"] = {"cxrbuild": "0", "manifest_sha256": "0", "files": {}}
    contents = Contents(ReleaseDocument.parse(document, made), images_of(build))
    commands = rebuild_commands(contents)
    assert commands == [f"cxrbuild fetch{fetch}", f"cxrbuild curate{curate}"]
    # The command line takes them.
    for command in commands:
        ran = run(*command.split()[1:2], "--help")
        assert all(option in ran.out for option in re.findall(r"--\w+", command))


def test_card_of_the_adult_recipe(public: Path, build: Path, tmp_path: Path) -> None:
    """Its images are the demo's, and its counts do not matter here: the card must name its recipe."""
    recipe = read_json(
        shipped_build(build, tmp_path / "build", "covid19-cxr-adult", Overrides()) / "build.json"
    )
    document = read_json(public / "build.json") | {key: recipe[key] for key in ("recipe", "dataset")}
    # The demo's sources are the paper's four.
    document["recipe"]["sources"] = list(document["declared_sources"])
    contents = Contents(ReleaseDocument.parse(document, public), read_records(public / "ledger.parquet"))
    texts = dict(generate_texts(public, contents, {}, []))
    (tmp_path / "README.md").write_text(texts["README.md"])
    assert commands(tmp_path / "README.md")[1:] == [
        "cxrbuild curate --recipe covid19-cxr-adult.toml",
        "cxrbuild verify build/covid19-cxr-adult/images --manifest covid19-cxr-adult-1.0.0/manifest.parquet",
    ]


def test_card_of_a_recipe_of_ones_own(build: Path, tmp_path: Path) -> None:
    shutil.copytree(build, tmp_path / "build")
    document = read_json(build / "build.json")
    overrides = {
        "rules": [{"rule": "lateral", "switch": "lateral", "enabled": True}],
        "reviews": [{"file": "mine.csv", "reviews": 1, "replaced": 0}],
    }
    (tmp_path / "build" / "build.json").write_text(json.dumps(document | {"overrides": overrides}))
    release(tmp_path / "build", "1.0.0", tmp_path / "out")
    fetch, curate, _ = commands(tmp_path / "out" / "README.md")
    assert fetch == "cxrbuild fetch " + " ".join(document["recipe"]["sources"])
    assert curate == "cxrbuild curate --recipe demo-cxr.toml --drop-lateral --reviews mine.csv"
    card = " ".join((tmp_path / "out" / "README.md").read_text().split())
    assert "The recipe is not shipped with cxrbuild" in card
    assert "need its file, here called `demo-cxr.toml`" in card
    assert "`build.json` has the recipe under `recipe`" in card
    assert "The build uses additional review files: mine.csv." in card


def test_both_policies_pass_verify(public: Path, private: Path) -> None:
    for folder, images in ((public, 89), (private, 89)):
        verified = verify(folder)
        assert verified.findings == ()
        assert (verified.kind, verified.images) == ("release", images)


def test_private_is_marked(private: Path) -> None:
    assert read_json(private / "build.json")["policy"] == "private"
    assert "**Private release.**" in (private / "README.md").read_text()
    assert "Private." in (private / "report.html").read_text()
    assert images_of(private)["withheld"].isna().all()


def test_holds_what_is_promised(private: Path) -> None:
    found = {path.relative_to(private).as_posix() for path in private.rglob("*") if path.is_file()}
    promised = {
        "README.md", "croissant.json", "ro-crate-metadata.json", "manifest.parquet", "ledger.parquet",
        "ATTRIBUTION.csv", "CITATION.cff", "CHANGELOG.md", "SHA256SUMS", "build.json", "report.html",
        "images.csv",
        "data/train-00000-of-00001.parquet", "data/test-00000-of-00001.parquet",
        "tfds/demo_cxr/1.0.0/dataset_info.json", "tfds/demo_cxr/1.0.0/features.json",
        "tfds/demo_cxr/1.0.0/label.labels.txt",
        "tfds/demo_cxr/1.0.0/demo_cxr-train.tfrecord-00000-of-00001",
        "tfds/demo_cxr/1.0.0/demo_cxr-test.tfrecord-00000-of-00001",
    }  # fmt: skip
    assert found == promised
    sums = dict(line.split("  ")[::-1] for line in (private / "SHA256SUMS").read_text().splitlines())
    assert sums == {name: sha256_of(private / name) for name in promised - {"SHA256SUMS"}}


def test_hugging_face_datasets_loads_it(
    build: Path, public: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    loaded = datasets.load_dataset(str(public), cache_dir=str(tmp_path))
    manifest = images_of(public).set_index("image_id")
    embedded = manifest[manifest["withheld"].isna()]
    assert {part: len(rows) for part, rows in loaded.items()} == embedded["split"].value_counts().to_dict()
    assert loaded["train"].features["label"].names == ["COVID-19", "Normal", "Pneumonia"]
    for part, rows in loaded.items():
        names = rows.features["label"].names
        for row in rows:
            due = embedded.loc[row["image_id"]]
            assert (due["split"], due["label"]) == (part, names[row["label"]])
            assert row["image"].tobytes() == Image.open(build / due["jpeg_path"]).tobytes()


def test_card_is_valid_for_the_hub(public: Path) -> None:
    hub = pytest.importorskip("huggingface_hub")
    card = hub.DatasetCard.load(public / "README.md")
    assert card.data.license == "other"
    assert card.data.configs[0]["data_files"][0] == {"split": "train", "path": "data/train-*.parquet"}
    splits = {split["name"]: split["num_examples"] for split in card.data.dataset_info["splits"]}
    embedded = images_of(public)
    assert splits == embedded[embedded["withheld"].isna()]["split"].value_counts().to_dict()
    for reason in WITHHELD:
        assert f"\n| {reason} | 1 |" in card.text


def test_tensorflow_datasets_loads_it(private: Path) -> None:
    tfds = pytest.importorskip("tensorflow_datasets")
    builder = tfds.builder_from_directory(private / "tfds" / "demo_cxr" / "1.0.0")
    manifest = images_of(private).set_index("image_id")
    assert builder.info.features["label"].names == ["COVID-19", "Normal", "Pneumonia"]
    seen = []
    for part in ("train", "test"):
        for row in tfds.as_numpy(builder.as_dataset(part)):
            due = manifest.loc[row["image_id"].decode()]
            assert (due["split"], due["width"], due["height"]) == (
                part,
                row["image"].shape[1],
                row["image"].shape[0],
            )
            seen.append(due.name)
    assert sorted(seen) == sorted(manifest.index)


# rdflib, which mlcroissant reads with, warns of itself.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_croissant_loads_images_and_manifest(
    build: Path, public: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mlc = pytest.importorskip("mlcroissant")
    dataset = mlc.Dataset(public / "croissant.json")
    assert not dataset.metadata.ctx.issues.errors
    assert not dataset.metadata.ctx.issues.warnings
    manifest = images_of(public).set_index("image_id")
    records = list(dataset.records("images"))
    assert len(records) == manifest["withheld"].isna().sum()
    for record in records:
        due = manifest.loc[record["images/image_id"].decode()]
        assert due["split"].encode() == record["images/split"]
        assert record["images/image"].tobytes() == Image.open(build / due["jpeg_path"]).tobytes()
    rows = list(dataset.records("manifest"))
    assert {row["manifest/image_id"].decode() for row in rows} == set(manifest.index)
    assert not caplog.records


def test_croissant_has_biases_and_missing_data(public: Path) -> None:
    document = read_json(public / "croissant.json")
    assert any("Every Normal image is from mooney" in text for text in document["rai:dataBiases"])
    assert "license_unknown: 1" in document["rai:dataCollectionMissingData"]


def test_pandas_and_duckdb_read_the_tables(public: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    manifest = pd.read_parquet(public / "manifest.parquet")
    query = f"SELECT label, count(*) FROM '{public}/manifest.parquet' GROUP BY label"
    assert dict(duckdb.sql(query).fetchall()) == manifest["label"].value_counts().to_dict()
    query = f"SELECT image_id, octet_length(image.bytes) FROM '{public}/data/*.parquet'"
    sizes = manifest.set_index("image_id")["jpeg_bytes"]
    found = dict(duckdb.sql(query).fetchall())
    assert found == {image: sizes[image] for image in found}
    assert len(found) == 83


def test_torchxrayvision_reads_the_list(build: Path, public: Path) -> None:
    xrv = library("torchxrayvision")
    found = xrv.datasets.COVID19_Dataset(imgpath=str(build), csvpath=str(public / "images.csv"), views=["*"])
    assert len(found) == 89
    assert found[0]["img"].shape[0] == 1


def test_card_says_that_the_list_needs_all_views(public: Path) -> None:
    unknown = images_of(public)["view_position"].isna()
    card = " ".join((public / "README.md").read_text().split())
    assert 'Pass `views="*"`' in card
    counts = images_of(public)[unknown]["label"].value_counts()
    assert counts["Pneumonia"]
    assert all(f"{n} of {label}" in card for label, n in counts.items())


def test_image_list_leads_to_the_images(build: Path, public: Path) -> None:
    rows = list(csv.DictReader(io.StringIO((public / "images.csv").read_text())))
    assert {"patientid", "offset", "sex", "age", "finding", "view", "filename"} <= set(rows[0])
    assert all((build / row["filename"]).is_file() for row in rows)
    assert len(rows) == 89


def test_attribution_names_everyone(public: Path) -> None:
    table = pd.read_csv(public / "ATTRIBUTION.csv")
    assert len(table) == 89
    assert table["attribution"].notna().all()
    assert table["embedded"].value_counts().to_dict() == {"yes": 83, "no": 6}
    assert set(table["changes"]) <= {"none", "converted to an 8-bit grey JPEG"}


def test_citation(public: Path) -> None:
    cited = yaml.safe_load((public / "CITATION.cff").read_text())
    assert cited["cff-version"] == "1.2.0"
    assert (cited["type"], cited["version"]) == ("dataset", "1.0.0")
    assert cited["authors"]
    assert cited["title"]


def test_same_build_same_bytes(build: Path, public: Path, tmp_path: Path) -> None:
    release(build, "1.0.0", tmp_path / "other-name")
    assert (tmp_path / "other-name" / "SHA256SUMS").read_bytes() == (public / "SHA256SUMS").read_bytes()


def test_source_date_epoch_is_the_date(build: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1600000000")
    release(build, "1.0.0", tmp_path / "out")
    assert read_json(tmp_path / "out" / "croissant.json")["datePublished"] == "2020-09-13"
    assert "## 1.0.0 (2020-09-13)" in (tmp_path / "out" / "CHANGELOG.md").read_text()
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    with pytest.raises(CxrbuildError, match=r"SOURCE_DATE_EPOCH: not a valid time.*yesterday"):
        release(build, "1.0.1", tmp_path / "later")


def test_refuses_a_build_without_a_date(build: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    shutil.copytree(build, tmp_path / "build")
    document = read_json(build / "build.json")
    document["recipe"]["date"] = None
    (tmp_path / "build" / "build.json").write_text(json.dumps(document))
    with pytest.raises(CxrbuildError, match="the release has no date"):
        release(tmp_path / "build", "1.0.0", tmp_path / "out")


def test_a_release_never_changes(build: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert release(build, "1.0.0", out).written
    stamp = (out / "SHA256SUMS").stat()
    assert not release(build, "1.0.0", out).written
    assert (out / "SHA256SUMS").stat() == stamp
    with pytest.raises(CxrbuildError, match="the folder holds another release"):
        release(build, "1.0.0", out, policy="private")
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("name", ["audit.json", "README.md", "data/train-00000-of-00001.parquet"])
def test_notices_a_damaged_release(build: Path, public: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(public, tmp_path / "out")
    (tmp_path / "out" / name).write_text("{}")
    with pytest.raises(CheckError, match=rf"(?s)its files have changed.*{name}.*Move it away"):
        release(build, "1.0.0", tmp_path / "out")
    assert (tmp_path / "out" / name).read_text() == "{}"


def test_versions_before_the_first_move_freely(build: Path, tmp_path: Path) -> None:
    release(build, "0.1.0", tmp_path / "demo-cxr-0.1.0")
    shutil.copytree(build, tmp_path / "build")
    drop_rows(tmp_path / "build", [images_of(build, source="mooney", split="train")["image_id"].iloc[0]])
    with pytest.raises(CheckError, match=r"Expected: 0\.1\.1 or later"):
        release(tmp_path / "build", "0.1.0", tmp_path / "other", previous=tmp_path / "demo-cxr-0.1.0")
    release(tmp_path / "build", "0.2.0", tmp_path / "demo-cxr-0.2.0")
    assert "1 removed row" in (tmp_path / "demo-cxr-0.2.0" / "CHANGELOG.md").read_text()


def test_refuses_a_step_back(build: Path, tmp_path: Path) -> None:
    newest = tmp_path / "release" / "demo-cxr-1.0.0"
    release(build, "1.0.0", newest)
    ran = run("release", "0.9.0", "--build", build, cwd=tmp_path, COLUMNS="600")
    assert ran.status == 3
    assert "version 0.9.0 is lower than the newest version. Expected: 1.0.0 or later" in ran.err
    assert [path.name for path in newest.parent.iterdir()] == ["demo-cxr-1.0.0"]
    # The other policy has a line of its own.
    release(build, "0.9.0", newest.parent / "demo-cxr-0.9.0", policy="private")
    # An existing release stays; --previous names the last release of an older line.
    release(build, "2.0.0", newest.parent / "demo-cxr-2.0.0")
    assert not release(build, "1.0.0", newest).written
    assert release(build, "1.0.1", newest.parent / "demo-cxr-1.0.1", previous=newest).written


@pytest.mark.parametrize("text", ["{}", "[]", "3", '{"files": {}}', '{"format": 1, "dataset": {"na'])
def test_refuses_a_build_json_that_is_none(build: Path, tmp_path: Path, text: str) -> None:
    shutil.copytree(build, tmp_path / "build")
    (tmp_path / "build" / "build.json").write_text(text)
    ran = run("release", "1.0.0", "--build", tmp_path / "build", cwd=tmp_path, COLUMNS="600")
    assert ran.status == 1
    assert "build.json: not the build.json of a build" in ran.err
    assert "Traceback" not in ran.err
    assert not (tmp_path / "release").exists()


def test_refuses_a_build_json_that_lacks_a_table(build: Path, tmp_path: Path) -> None:
    shutil.copytree(build, tmp_path / "build")
    document = read_json(build / "build.json")
    del document["files"]["ledger.parquet"]
    (tmp_path / "build" / "build.json").write_text(json.dumps(document))
    with pytest.raises(CxrbuildError, match=r"files\.ledger\.parquet: missing"):
        release(tmp_path / "build", "1.0.0", tmp_path / "out")


@pytest.mark.parametrize("text", ["{}", "[]", '{"dataset": {"na'])
def test_a_release_beside_it_that_cannot_be_read(
    build: Path, public: Path, tmp_path: Path, text: str
) -> None:
    shutil.copytree(public, tmp_path / "demo-cxr-1.0.0")
    (tmp_path / "demo-cxr-1.0.0" / "build.json").write_text(text)
    with pytest.raises(CxrbuildError, match=r"demo-cxr-1\.0\.0/build\.json: (this is )?not "):
        release(build, "1.0.1", tmp_path / "demo-cxr-1.0.1")
    with pytest.raises(CxrbuildError, match=r"demo-cxr-1\.0\.0/build\.json: (this is )?not "):
        release(build, "1.0.1", tmp_path / "elsewhere" / "new", previous=tmp_path / "demo-cxr-1.0.0")


def test_refuses_an_audit_without_checks(build: Path, tmp_path: Path) -> None:
    shutil.copytree(build, tmp_path / "build")
    of = {"name": "demo-cxr", "manifest_sha256": sha256_of(build / "manifest.parquet")}
    (tmp_path / "build" / "audit.json").write_text(json.dumps({"format": 2, "dataset": of}))
    with pytest.raises(CxrbuildError, match=r"(?s)audit\.json: not an audit result.*checks: missing"):
        release(tmp_path / "build", "1.0.0", tmp_path / "out")


@pytest.mark.parametrize("text", ["[]", "3", '{"dataset": 3}'])
def test_refuses_an_audit_that_is_none(build: Path, tmp_path: Path, text: str) -> None:
    shutil.copytree(build, tmp_path / "build")
    (tmp_path / "build" / "audit.json").write_text(text)
    with pytest.raises(CxrbuildError, match=r"audit\.json: not an audit result"):
        release(tmp_path / "build", "1.0.0", tmp_path / "out")


def test_leaves_a_strangers_folder_alone(build: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("years of work")
    with pytest.raises(CxrbuildError, match="the folder holds something else"):
        release(build, "1.0.0", tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.tex"]


def test_goes_on_after_a_killed_run(build: Path, public: Path, tmp_path: Path) -> None:
    left = tmp_path / ".out.part" / "out"
    left.mkdir(parents=True)
    (left / "README.md").write_text("half a ca")
    release(build, "1.0.0", tmp_path / "out")
    assert (tmp_path / "out" / "SHA256SUMS").read_bytes() == (public / "SHA256SUMS").read_bytes()


def test_refuses_too_small_a_step(build: Path, tmp_path: Path) -> None:
    release(build, "1.0.0", tmp_path / "demo-cxr-1.0.0")
    shutil.copytree(build, tmp_path / "build")
    image = images_of(build, source="mooney", split="train")["image_id"].iloc[0]
    drop_rows(tmp_path / "build", [image])
    with pytest.raises(
        CheckError, match=r"(?s)too small for what changed.*Expected: 2\.0\.0 or later"
    ) as refused:
        release(tmp_path / "build", "1.9.9", tmp_path / "demo-cxr-1.9.9")
    assert image in str(refused.value)
    release(tmp_path / "build", "2.0.0", tmp_path / "demo-cxr-2.0.0")
    assert verify(tmp_path / "demo-cxr-2.0.0").findings == ()


def test_changelog_has_every_version(build: Path, tmp_path: Path) -> None:
    release(build, "1.0.0", tmp_path / "demo-cxr-1.0.0")
    shutil.copytree(build, tmp_path / "build")
    rows = images_of(build, source="mooney", split="train").sort_values("image_id").iloc[:26]
    (*aged, gone), label = rows["image_id"], rows["label"].iloc[-1]
    change_rows(tmp_path / "build", aged, patient_age=3.0)
    release(tmp_path / "build", "1.0.1", tmp_path / "demo-cxr-1.0.1")
    drop_rows(tmp_path / "build", [gone])
    release(tmp_path / "build", "2.0.0", tmp_path / "demo-cxr-2.0.0")
    words = (tmp_path / "demo-cxr-2.0.0" / "CHANGELOG.md").read_text()
    reported = [line for line in words.splitlines() if line.startswith(("#", "  - "))]
    assert reported == [
        "# Changelog",
        "## 2.0.0 (2026-11-23)",
        f"  - {gone} (train {label}): annotated",
        "## 1.0.1 (2026-11-23)",
        *[f"  - {image} (patient_age null -> 3.0)" for image in aged],
        "## 1.0.0 (2026-11-23)",
    ]


def test_previous_release_can_be_named(build: Path, tmp_path: Path) -> None:
    release(build, "1.0.0", tmp_path / "elsewhere" / "first")
    result = release(build, "1.2.0", tmp_path / "out", previous=tmp_path / "elsewhere" / "first")
    assert result.release.version == "1.2.0"
    assert result.changes is not None
    assert result.changes.bump is None
    assert "the same as in 1.0.0" in (tmp_path / "out" / "CHANGELOG.md").read_text()


def test_refuses_a_version_published_with_other_rows(build: Path, tmp_path: Path) -> None:
    shutil.copytree(build, tmp_path / "build")
    document = read_json(build / "build.json")
    document["dataset"]["name"] = "covid19-cxr"
    (tmp_path / "build" / "build.json").write_text(json.dumps(document))
    with pytest.raises(CheckError, match=r"version 1\.0\.0 was published with other rows"):
        release(tmp_path / "build", "1.0.0", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("version", ["1.0", "v1.0.0", "1.0.0-rc1", "01.0.0", "../1.0.0"])
def test_refuses_what_is_no_version(build: Path, tmp_path: Path, version: str) -> None:
    with pytest.raises(CxrbuildError, match="not a version"):
        release(build, version, tmp_path / "out")


def test_refuses_a_build_that_was_tampered_with(build: Path, tmp_path: Path) -> None:
    shutil.copytree(build, tmp_path / "build")
    row = images_of(build, source="mooney").iloc[0]
    path = tmp_path / "build" / row["jpeg_path"]
    pixels = path.read_bytes()
    path.write_bytes(pixels[:-3] + bytes([pixels[-3] ^ 1]) + pixels[-2:])
    with pytest.raises(CheckError, match=rf"{row['image_id']}: its pixels are not the manifest's"):
        release(tmp_path / "build", "1.0.0", tmp_path / "out")
    Image.new("L", (32, 32)).save(path)
    with pytest.raises(CheckError, match=rf"1 image of the build changed since.*{row['image_id']}.*curate"):
        release(tmp_path / "build", "1.0.0", tmp_path / "out")
    (tmp_path / "build" / row["jpeg_path"]).unlink()
    with pytest.raises(CheckError, match=rf"1 image of the build missing.*{row['image_id']}"):
        release(tmp_path / "build", "1.0.0", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    shutil.copy(build / "ledger.parquet", tmp_path / "build" / "manifest.parquet")
    with pytest.raises(CheckError, match=r"manifest\.parquet: the file has changed since it was built"):
        release(tmp_path / "build", "1.0.0", tmp_path / "out")


def test_refuses_what_is_no_build(public: Path, tmp_path: Path) -> None:
    with pytest.raises(CxrbuildError, match="no finished build"):
        release(tmp_path, "1.0.0", tmp_path / "out")
    with pytest.raises(CxrbuildError, match="this folder holds a release"):
        release(public, "1.0.0", tmp_path / "out")


def test_command_line(build: Path, tmp_path: Path) -> None:
    ran = run("release", "1.0.0", "--build", build, cwd=tmp_path)
    assert ran.status == 0, ran.err
    assert "demo-cxr 1.0.0 (public) released: 89 images, 83 with pixels" in " ".join(ran.out.split())
    assert verify(tmp_path / "release" / "demo-cxr-1.0.0").findings == ()
    ran = run("release", "1.0.0", "--build", build, "--policy", "private", "--json", cwd=tmp_path)
    assert json.loads(ran.out)["release"] == "release/demo-cxr-1.0.0-private"
    ran = run("release", "0.9", "--build", build, cwd=tmp_path)
    assert ran.status == 1
    assert "not a version" in ran.err


def test_curate_rebuilds_withheld_images(build: Path, public: Path, tmp_path: Path) -> None:
    ran = run("verify", build / "images", "--manifest", public / "manifest.parquet")
    assert ran.status == 0, ran.err
    hidden = images_of(public, withheld="license_unknown").iloc[0]
    shutil.copytree(build / "images", tmp_path / "images")
    Image.new("L", (8, 8)).save(tmp_path / "images" / hidden["jpeg_path"].removeprefix("images/"))
    ran = run("verify", tmp_path / "images", "--manifest", public / "manifest.parquet")
    assert ran.status == 3
    assert f"{hidden['image_id']}: its pixels are not the manifest's" in " ".join(ran.err.split())


def test_licences_are_declared_with_sources() -> None:
    licences = read_licenses()
    assert all(licence.source.startswith("https://") for licence in licences.values())
    assert all(not licence.adaptation for name, licence in licences.items() if "-ND" in name)
    assert "unknown" not in licences


def test_every_licence_of_the_sources_is_in_the_table() -> None:
    from cxrbuild.catalog import read_source, source_names
    from cxrbuild.catalog.license import UNKNOWN

    sources = [read_source(name) for name in source_names()]
    words = {source.license for source in sources}
    words |= {word for s in sources if s.columns.license for word in (s.columns.license.map or {}).values()}
    assert words - {UNKNOWN} <= set(read_licenses())


def test_withheld_of_an_empty_table() -> None:
    from cxrbuild.policy import withheld

    assert withheld(conform(pd.DataFrame()), "public").empty


def copied_recipe(build: Path, folder: Path, **changes: object) -> Path:
    """Copy a build as if it had been built from a changed copy of the shipped recipe `covid19-cxr`."""
    shutil.copytree(build, folder)
    document = read_json(folder / "build.json")
    shipped = read_recipe("covid19-cxr")
    document["recipe"] |= {"name": shipped.name, "title": shipped.title, "description": shipped.description}
    document["recipe"] |= changes
    document["dataset"] |= {"name": document["recipe"]["name"], "title": document["recipe"]["title"]}
    write_json(folder / "build.json", document)
    return folder


def test_a_changed_copy_of_a_shipped_recipe_needs_its_own_text(build: Path, tmp_path: Path) -> None:
    copy = copied_recipe(build, tmp_path / "copy")
    with pytest.raises(CheckError, match="keeps its name, title, description"):
        release(copy, "2.0.0", tmp_path / "out")
    half = copied_recipe(build, tmp_path / "half", name="mine-cxr", title="Mine")
    with pytest.raises(CheckError, match="differs from the shipped covid19-cxr, and keeps its description"):
        release(half, "2.0.0", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_licence_that_asks_for_credit_needs_attribution(build: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(build, bare)
    document = read_json(bare / "build.json")
    document["declared_sources"]["mooney"] |= {"homepage": None, "citation": None}
    write_json(bare / "build.json", document)
    image = images_of(bare, source="mooney")["image_id"].iloc[0]
    change_rows(bare, image, license="CC-BY-4.0", attribution=None)
    with pytest.raises(CheckError) as caught:
        release(bare, "1.0.0", tmp_path / "out")
    said = str(caught.value)
    assert "mooney: 1 image under CC-BY-4.0" in said
    assert "[columns.attribution]" in said
    change_rows(bare, image, attribution="A. Author, 2020")
    release(bare, "1.0.0", tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text()
    assert "\n\n\n" not in card
    assert "None" not in card.replace("NonCommercial", "")
    assert 'load_dataset("OWNER/demo-cxr")' in card
    assert "license: other\n" in card


def test_a_card_has_the_licence_that_all_images_have(demo: Path, tmp_path: Path) -> None:
    build = tmp_path / "free"
    shutil.copytree(demo / "build", build)
    change_rows(build, list(images_of(build)["image_id"]), license="CC0-1.0")
    card = release(build, "1.0.0", tmp_path / "out").release.folder / "README.md"
    front = yaml.safe_load(card.read_text().split("---\n")[1])
    assert front["license"] == "cc0-1.0"
    assert "license_name" not in front
    assert "All images have one licence" in card.read_text()
    assert "## Withheld pixels" not in card.read_text()
