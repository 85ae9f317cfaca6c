"""The state of files, and what the seal of a build notices without reading them."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from pathlib import Path

import pytest
from systems import needs_links, needs_modes

from cxrbuild.convert.batch import Batch
from cxrbuild.curation import conversion, curate, read_declared
from cxrbuild.curation.recovery import BatchResults
from cxrbuild.errors import CxrbuildError
from cxrbuild.files import tree_state
from cxrbuild.records import read_records


def edit(path: Path) -> None:
    """Change a file's content, but neither its size nor its modification time."""
    before = path.stat()
    path.write_bytes(path.read_bytes()[::-1])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: edit(folder / "a/x"),
        lambda folder: (folder / "a/z").touch(),
        lambda folder: (folder / "a/x").unlink(),
        lambda folder: (folder / "a/x").rename(folder / "x"),
        pytest.param(lambda folder: (folder / "a/x").chmod(0o755), marks=needs_modes),
        lambda folder: (folder / "a/y").replace(folder / "a/x"),
    ],
    ids=["edit", "add", "remove", "move", "mode", "replace"],
)
def test_tree_state_changes_with_the_files(tmp_path: Path, change: Callable[[Path], object]) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    for name in ("a/x", "a/y", "a/b/z", "top"):
        (tmp_path / name).write_text("12")
    state = tree_state([tmp_path])
    assert state is not None
    assert tree_state([tmp_path]) == state
    change(tmp_path)
    assert tree_state([tmp_path]) != state


@needs_links
def test_tree_state_is_unknown_with_links_and_missing_roots(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    assert tree_state([tmp_path / "b"]) is None
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert tree_state([tmp_path]) is None
    # A data folder may be a link; its target counts.
    state = tree_state([tmp_path / "link"])
    assert state is not None
    (tmp_path / "a/x").touch()
    assert tree_state([tmp_path / "link"]) != state


STAGES = ("make_plan", "convert_images", "write_seal")
EDITED = ("sources/cohen/metadata.csv", "sources/mooney.tsv", "image")


@pytest.mark.parametrize(
    ("stage", "path"),
    # Each stage and each file once; the other pairs run with the slow tests.
    [
        pytest.param(stage, path, marks=[] if i == j else pytest.mark.slow)
        for i, stage in enumerate(STAGES)
        for j, path in enumerate(EDITED)
    ],
)
def test_curate_does_not_seal_over_a_source_that_changed_while_it_ran(
    small_demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str, path: str
) -> None:
    data = tmp_path / "data"
    shutil.copytree(small_demo / "data", data)
    edited = data / path if path != "image" else sorted((data / "sources/mooney").rglob("*.jpeg"))[0]
    declared = read_declared(small_demo / "declared/recipe.toml", {})
    module = sys.modules[curate.__module__]
    original = getattr(module, stage)

    def change_after(*args: object, **options: object) -> object:
        result = original(*args, **options)
        edit(edited)
        return result

    monkeypatch.setattr(module, stage, change_after)
    try:
        curate(declared, data, tmp_path / "build", formats=["parquet"])
    except CxrbuildError as error:
        assert "changed since" in str(error)  # noqa: PT017
    monkeypatch.undo()
    with pytest.raises(CxrbuildError, match=r"changed since|not of the files"):
        curate(declared, data, tmp_path / "build", formats=["parquet"])


Rebuild = Callable[..., set[str]]


@pytest.fixture
def rebuild(small_demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rebuild:
    """Builds the images in `build` with the formats that are named; returns which files it read."""
    shutil.copytree(small_demo / "data", tmp_path / "data")
    declared = read_declared(small_demo / "declared/recipe.toml", {})
    read: list[str] = []
    original = conversion.convert_batches

    def listed(executor: Executor, batches: Iterable[Batch], *, workers: int) -> Iterator[BatchResults]:
        batches = list(batches)
        read.extend(task.source_file for batch in batches for task in batch.tasks)
        return original(executor, batches, workers=workers)

    monkeypatch.setattr(conversion, "convert_batches", listed)

    def run(*formats: str) -> set[str]:
        read.clear()
        assert curate(declared, tmp_path / "data", tmp_path / "build", formats=formats).changed
        return {Path(path).name for path in read}

    return run


def test_unchanged_images_are_not_read_again(rebuild: Rebuild, tmp_path: Path) -> None:
    data, build = tmp_path / "data", tmp_path / "build"
    images = rebuild("parquet")
    hashes = {path: path.read_bytes() for path in build.rglob("*.jpg")}
    assert len(images) == len(hashes) > 10
    # A JPEG of the same size and time.
    changed = next(iter(hashes))
    edit(changed)
    row = read_records(build / "manifest.parquet").set_index("jpeg_path")
    path = row.loc[changed.relative_to(build).as_posix(), "source_path"]
    assert rebuild("parquet") == {Path(path).name}
    # A source with a new time, and other formats: another build of the same images.
    source = next(path for path in data.rglob("*.jpeg") if path.name in images)
    source.touch()
    assert rebuild("tfrecord") == {source.name}
    assert {path: path.read_bytes() for path in build.rglob("*.jpg")} == hashes
    # A source that changed, of the same size and modification time.
    edit(source)
    with pytest.raises(CxrbuildError, match="changed since they were fetched"):
        rebuild("parquet")


@pytest.mark.slow
def test_images_without_their_states_are_read_again(rebuild: Rebuild, tmp_path: Path) -> None:
    build = tmp_path / "build"
    images = rebuild("parquet")
    assert rebuild("parquet", "tfrecord") == set()
    # States of another journal, or no states at all.
    (build / ".cxrbuild/journal").unlink()
    assert rebuild("parquet") == images
    (build / ".cxrbuild/states").write_text("damaged")
    assert rebuild("tfrecord") == images
