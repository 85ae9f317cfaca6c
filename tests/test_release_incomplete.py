"""Releases of builds that lack images or are unpinned, and what they say of it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml
from command import run
from releasing import count_again, drop_rows, images_of, release_as, set_version

from cxrbuild.errors import CheckError
from cxrbuild.files import read_json, sha256_of
from cxrbuild.records import read_records
from cxrbuild.releasing import release
from cxrbuild.verification import verify

pytestmark = pytest.mark.xdist_group("release")


def incomplete(build: Path, folder: Path) -> tuple[Path, list[str]]:
    """Copy a build without two images, as if they were missing, from an unpinned source."""
    shutil.copytree(build, folder / "incomplete")
    lost = images_of(build, source="cohen", split="train")["image_id"].iloc[-2:].tolist()
    drop_rows(folder / "incomplete", lost, step="missing_file")
    document = read_json(folder / "incomplete" / "build.json")
    document |= {"missing": dict.fromkeys(lost, "missing_file"), "unpinned": ["cohen"]}
    ledger = read_records(folder / "incomplete" / "ledger.parquet")
    changed = ledger.loc[ledger["source"].eq("cohen") & ledger["exclusion"].isna(), "source_path"].iloc[0]
    document["sources"]["cohen"] |= {"different": {changed: "0" * 40}, "unpinned": True}
    count_again(document, ledger)
    (folder / "incomplete" / "build.json").write_text(json.dumps(document))
    return folder / "incomplete", lost


@pytest.mark.usefixtures("without_verifying")
def test_an_incomplete_build_keeps_its_version(varied: Path, varied_public: Path, tmp_path: Path) -> None:
    short, lost = incomplete(varied, tmp_path)
    shutil.copytree(varied_public, tmp_path / "demo-cxr-1.0.0")
    set_version(short, "1.0.1")
    ran = run("release", "1.0.1", "--build", short, cwd=tmp_path, COLUMNS="300")
    out = tmp_path / "release" / "demo-cxr-1.0.1"
    assert ran.status == 0, ran.err
    assert "Incomplete: 2 images missing (2 COVID-19 of train). The release cannot be published." in ran.out
    assert "The report is release/demo-cxr-1.0.1/report.html, the card " in ran.out
    verified = verify(out)
    assert verified.findings == ()
    assert (verified.missing, verified.unpinned) == (2, ("cohen",))
    incompleteness = "2 of the 89 images of the dataset are missing."
    unpinned = (
        "The files of cohen are not verified to be the pinned version. 86 of 89 images verified: they have "
        "the bytes of the pins. Other bytes than the pin's: 1. Missing: 2."
    )
    card = (out / "README.md").read_text()
    assert f"> **Incomplete.** {incompleteness}" in card
    assert f"> **Unpinned.** {unpinned}" in card
    assert "| images | verified | other bytes | name only | missing |\n|---|---:|---:|---:|---:|\n" in card
    cohen = read_json(short / "build.json")["exactness"]["cohen"]
    assert f"| cohen | {cohen['verified']} | 1 | 0 | 2 |\n" in card
    rebuilt = " ".join(card[card.index("These commands build") : card.index("cxrbuild fetch")].split())
    verified = ", ".join(name for name in read_json(short / "build.json")["sources"] if name != "cohen")
    assert rebuilt == (
        f"These commands build the withheld images on your machine. Those of {verified} are equal byte for "
        "byte, if upstream still has their files. The files of cohen are not verified to be the pinned "
        "version, and upstream's may differ: the images are equal only if `fetch` gets the same files, with "
        "`--from NAME=FILE`. ```"
    )
    for place in (short, out):
        listed = run("sources", "cohen", "--of", place, "--exactness", "missing").out.splitlines()
        assert sorted(line.split(" ")[0] for line in listed) == sorted(lost)
        states = ("--exactness", "missing", "--exactness", "other_bytes")
        both = run("sources", "cohen", "--of", place, *states, COLUMNS="20").out.splitlines()
        assert {line.split(" ")[0] for line in both} == {"missing", "other_bytes"}
        assert all(len(line.split(" ")) == 4 for line in both)
        other = json.loads(run("sources", "--of", place, "--exactness", "other_bytes", "--json").out)
        different = read_json(short / "build.json")["sources"]["cohen"]["different"]
        assert [(image["source"], image["source_path"]) for image in other["images"]] == [
            ("cohen", path) for path in different
        ]
    cited = yaml.safe_load((out / "CITATION.cff").read_text())
    assert cited["title"].endswith(", version 1.0.1: incomplete and unpinned build, not the dataset itself")
    # What `sha256sum` prints of the release's manifest, which has `withheld` and so is not the build's.
    manifest = sha256_of(out / "manifest.parquet")
    assert manifest != read_json(short / "build.json")["files"]["manifest.parquet"]["sha256"]
    assert cited["message"].startswith(f"Do not cite it as demo-cxr 1.0.1. {incompleteness}")
    assert unpinned in cited["message"]
    assert manifest in cited["message"]
    bib = (out / "CITATION.bib").read_text()
    assert f"SHA-256 of manifest.parquet: {manifest}}},\n" in bib
    assert "`" not in bib + cited["message"]
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
    assert f"  - {lost[0]} (train COVID-19): new: missing_file" in words
    # Complete again: no row was added.
    release_as(varied, "1.0.2", tmp_path / "demo-cxr-1.0.2", previous=tmp_path / "demo-cxr-1.0.1")
    words = (tmp_path / "demo-cxr-1.0.2" / "CHANGELOG.md").read_text().split("## 1.0.1")[0]
    assert "added" not in words
    assert f"  - {lost[0]} (train COVID-19): old: missing_file" in words


@pytest.mark.slow
def test_verify_holds_what_is_missing_against_the_ledger(varied: Path, tmp_path: Path) -> None:
    short, _ = incomplete(varied, tmp_path)
    document = read_json(short / "build.json")
    other = images_of(short)["image_id"].iloc[0]
    (short / "build.json").write_text(json.dumps(document | {"missing": {other: "missing_file"}}))
    with pytest.raises(CheckError, match=rf"{other}: missing has missing_file, the ledger null"):
        release(short, "1.0.0", tmp_path / "out")
    more = {"cohen": document["exactness"]["cohen"] | {"verified": 1000}}
    wrong = document | {"exactness": document["exactness"] | more}
    (short / "build.json").write_text(json.dumps(wrong))
    with pytest.raises(CheckError, match="exactness cohen: differs from ledger and sources"):
        release(short, "1.0.0", tmp_path / "out")
    (short / "build.json").write_text(json.dumps(document | {"formats": ["tfrecord"]}))
    release(short, "1.0.0", tmp_path / "out")
    for name, words in (("README.md", "**Incomplete.**"), ("croissant.json", "Incomplete: ")):
        text = (tmp_path / "out" / name).read_text()
        (tmp_path / "out" / name).write_text(text.replace(words, "Nearly whole: "))
    found = [str(one) for one in verify(tmp_path / "out").findings if "Incomplete" in str(one)]
    assert {one.partition(":")[0] for one in found} == {"README.md", "croissant.json"}
    # TensorFlow Datasets says it too.
    info = read_json(tmp_path / "out" / "tfds" / "demo_cxr" / "1.0.0" / "dataset_info.json")
    assert info["description"].startswith("Incomplete: 2 of the 89 images")
    assert "Unpinned: The files of cohen" in info["description"]
