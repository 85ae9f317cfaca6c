"""Releases: what they embed and promise, and that they never change."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from command import run
from PIL import Image
from recording import Recorded
from releasing import WITHHELD, change_rows, images_of, varied_build

import cxrbuild
from cxrbuild.errors import CheckError, CxrbuildError
from cxrbuild.files import read_json, sha256_of, write_json
from cxrbuild.policy import withheld
from cxrbuild.records import conform
from cxrbuild.releasing import release
from cxrbuild.verification import verify

pytestmark = pytest.mark.xdist_group("release")


def test_public_embeds_what_may_be_passed_on(varied: Path, varied_public: Path) -> None:
    manifest = images_of(varied_public)
    assert manifest["withheld"].value_counts().to_dict() == dict.fromkeys(WITHHELD, 1)
    for reason, columns in WITHHELD.items():
        row = manifest[manifest["withheld"] == reason].iloc[0]
        assert {name: row[name] for name in columns} == columns
        assert row["jpeg_sha256"] == sha256_of(varied / row["jpeg_path"])
    shards = pd.concat(pd.read_parquet(path) for path in (varied_public / "data").glob("*.parquet"))
    assert set(shards["image_id"]) == set(manifest.loc[manifest["withheld"].isna(), "image_id"])
    assert read_json(varied_public / "build.json")["withheld"] == dict.fromkeys(WITHHELD, 1)
    # Not in the shards is not enough: no file of the release may hold a withheld image.
    for image in manifest.loc[manifest["withheld"].notna(), "jpeg_path"]:
        pixels = (varied / image).read_bytes()
        assert not any(pixels in path.read_bytes() for path in varied_public.rglob("*") if path.is_file())
    assert not (varied_public / "images").exists()


def test_report_shows_embedded_images_only(varied_public: Path, varied_private: Path) -> None:
    hidden = images_of(varied_public)
    hidden = hidden[hidden["withheld"].notna()]
    page = (varied_public / "report.html").read_text()
    assert not [image for image in hidden["image_id"] if image in page]
    # A private release shows more, but never an image with a name on it.
    page = (varied_private / "report.html").read_text()
    named = hidden.loc[hidden["withheld"] == "identifier", "image_id"].item()
    assert named not in page
    assert [image for image in hidden["image_id"] if image in page]


def test_report_is_one_file_without_network(varied_public: Path) -> None:
    page = (varied_public / "report.html").read_text()
    markup, script = page.split("<script>")
    addresses = re.findall(r'(?:src|href|url)\s*[=(]\s*["\']?([^"\'\s>)]+)', markup)
    assert addresses
    assert all(address.startswith(("data:image/jpeg;base64,", "data:,", "#")) for address in addresses)
    assert not re.search(r"https?:|fetch\(|import\(|XMLHttpRequest", script)


@pytest.mark.usefixtures("without_verifying")
def test_report_escapes_words(demo: Path, tmp_path: Path) -> None:
    build = varied_build(demo, tmp_path, ["parquet"])
    document = read_json(build / "build.json")
    document["dataset"]["title"] = document["recipe"]["title"] = "<script>alert(1)</script>"
    excluding = next(rule for rule in document["recipe"]["rules"] if rule["name"] == "lateral")
    excluding["reason"] = "The `view_position` is <not> frontal."
    (build / "build.json").write_text(json.dumps(document))
    release(build, "1.0.0", tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text()
    assert "&lt;script&gt;alert(1)" in page
    assert "The <code>view_position</code> is &lt;not&gt; frontal." in page
    assert page.count("<script") == 1
    assert "<script>alert" not in page


def test_both_policies_pass_verify(varied_public: Path, varied_private: Path) -> None:
    verified = verify(varied_private)
    assert verified.findings == ()
    assert (verified.kind, verified.images, verified.withheld) == ("release", 89, 0)
    ran = run("verify", varied_public)
    assert ran.status == 0, ran.err
    assert f"89 images, {89 - len(WITHHELD)} of them with pixels." in ran.out


def test_private_is_marked(varied_private: Path) -> None:
    assert read_json(varied_private / "build.json")["policy"] == "private"
    assert "**Private release.**" in (varied_private / "README.md").read_text()
    assert "Private." in (varied_private / "report.html").read_text()
    assert images_of(varied_private)["withheld"].isna().all()


def test_holds_what_is_promised(varied_private: Path) -> None:
    found = {
        path.relative_to(varied_private).as_posix() for path in varied_private.rglob("*") if path.is_file()
    }
    promised = {
        "README.md", "croissant.json", "ro-crate-metadata.json", "manifest.parquet", "ledger.parquet",
        "ATTRIBUTION.csv", "CITATION.cff", "CITATION.bib", "CHANGELOG.md", "SHA256SUMS", "build.json",
        "report.html", "images.csv",
        "data/train-00000-of-00001.parquet", "data/test-00000-of-00001.parquet",
        "tfds/demo_cxr/1.0.0/dataset_info.json", "tfds/demo_cxr/1.0.0/features.json",
        "tfds/demo_cxr/1.0.0/label.labels.txt",
        "tfds/demo_cxr/1.0.0/demo_cxr-train.tfrecord-00000-of-00001",
        "tfds/demo_cxr/1.0.0/demo_cxr-test.tfrecord-00000-of-00001",
    }  # fmt: skip
    assert found == promised
    sums = dict(line.split("  ")[::-1] for line in (varied_private / "SHA256SUMS").read_text().splitlines())
    assert sums == {name: sha256_of(varied_private / name) for name in promised - {"SHA256SUMS"}}


def test_command_line_counts_images_that_nobody_has_reviewed(varied: Path, tmp_path: Path) -> None:
    shutil.copytree(varied, tmp_path / "build")
    rows = images_of(varied)
    seen = rows.loc[rows["source"] == "mooney", "image_id"].tolist()[:3]
    change_rows(tmp_path / "build", seen, review="clean")
    ran = run("release", "1.0.0", "--build", tmp_path / "build", cwd=tmp_path)
    assert ran.status == 0, ran.err
    said = " ".join(ran.out.split())
    assert "demo-cxr 1.0.0 (public) released: 89 images, 83 with pixels" in said
    assert "80 of 83 images with pixels have no review: nobody has looked for names and marks" in said
    card = (tmp_path / "release" / "demo-cxr-1.0.0" / "README.md").read_text()
    assert (
        "80 of 83 images with pixels have no review: nobody has looked for names and marks on them." in card
    )
    assert "COVID-19 34 of 38 4 of 6 38 of 44" in said
    assert "A release with --policy private has the pixels of all images" in said
    assert "- 34 of 38 COVID-19 images of train have pixels here.\n" in card


def test_a_release_without_pixels(varied: Path, tmp_path: Path) -> None:
    shutil.copytree(varied, tmp_path / "build")
    document = read_json(tmp_path / "build" / "build.json")
    # No shard, and so no description of shards for TensorFlow Datasets.
    write_json(tmp_path / "build" / "build.json", document | {"formats": ["parquet", "tfrecord"]})
    change_rows(tmp_path / "build", images_of(varied)["image_id"].tolist(), license="LicenseRef-internal")
    ran = run("release", "1.0.0", "--build", tmp_path / "build", cwd=tmp_path, COLUMNS="600")
    assert ran.status == 0
    assert "No image may be redistributed, so the release has no pixels" in ran.out
    assert "--policy private" in ran.out
    out = tmp_path / "release" / "demo-cxr-1.0.0"
    assert not (out / "data").exists()
    assert not (out / "tfds").exists()
    assert (out / "ledger.parquet").is_file()
    with pytest.warns(cxrbuild.MissingPixelsWarning):
        dataset = cxrbuild.load(out)
    message = r"no image%s has pixels in this release"
    with pytest.raises(CxrbuildError, match=message % "" + r".*withheld: \d+ images license_not_listed"):
        next(iter(dataset))
    with pytest.raises(CxrbuildError, match=message % " of the split train"):
        dataset.torch("train")
    with pytest.raises(IndexError, match="the index 0 is out of range: .*" + message % ""):
        dataset[0]
    built = cxrbuild.load(varied)
    with pytest.raises(IndexError, match=r"is out of range: the dataset has \d+ images"):
        built[len(built)]
    assert verify(out).findings == ()
    card = (out / "README.md").read_text()
    assert "only the tables can be loaded" in card
    for code in ("load_dataset", "mlcroissant", "builder_from_directory"):
        assert code not in card
    assert "manifest.parquet' GROUP BY ALL" in card


def test_withheld_of_an_empty_table() -> None:
    assert withheld(conform(pd.DataFrame()), "public").empty


@pytest.mark.usefixtures("without_verifying")
def test_same_build_same_bytes_also_after_a_killed_run_and_a_release_never_changes(
    varied: Path, varied_public: Path, tmp_path: Path
) -> None:
    out = tmp_path / "other-name"
    # What a killed run left is no part of the release.
    left = tmp_path / ".other-name.part" / "other-name"
    left.mkdir(parents=True)
    (left / "README.md").write_text("half a ca")
    assert release(varied, "1.0.0", out).written
    assert (out / "SHA256SUMS").read_bytes() == (varied_public / "SHA256SUMS").read_bytes()
    stamp = (out / "SHA256SUMS").stat()
    assert not release(varied, "1.0.0", out).written
    assert (out / "SHA256SUMS").stat() == stamp
    with pytest.raises(CxrbuildError, match="the folder holds another release") as refused:
        release(varied, "1.0.0", out, policy="private")
    assert "other bytes in ATTRIBUTION.csv, " in str(refused.value)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.usefixtures("without_verifying")
def test_source_date_epoch_is_the_date(varied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1600000000")
    release(varied, "1.0.0", tmp_path / "out")
    assert read_json(tmp_path / "out" / "croissant.json")["datePublished"] == "2020-09-13"
    assert "## 1.0.0 (2020-09-13)" in (tmp_path / "out" / "CHANGELOG.md").read_text()
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    with pytest.raises(CxrbuildError, match=r"SOURCE_DATE_EPOCH: not a valid time.*yesterday"):
        release(varied, "1.0.0", tmp_path / "later")


@pytest.mark.usefixtures("without_verifying")
@pytest.mark.parametrize(
    "name",
    [
        pytest.param("audit.json", marks=pytest.mark.slow),
        pytest.param("README.md", marks=pytest.mark.slow),
        "data/train-00000-of-00001.parquet",
    ],
)
def test_notices_a_damaged_release(varied: Path, varied_public: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(varied_public, tmp_path / "out")
    (tmp_path / "out" / name).write_text("{}")
    with pytest.raises(CheckError, match=rf"(?s)its files have changed.*{name}.*Move it away"):
        release(varied, "1.0.0", tmp_path / "out")
    assert (tmp_path / "out" / name).read_text() == "{}"


def test_leaves_a_strangers_folder_alone(varied: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("years of work")
    recorded = Recorded()
    with pytest.raises(CxrbuildError, match="the folder holds something else"):
        release(varied, "1.0.0", tmp_path / "out", progress=recorded)
    # It is refused before the work is done.
    assert recorded.planned == []
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.tex"]


@pytest.mark.slow
def test_the_command_prints_the_folder_of_a_private_release(varied: Path, tmp_path: Path) -> None:
    ran = run("release", "1.0.0", "--build", varied, "--policy", "private", "--json", cwd=tmp_path)
    assert json.loads(ran.out)["release"] == "release/demo-cxr-1.0.0-private"


def test_the_command_refuses_what_is_no_version(varied: Path, tmp_path: Path) -> None:
    ran = run("release", "0.9", "--build", varied, cwd=tmp_path)
    assert ran.status == 1
    assert "not a version" in ran.err


def test_curate_rebuilds_withheld_images(varied: Path, varied_public: Path, tmp_path: Path) -> None:
    ran = run("verify", varied / "images", "--manifest", varied_public / "manifest.parquet")
    assert ran.status == 0, ran.err
    hidden = images_of(varied_public, withheld="license_unknown").iloc[0]
    shutil.copytree(varied / "images", tmp_path / "images")
    Image.new("L", (8, 8)).save(tmp_path / "images" / hidden["jpeg_path"].removeprefix("images/"))
    ran = run("verify", tmp_path / "images", "--manifest", varied_public / "manifest.parquet")
    assert ran.status == 3
    assert f"{hidden['image_id']}: its bytes are not the manifest's" in " ".join(ran.err.split())
