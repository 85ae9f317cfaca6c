"""Release and verify refuse a class without an image in train or test; bad_input has curate and plan."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from command import run
from releasing import images_of

from cxrbuild.errors import CheckError
from cxrbuild.releasing import release
from cxrbuild.verification import verify


def empty_class(folder: Path, allowed: list[str]) -> None:
    """Record in a build or release that it has no test image of COVID-19, and which classes may have none."""
    path = folder / "build.json"
    document = json.loads(path.read_text())
    document["counts"]["test"]["COVID-19"] = 0
    document["recipe"]["split"] |= {"allow_empty": {"test": allowed}, "test": {"share": 0.5}}
    document["recipe"]["expect"] = {}
    path.write_text(json.dumps(document))


def test_release_refuses_a_build_with_an_empty_class(demo: Path, tmp_path: Path) -> None:
    build = Path(shutil.copytree(demo / "build", tmp_path / "build"))
    empty_class(build, [])
    with pytest.raises(CheckError, match="no image of the class COVID-19 is in test"):
        release(build, "1.0.0", tmp_path / "release")


def test_plan_says_that_all_images_of_a_class_are_missing(demo: Path, tmp_path: Path) -> None:
    data = Path(shutil.copytree(demo / "data", tmp_path / "data"))
    rows = images_of(demo / "build")
    for source, path in rows.loc[rows["label"] == "COVID-19", ["source", "source_path"]].itertuples(
        index=False
    ):
        (data / "sources" / source / path).unlink()
    ran = run("plan", "--recipe", demo / "declared" / "recipe.toml", "--data", data, COLUMNS="200")
    assert "No image in train of COVID-19, test of COVID-19: all are missing." in ran.out


@pytest.mark.parametrize(("allowed", "found"), [([], True), (["COVID-19"], False)])
def test_verify_finds_an_empty_class_unless_the_recipe_allows_it(
    public_release: Path, tmp_path: Path, allowed: list[str], found: bool
) -> None:
    folder = Path(shutil.copytree(public_release, tmp_path / "release"))
    empty_class(folder, allowed)
    messages = [finding.message for finding in verify(folder).findings]
    assert ("no image of the class COVID-19 is in test" in messages) == found
