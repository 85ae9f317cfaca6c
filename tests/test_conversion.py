"""Films go from files to files in pieces; what was done before is known, and what stops a build is told."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from cxrbuild.convert import Settings
from cxrbuild.convert.batch import Converted, Film, Piece, convert_piece
from cxrbuild.curation import make_plan, read_declared
from cxrbuild.curation.conversion import convert_images
from cxrbuild.curation.journal import Journal
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


def test_a_film_that_is_not_found_where_it_is_converted_ends_the_build(demo: Path, tmp_path: Path) -> None:
    data, build = tmp_path / "data", tmp_path / "build"
    shutil.copytree(demo / "data", data)
    plan = make_plan(read_declared(str(demo / "declared" / "recipe.toml"), {}), data)
    gone = plan.kept.iloc[3]
    (data / "sources" / gone["source"] / gone["source_path"]).unlink()
    journal = Journal(build, {})
    with ThreadPoolExecutor(1) as pool, pytest.raises(CxrbuildError, match="not found where it is") as told:
        convert_images(plan, data, build, journal, pool, workers=1, progress=silent)
    assert told.value.found == f"{gone['source']}/{gone['source_path']}"
    assert journal.read().keys() == set(plan.kept["image_id"]) - {gone["image_id"]}, "what was done is kept"


ID = "mine_film_0123456789"
GOOD = Converted(
    ID, "0" * 64, "PNG 8-bit grey", f"images/train/Sick/{ID}.jpg", "1" * 64, 3, 40, 30, "encoded"
)  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new"), [("40", "7"), ("images/train", "../precious"), ('"width": 40', '"w": 40')]
)
def test_a_line_that_was_edited_is_passed_over(tmp_path: Path, old: str, new: str) -> None:
    journal = Journal(tmp_path, {"quality": 95})
    other = Converted("mine_film_9876543210", "0" * 64, exclusion="truncated", exclusion_detail="cut short")
    journal.begin({ID: GOOD, other.image_id: other})
    assert journal.read() == {ID: GOOD, other.image_id: other}
    content = journal.path.read_text()
    assert content.count(old) == 1
    journal.path.write_text(content.replace(old, new))
    assert journal.read() == {other.image_id: other}


@pytest.mark.parametrize("bad", [b"", b"\xff\xfe", b"{", b"[" * 100_000, b"0123456789abcdef {}"])
def test_a_line_that_is_none_is_passed_over(tmp_path: Path, bad: bytes) -> None:
    journal = Journal(tmp_path, {"quality": 95})
    journal.begin({ID: GOOD})
    content = journal.path.read_bytes()
    for damaged in (content + bad, content.replace(b"\n", b"\n" + bad + b"\n", 1)):
        journal.path.write_bytes(damaged)
        assert journal.read() == {ID: GOOD}
    journal.path.write_bytes(content[:-20])
    assert journal.read() == {}
    assert Journal(tmp_path, {"quality": 90}).read() == {}
