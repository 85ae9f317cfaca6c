"""Films go from files to files in pieces; what was done before is known, and what stops a build is told."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from cxrbuild.build.conversion import Journal, convert_images
from cxrbuild.catalog.recipe import Conversion
from cxrbuild.convert import Settings
from cxrbuild.convert.films import GONE, Converted, Film, Piece, convert_piece
from cxrbuild.errors import CxrbuildError
from cxrbuild.progress import silent

SETTINGS = Settings(95, 1_000_000)


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "film.png"
    Image.effect_noise((40, 30), 80).save(path)
    return path


def convert(source: Path, build: Path, name: str = "a", before: Converted | None = None) -> Converted:
    build.mkdir(exist_ok=True)
    film = Film(str(source), None, f"{name}.jpg", before or Converted(name))
    [result] = convert_piece(Piece(SETTINGS, str(build), (film,)))
    return result


def test_a_film_that_can_no_longer_be_read_leaves_no_former_jpeg(film: Path, tmp_path: Path) -> None:
    build = tmp_path / "build"
    before = convert(film, build)
    assert (build / "a.jpg").is_file()
    film.unlink()
    film.mkdir()
    assert convert(film, build, before=before).exclusion == "unreadable"
    assert not (build / "a.jpg").exists()


def test_a_link_does_not_pass_for_the_jpeg_it_leads_to(film: Path, tmp_path: Path) -> None:
    build = tmp_path / "build"
    before = convert(film, build)
    jpeg, elsewhere = build / "a.jpg", tmp_path / "elsewhere.jpg"
    jpeg.replace(elsewhere)
    jpeg.symlink_to(elsewhere)
    assert convert(film, build, before=before) == before._replace(jpeg_path="a.jpg")
    assert not jpeg.is_symlink()
    assert jpeg.read_bytes() == elsewhere.read_bytes()


def test_a_jpeg_that_cannot_be_written_is_named_and_nothing_is_left(film: Path, tmp_path: Path) -> None:
    build = tmp_path / "build"
    (build / "a.jpg" / "note").mkdir(parents=True)
    with pytest.raises(OSError, match="directory") as told:
        convert(film, build)
    assert told.value.filename == str(build / "a.jpg")
    assert [path.name for path in build.iterdir()] == ["a.jpg"]


def test_a_name_of_the_longest_that_file_systems_take_is_written(film: Path, tmp_path: Path) -> None:
    assert convert(film, tmp_path / "build", "a" * 251).exclusion is None


def test_a_film_that_is_not_found_where_it_is_converted_ends_the_build(film: Path, tmp_path: Path) -> None:
    assert convert(tmp_path / "not there.png", tmp_path / "build").exclusion == GONE
    kept = pd.DataFrame({
        "image_id": ["a", "b"], "source": "mine", "source_path": [film.name, "seen by the plan alone.png"],
        "split": "train", "label": "Sick",
    })  # fmt: skip
    build = tmp_path / "build"
    journal = Journal(build, {})
    with ThreadPoolExecutor(1) as pool, pytest.raises(CxrbuildError, match="not found where it is") as told:
        convert_images(
            kept, {"mine": tmp_path}, {}, build, Conversion(), journal, pool, workers=1, progress=silent
        )
    assert told.value.found == "mine/seen by the plan alone.png"
    assert list(journal.read()) == ["a"], "what was done is kept"


BAD_LINES = {
    "no UTF-8": b"\xff\xfe",
    "torn": b'{"image_id": "mooney_',
    "no object": b'["image_id"]',
    "no id": json.dumps({"image_id": ["a"]}).encode(),
    "a number for a path": json.dumps({"image_id": "a", "jpeg_path": 3}).encode(),
    "a word for a number": json.dumps({"image_id": "a", "width": "abc"}).encode(),
    "a path out of the build": json.dumps({"image_id": "a", "jpeg_path": "../precious/a.jpg"}).encode(),
    "a path through it": json.dumps({"image_id": "a", "jpeg_path": "images/../../a.jpg"}).encode(),
    "another file's path": json.dumps({"image_id": "a", "jpeg_path": "images/x/y/b.jpg"}).encode(),
}


@pytest.mark.parametrize("line", BAD_LINES.values(), ids=BAD_LINES)
def test_a_line_that_no_journal_of_ours_has_is_passed_over(tmp_path: Path, line: bytes) -> None:
    journal = Journal(tmp_path, {"quality": 95})
    good = Converted("b", "0" * 64, jpeg_path="images/train/Sick/b.jpg", jpeg_bytes=3)
    journal.begin({"b": good})
    content = journal.path.read_bytes()
    for damaged in (content + line, content.replace(b"\n", b"\n" + line + b"\n", 1)):
        journal.path.write_bytes(damaged)
        assert journal.read() == {"b": good}


def test_of_what_other_settings_made_only_the_place_is_known(tmp_path: Path) -> None:
    journal = Journal(tmp_path, {"quality": 95})
    journal.begin({"b": Converted("b", "0" * 64, jpeg_path="images/train/Sick/b.jpg", jpeg_bytes=3)})
    found = Journal(tmp_path, {"quality": 90}).read()
    assert found == {"b": Converted("b", jpeg_path="images/train/Sick/b.jpg")}
    shutil.rmtree(tmp_path / ".cxrbuild")
    assert journal.read() == {}
