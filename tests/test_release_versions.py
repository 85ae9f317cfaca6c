"""Releases: which versions they may have, and the changelog."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from command import run
from releasing import change_rows, drop_rows, images_of, set_version
from releasing import release_as as release

from cxrbuild.errors import CheckError, CxrbuildError
from cxrbuild.files import read_json, write_json
from cxrbuild.releasing.changelog import find_previous
from cxrbuild.shell import join
from cxrbuild.verification import verify

pytestmark = pytest.mark.xdist_group("release")


@pytest.mark.usefixtures("without_verifying")
def test_versions_before_the_first_move_freely(varied: Path, tmp_path: Path) -> None:
    release(varied, "0.1.0", tmp_path / "demo-cxr-0.1.0")
    shutil.copytree(varied, tmp_path / "build")
    drop_rows(tmp_path / "build", [images_of(varied, source="mooney", split="train")["image_id"].iloc[0]])
    with pytest.raises(CheckError, match=r"Expected: 0\.1\.1 or later"):
        release(tmp_path / "build", "0.1.0", tmp_path / "other", previous=tmp_path / "demo-cxr-0.1.0")


def test_refuses_a_step_back(varied: Path, varied_public: Path, tmp_path: Path) -> None:
    newest = Path(shutil.copytree(varied_public, tmp_path / "release" / "demo-cxr-1.0.0"))
    shutil.copytree(varied, tmp_path / "build")
    set_version(tmp_path / "build", "0.9.0")
    ran = run("release", "0.9.0", "--build", "build", cwd=tmp_path, COLUMNS="600")
    assert ran.status == 3
    assert "version 0.9.0 is lower than the newest version. Expected: 1.0.0 or later" in ran.err
    assert [path.name for path in newest.parent.iterdir()] == ["demo-cxr-1.0.0"]


@pytest.mark.slow
def test_an_older_line_goes_on(varied: Path, varied_public: Path, tmp_path: Path) -> None:
    newest = Path(shutil.copytree(varied_public, tmp_path / "release" / "demo-cxr-1.0.0"))
    # The other policy has a line of its own.
    release(varied, "0.9.0", newest.parent / "demo-cxr-0.9.0", policy="private")
    # An existing release stays; --previous names the last release of an older line.
    release(varied, "2.0.0", newest.parent / "demo-cxr-2.0.0")
    assert not release(varied, "1.0.0", newest).written
    assert release(varied, "1.0.1", newest.parent / "demo-cxr-1.0.1", previous=newest).written


def test_the_previous_release_is_found_if_its_name_ends_in_its_version(
    varied_public: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(varied_public, tmp_path / "demo-cxr-1.0.0"))
    document = read_json(folder / "build.json")
    document["recipe"]["name"] = document["dataset"]["name"] = "demo-cxr-1-0-0"
    write_json(folder / "build.json", document)
    out = tmp_path / "demo-cxr-1-0-0-2.0.0"
    assert find_previous("demo-cxr-1-0-0", "2.0.0", "public", out) == folder


def test_refuses_too_small_a_step(varied: Path, varied_public: Path, tmp_path: Path) -> None:
    shutil.copytree(varied_public, tmp_path / "demo-cxr-1.0.0")
    shutil.copytree(varied, tmp_path / "build")
    image = images_of(varied, source="mooney", split="train")["image_id"].iloc[0]
    drop_rows(tmp_path / "build", [image])
    with pytest.raises(
        CheckError, match=r"(?s)too small for what changed.*Expected: 2\.0\.0 or later"
    ) as refused:
        release(tmp_path / "build", "1.9.9", tmp_path / "demo-cxr-1.9.9")
    assert image in str(refused.value)
    assert refused.value.todo is not None
    command = join(["cxrbuild", "diff", tmp_path / "demo-cxr-1.0.0", tmp_path / "build"])
    assert f"`{command}`" in refused.value.todo


@pytest.mark.usefixtures("without_verifying")
def test_changelog_has_every_version(varied: Path, varied_public: Path, tmp_path: Path) -> None:
    shutil.copytree(varied_public, tmp_path / "demo-cxr-1.0.0")
    shutil.copytree(varied, tmp_path / "build")
    rows = images_of(varied, source="mooney", split="train").sort_values("image_id").iloc[:26]
    (*aged, lost), label = rows["image_id"], rows["label"].iloc[-1]
    change_rows(tmp_path / "build", aged, patient_age=3.0)
    release(tmp_path / "build", "1.0.1", tmp_path / "demo-cxr-1.0.1")
    drop_rows(tmp_path / "build", [lost])
    # The smallest version that may have fewer rows.
    release(tmp_path / "build", "2.0.0", tmp_path / "demo-cxr-2.0.0")
    assert verify(tmp_path / "demo-cxr-2.0.0").findings == ()
    words = (tmp_path / "demo-cxr-2.0.0" / "CHANGELOG.md").read_text()
    assert "1 removed row" in words
    reported = [line for line in words.splitlines() if line.startswith(("#", "  - "))]
    assert reported == [
        "# Changelog",
        "## 2.0.0 (2026-11-23)",
        f"  - {lost} (train {label}): annotated (review arrow)",
        "## 1.0.1 (2026-11-23)",
        *[f"  - {image} (patient_age null -> 3.0)" for image in aged],
        "## 1.0.0 (2026-11-23)",
    ]


@pytest.mark.usefixtures("without_verifying")
def test_previous_release_can_be_named(varied: Path, varied_public: Path, tmp_path: Path) -> None:
    result = release(varied, "1.2.0", tmp_path / "out", previous=varied_public)
    assert result.release.version == "1.2.0"
    assert result.changes is not None
    assert result.changes.bump is None
    assert "the same as in 1.0.0" in (tmp_path / "out" / "CHANGELOG.md").read_text()


def test_a_public_release_is_not_compared_with_a_private_one(
    varied: Path, varied_private: Path, tmp_path: Path
) -> None:
    """Its changelog would have the paths and notes of the private one as old values."""
    private = varied_private
    with pytest.raises(CxrbuildError, match="would publish what only a private release has"):
        release(varied, "1.2.0", tmp_path / "out", previous=private)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_private_release_is_compared_with_a_private_one(
    varied: Path, varied_private: Path, tmp_path: Path
) -> None:
    assert release(varied, "1.2.0", tmp_path / "out", policy="private", previous=varied_private).written


@pytest.mark.parametrize("text", ["{}", "[]", '{"dataset": {"na'])
def test_a_release_next_to_it_that_cannot_be_read(
    varied: Path, varied_public: Path, tmp_path: Path, text: str
) -> None:
    shutil.copytree(varied_public, tmp_path / "demo-cxr-1.0.0")
    (tmp_path / "demo-cxr-1.0.0" / "build.json").write_text(text)
    with pytest.raises(CxrbuildError, match=r"demo-cxr-1\.0\.0[/\\]build\.json: (this is )?not "):
        release(varied, "1.0.1", tmp_path / "demo-cxr-1.0.1")
    with pytest.raises(CxrbuildError, match=r"demo-cxr-1\.0\.0[/\\]build\.json: (this is )?not "):
        release(varied, "1.0.1", tmp_path / "elsewhere" / "new", previous=tmp_path / "demo-cxr-1.0.0")


def test_refuses_a_version_published_with_other_rows(varied: Path, tmp_path: Path) -> None:
    shutil.copytree(varied, tmp_path / "build")
    document = read_json(varied / "build.json")
    document["dataset"]["name"] = "covid19-cxr"
    (tmp_path / "build" / "build.json").write_text(json.dumps(document))
    with pytest.raises(CheckError, match=r"version 1\.0\.0 was published with other rows"):
        release(tmp_path / "build", "1.0.0", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("version", ["1.0", "v1.0.0", "1.0.0-rc1", "01.0.0", "../1.0.0"])
def test_refuses_what_is_no_version(varied: Path, tmp_path: Path, version: str) -> None:
    with pytest.raises(CxrbuildError, match="not a version"):
        release(varied, version, tmp_path / "out")
