"""Conversion of batches of image files: results of previous runs, the journal, and what stops a build."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image
from systems import needs_links

from cxrbuild.convert import Settings
from cxrbuild.convert.batch import Batch, Converted, ImageTask, convert_batch
from cxrbuild.curation import make_plan, read_declared
from cxrbuild.curation.conversion import convert_images
from cxrbuild.curation.journal import Journal
from cxrbuild.errors import CxrbuildError
from cxrbuild.progress import silent

SETTINGS = Settings(95, 1_000_000)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image.png"
    Image.effect_noise((40, 30), 80).save(path)
    return path


def convert(source: Path, build: Path, name: str = "a", previous: Converted | None = None) -> Converted:
    build.mkdir(exist_ok=True)
    task = ImageTask(str(source), None, f"{name}.jpg", previous or Converted(name))
    [result] = convert_batch(Batch(SETTINGS, str(build), (task,)))
    return result


def test_unreadable_image_loses_its_previous_jpeg(image: Path, tmp_path: Path) -> None:
    build = tmp_path / "build"
    previous = convert(image, build)
    assert (build / "a.jpg").is_file()
    image.unlink()
    image.mkdir()
    assert convert(image, build, previous=previous).exclusion == "unreadable"
    assert not (build / "a.jpg").exists()


@needs_links
def test_link_to_the_jpeg_is_replaced(image: Path, tmp_path: Path) -> None:
    build = tmp_path / "build"
    previous = convert(image, build)
    jpeg, elsewhere = build / "a.jpg", tmp_path / "elsewhere.jpg"
    jpeg.replace(elsewhere)
    jpeg.symlink_to(elsewhere)
    assert convert(image, build, previous=previous) == previous._replace(jpeg_path="a.jpg")
    assert not jpeg.is_symlink()
    assert jpeg.read_bytes() == elsewhere.read_bytes()


def test_write_error_names_the_jpeg_and_leaves_no_temporary_file(image: Path, tmp_path: Path) -> None:
    build = tmp_path / "build"
    (build / "a.jpg" / "note").mkdir(parents=True)
    with pytest.raises(OSError, match="directory") as caught:
        convert(image, build)
    assert caught.value.filename == str(build / "a.jpg")
    assert [path.name for path in build.iterdir()] == ["a.jpg"]


def test_longest_file_name_is_written(image: Path, tmp_path: Path) -> None:
    assert convert(image, tmp_path / "build", "a" * 251).exclusion is None


def test_missing_image_stops_the_build(demo: Path, tmp_path: Path) -> None:
    data, build = tmp_path / "data", tmp_path / "build"
    shutil.copytree(demo / "data", data)
    plan = make_plan(read_declared(str(demo / "declared" / "recipe.toml"), {}), data)
    missing = plan.kept.iloc[3]
    (data / "sources" / missing["source"] / missing["source_path"]).unlink()
    journal = Journal(build, {})
    with (
        ThreadPoolExecutor(1) as pool,
        pytest.raises(CxrbuildError, match="missing where") as caught,
    ):
        convert_images(plan, data, build, journal, pool, workers=1, progress=silent)
    assert caught.value.found == f"{missing['source']}/{missing['source_path']}"
    assert journal.read().keys() == set(plan.kept["image_id"]) - {missing["image_id"]}, (
        "finished images stay recorded"
    )


ID = "mine_image_0123456789"
GOOD = Converted(
    ID, "0" * 64, "PNG 8-bit grey", f"images/train/Sick/{ID}.jpg", "1" * 64, 3, 40, 30, "encoded"
)  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new"), [("40", "7"), ("images/train", "../precious"), ('"width": 40', '"w": 40')]
)
def test_journal_ignores_edited_lines(tmp_path: Path, old: str, new: str) -> None:
    journal = Journal(tmp_path, {"quality": 95})
    other = Converted("mine_image_9876543210", "0" * 64, exclusion="truncated", exclusion_detail="cut short")
    journal.begin({ID: GOOD, other.image_id: other})
    assert journal.read() == {ID: GOOD, other.image_id: other}
    content = journal.path.read_text()
    assert content.count(old) == 1
    journal.path.write_text(content.replace(old, new))
    assert journal.read() == {other.image_id: other}


@pytest.mark.parametrize("bad", [b"", b"\xff\xfe", b"{", b"[" * 100_000, b"0123456789abcdef {}"])
def test_journal_ignores_damaged_lines(tmp_path: Path, bad: bytes) -> None:
    journal = Journal(tmp_path, {"quality": 95})
    journal.begin({ID: GOOD})
    content = journal.path.read_bytes()
    for damaged in (content + bad, content.replace(b"\n", b"\n" + bad + b"\n", 1)):
        journal.path.write_bytes(damaged)
        assert journal.read() == {ID: GOOD}
    journal.path.write_bytes(content[:-20])
    assert journal.read() == {}
    assert Journal(tmp_path, {"quality": 90}).read() == {}
