"""Releases: builds of which none is made, and the message that says why."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from command import run
from PIL import Image
from releasing import change_rows, images_of

from cxrbuild.catalog import read_recipe
from cxrbuild.errors import CheckError, CxrbuildError
from cxrbuild.files import read_json, write_json
from cxrbuild.releasing import release

pytestmark = pytest.mark.xdist_group("release")


def test_refuses_a_build_without_a_date(
    varied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    shutil.copytree(varied, tmp_path / "build")
    document = read_json(varied / "build.json")
    document["recipe"]["date"] = None
    (tmp_path / "build" / "build.json").write_text(json.dumps(document))
    with pytest.raises(CxrbuildError, match="the release has no date"):
        release(tmp_path / "build", "1.0.0", tmp_path / "out")


@pytest.mark.parametrize("text", ["{}", "[]", "3", '{"files": {}}', '{"format": 1, "dataset": {"na'])
def test_refuses_a_build_json_that_is_none(varied: Path, tmp_path: Path, text: str) -> None:
    shutil.copytree(varied, tmp_path / "build")
    (tmp_path / "build" / "build.json").write_text(text)
    ran = run("release", "1.0.0", "--build", tmp_path / "build", cwd=tmp_path, COLUMNS="600")
    assert ran.status == 1
    assert "build.json: not the build.json of a build" in ran.err
    assert "Traceback" not in ran.err
    assert not (tmp_path / "release").exists()


def test_refuses_a_build_json_that_lacks_a_table(varied: Path, tmp_path: Path) -> None:
    shutil.copytree(varied, tmp_path / "build")
    document = read_json(varied / "build.json")
    del document["files"]["ledger.parquet"]
    (tmp_path / "build" / "build.json").write_text(json.dumps(document))
    with pytest.raises(CxrbuildError, match=r"files\.ledger\.parquet: missing"):
        release(tmp_path / "build", "1.0.0", tmp_path / "out")


def test_refuses_a_build_that_was_tampered_with(varied: Path, tmp_path: Path) -> None:
    shutil.copytree(varied, tmp_path / "build")
    row = images_of(varied, source="mooney").iloc[0]
    path = tmp_path / "build" / row["jpeg_path"]
    pixels = path.read_bytes()
    path.write_bytes(pixels[:-3] + bytes([pixels[-3] ^ 1]) + pixels[-2:])
    with pytest.raises(CheckError, match=rf"{row['image_id']}: its bytes are not the manifest's"):
        release(tmp_path / "build", "1.0.0", tmp_path / "out")
    Image.new("L", (32, 32)).save(path)
    with pytest.raises(CheckError, match=rf"1 image of the build changed since.*{row['image_id']}.*curate"):
        release(tmp_path / "build", "1.0.0", tmp_path / "out")
    (tmp_path / "build" / row["jpeg_path"]).unlink()
    with pytest.raises(CheckError, match=rf"1 image of the build missing.*{row['image_id']}"):
        release(tmp_path / "build", "1.0.0", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    shutil.copy(varied / "ledger.parquet", tmp_path / "build" / "manifest.parquet")
    with pytest.raises(CheckError, match=r"manifest\.parquet: the file has changed since it was built"):
        release(tmp_path / "build", "1.0.0", tmp_path / "out")


def test_refuses_what_is_no_build(varied_public: Path, tmp_path: Path) -> None:
    with pytest.raises(CxrbuildError, match="no finished build"):
        release(tmp_path, "1.0.0", tmp_path / "out")
    with pytest.raises(CxrbuildError, match="this folder holds a release"):
        release(varied_public, "1.0.0", tmp_path / "out")


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


@pytest.mark.usefixtures("without_verifying")
def test_a_changed_copy_of_a_shipped_recipe_needs_its_own_text(varied: Path, tmp_path: Path) -> None:
    copy = copied_recipe(varied, tmp_path / "copy")
    with pytest.raises(CheckError, match="keeps its name, title, description"):
        release(copy, "1.0.0", tmp_path / "out")
    half = copied_recipe(varied, tmp_path / "half", name="mine-cxr", title="Mine")
    with pytest.raises(
        CheckError, match=r"differs from the shipped covid19-cxr in .*, and keeps its description"
    ):
        release(half, "1.0.0", tmp_path / "out")
    own = {"name": "mine-cxr", "title": "Mine", "description": "Mine."}
    sheet = read_recipe("covid19-cxr").datasheet.model_dump(mode="json")
    made = copied_recipe(varied, tmp_path / "made", **own, datasheet={"creator": sheet["creator"]})
    with pytest.raises(CheckError, match=r"and keeps its datasheet\.creator"):
        release(made, "1.0.0", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    kept = {"creator": "Me", "limitations": sheet["limitations"], "sensitive": sheet["sensitive"]}
    warned = copied_recipe(varied, tmp_path / "warned", **own, datasheet=kept)
    ran = run("release", "1.0.0", "--build", warned, "--out", tmp_path / "out")
    assert ran.status == 0, ran.err
    said = " ".join(ran.err.split())
    assert "keeps its datasheet.sensitive, datasheet.limitations, date: the card states them of your" in said


@pytest.mark.usefixtures("without_verifying")
def test_a_licence_that_asks_for_credit_needs_attribution(varied: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(varied, bare)
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
