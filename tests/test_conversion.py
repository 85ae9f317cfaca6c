"""Conversion of batches of image files: results of previous runs, the journal, and what stops a build."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fatal_conversion import convert_fatally, convert_once
from PIL import Image
from systems import needs_links

from cxrbuild.convert import Settings
from cxrbuild.convert.batch import UNCHANGED, Batch, Converted, ImageTask, convert_batch, state_digest
from cxrbuild.curation import curate, make_plan, read_declared
from cxrbuild.curation.conversion import convert_images
from cxrbuild.curation.journal import Journal
from cxrbuild.curation.recovery import convert_batches
from cxrbuild.errors import CxrbuildError
from cxrbuild.executors import open_executor
from cxrbuild.files import file_state, git_blob_of, sha256_of
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
    with pytest.raises((IsADirectoryError, PermissionError)) as caught:
        convert(image, build)
    assert caught.value.filename == str(build / "a.jpg")
    assert [path.name for path in build.iterdir()] == ["a.jpg"]


def test_longest_file_name_is_written(image: Path, tmp_path: Path) -> None:
    assert convert(image, tmp_path / "build", "a" * 251).exclusion is None


def test_missing_image_stops_the_build(small_demo: Path, tmp_path: Path) -> None:
    data, build = tmp_path / "data", tmp_path / "build"
    shutil.copytree(small_demo / "data", data)
    plan = make_plan(read_declared(str(small_demo / "declared" / "recipe.toml"), {}), data)
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


def batches_of(names: list[list[str]], image: Path, build: Path) -> list[Batch]:
    build.mkdir()
    return [
        Batch(
            SETTINGS,
            str(build),
            tuple(ImageTask(str(image), None, f"{name}.jpg", Converted(name)) for name in group),
        )
        for group in names
    ]


def test_an_image_that_ends_its_process_is_excluded_by_name(image: Path, tmp_path: Path) -> None:
    build = tmp_path / "build"
    names = [["a", "b"], ["c", "fatal1", "d"], ["e"], ["fatal2"], ["f", "g"], ["h"]]
    batches = batches_of(names, image, build)
    (build / "fatal1.jpg").write_bytes(b"of a previous run")
    with open_executor("local", 1) as pool:
        found = list(convert_batches(pool, batches, workers=1, convert=convert_fatally))
    results = {result.image_id: result for results, _ in found for result in results}
    assert results.keys() == {name for group in names for name in group}
    excluded = {name: result for name, result in results.items() if result.exclusion is not None}
    assert excluded.keys() == {"fatal1", "fatal2"}
    assert {result.exclusion for result in excluded.values()} == {"unreadable"}
    assert "ends the process" in str(excluded["fatal1"].exclusion_detail)
    assert {path.stem for path in build.iterdir()} == results.keys() - excluded.keys()
    final = {result.image_id for results, is_final in found if is_final for result in results}
    assert final == results.keys() - excluded.keys(), "a later run tries the others again"


def test_images_are_converted_one_by_one_after_a_death(image: Path, tmp_path: Path) -> None:
    batches = batches_of([["a", "b"], ["c", "d"]], image, tmp_path / "build")
    with open_executor("local", 1) as pool:
        found = list(convert_batches(pool, batches, workers=1, convert=convert_once))
    assert [(len(results), is_final) for results, is_final in found] == [(1, True)] * 4


def test_known_blob_needs_no_second_hash(image: Path, tmp_path: Path) -> None:
    build = tmp_path / "build"
    blob = git_blob_of(image)
    previous = convert(image, build)
    state = state_digest(file_state((build / "a.jpg").lstat()))

    def again(previous_blob: str | None, jpeg_state: str | None) -> Converted:
        task = ImageTask(str(image), blob, "a.jpg", previous, previous_blob, jpeg_state)
        return convert_batch(Batch(SETTINGS, str(build), (task,)))[0]

    for previous_blob in (blob, None, "0" * 40):
        for jpeg_state in (state, None, "0" * 16):
            assert again(previous_blob, jpeg_state) == Converted("a", exclusion=UNCHANGED)
    (build / "a.jpg").write_bytes(b"x" * int(previous.jpeg_bytes or 0))
    assert again(blob, state) == previous._replace(jpeg_path="a.jpg")
    assert sha256_of(build / "a.jpg") == previous.jpeg_sha256


def test_states_of_a_result_that_was_replaced_are_not_used(small_demo: Path, tmp_path: Path) -> None:
    data, build = tmp_path / "data", tmp_path / "build"
    shutil.copytree(small_demo / "data", data)
    declared = read_declared(str(small_demo / "declared" / "recipe.toml"), {})
    curate(declared, data, build, formats=["parquet"])
    # A run that was killed left another result in the journal, and its JPEG.
    journal = Journal(build, {})
    header = journal.path.read_text().partition("\n")[0]
    name, entry = next(iter(_read(journal, header).items()))
    jpeg = build / str(entry.jpeg_path)
    before = jpeg.read_bytes()
    jpeg.write_bytes(before + b"later")
    later = entry._replace(source_sha256="0" * 64, jpeg_sha256=sha256_of(jpeg), jpeg_bytes=len(before) + 5)
    journal.add([later])
    assert curate(declared, data, build, formats=["parquet", "tfrecord"]).changed
    assert jpeg.read_bytes() == before
    assert _read(journal, header)[name] == entry


def _read(journal: Journal, header: str) -> dict[str, Converted]:
    journal.header = header
    return journal.read()


ID = "mine_image_0123456789"
GOOD = Converted(
    ID, "0" * 64, "PNG 8-bit grey", f"images/train/Sick/{ID}.jpg", "1" * 64, 3, 40, 30, "encoded"
)  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new"), [("40", "7"), ("images/train", "../precious"), ('"width": 40', '"w": 40')]
)
def test_journal_ignores_edited_lines(tmp_path: Path, old: str, new: str) -> None:
    journal = Journal(tmp_path, {"quality": 95})
    other = Converted("mine_image_9876543210", "0" * 64, exclusion="truncated", exclusion_detail="shortened")
    journal.begin({ID: GOOD, other.image_id: other})
    assert journal.read() == {ID: GOOD, other.image_id: other}
    content = journal.path.read_text()
    assert content.count(old) == 1
    journal.path.write_text(content.replace(old, new))
    assert journal.read() == {other.image_id: other}


@pytest.mark.parametrize(
    "bad",
    [b"", b"\xff\xfe", b"{", b"[" * 100_000, b"0123456789abcdef {}"],
    ids=["empty", "bytes", "brace", "brackets", "without a digest"],
)
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
