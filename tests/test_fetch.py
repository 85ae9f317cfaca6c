"""Fetch from folders and archives: verification, present trees, and what must never be lost."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fetching import (
    FILES,
    fetch_error,
    fetch_one,
    make_pinned_source,
    make_source,
    read_files,
    write_files,
)
from systems import is_root, needs_kills, needs_links, needs_modes, needs_pipes

import cxrbuild.fetching.origin_state
import cxrbuild.fetching.tree
from cxrbuild.catalog.source import Download, Source, read_source
from cxrbuild.errors import CxrbuildError
from cxrbuild.fetching.extraction import Member
from cxrbuild.fetching.pin import files_on_disk
from cxrbuild.fetching.record import TreeFile, git_tree_of
from cxrbuild.fetching.sources import fetch
from cxrbuild.files import git_blob_of, locked
from cxrbuild.lockfile import read_lock
from cxrbuild.progress import Bar, Silent, silent
from cxrbuild.shell import quote

CHECKOUT = Path(__file__).parent.parent
SHARED = Path(os.environ.get("CXRBUILD_SHARED", CHECKOUT.parent / "shared"))
needs_shared = pytest.mark.skipif(not (SHARED / "originals").is_dir(), reason="the shared images are missing")


@pytest.fixture
def upstream(tmp_path: Path) -> Path:
    root = write_files(tmp_path / "upstream", FILES)
    (root / "run.sh").chmod(0o755)
    return root


@needs_modes
@pytest.mark.skipif(shutil.which("git") is None, reason="git is missing")
def test_git_tree_of_equals_git_write_tree(tmp_path: Path) -> None:
    root = write_files(
        tmp_path / "r", dict.fromkeys(["a.b/x", "a/b/c", "a0", "a-", "é/ü", "Z", "run.sh"], b"1")
    )
    (root / "run.sh").chmod(0o755)
    ours = git_tree_of(files_on_disk(root, {}, title="", progress=silent))
    for command in (["init", "-q"], ["add", "-A"]):
        subprocess.run(["git", *command], cwd=root, check=True)
    theirs = subprocess.run(["git", "write-tree"], cwd=root, check=True, capture_output=True, text=True)
    assert ours == theirs.stdout.strip()


@pytest.mark.parametrize("name", ["cohen", "figure1", "actualmed"])
def test_shipped_listings_have_the_pinned_tree_hash(name: str) -> None:
    source = read_source(name)
    assert source.listing
    files = {path: TreeFile(file.mode or "", file.blob or "") for path, file in source.listing.items()}
    assert git_tree_of(files) == source.pin.tree


@needs_shared
def test_fetch_verifies_figure1_against_its_pin(tmp_path: Path) -> None:
    source, origin = read_source("figure1"), SHARED / "originals/figure1"
    found = fetch_one(source, tmp_path, origin)
    assert (found.locked.proof, found.locked.unpinned, found.locked.files) == ("git tree", False, 58)
    assert (found.locked.missing, found.locked.extra, found.locked.different) == ([], [], {})
    assert not fetch_one(source, tmp_path).downloaded


def test_fetch_refuses_other_files_or_names_them_in_the_lock(upstream: Path, tmp_path: Path) -> None:
    source, data = make_pinned_source(upstream), tmp_path / "data"
    (upstream / "README.md").unlink()
    write_files(upstream, {"images/a.png": b"A", "images/c.png": b"c"})
    message = fetch_error(source, data, upstream)
    assert f"mine from {upstream}: the files are not the pinned version" in message
    assert f"Expected: git tree {source.pin.tree}" in message
    # This declaration takes every file for an image.
    assert (
        "1 image missing: README.md; 1 image with other bytes: images/a.png; 1 image extra: images/c.png"
        in message
    )
    assert f"add `--from {quote(f'mine={upstream}')} --allow-unpinned`" in message
    assert not (data / "sources/mine").exists()
    assert read_lock(data) == {}

    lock = fetch_one(source, data, upstream, allow_unpinned=True).locked
    assert (lock.proof, lock.unpinned) == ("none", True)
    assert (lock.missing, lock.extra) == (["README.md"], ["images/c.png"])
    assert lock.different == {"images/a.png": git_blob_of(upstream / "images/a.png")}
    assert read_lock(data) == {"mine": lock}
    assert read_files(data / "sources/mine") == read_files(upstream)


def test_fetch_accepts_a_present_unpinned_tree_only_with_allow_unpinned(
    upstream: Path, tmp_path: Path
) -> None:
    source, data = make_pinned_source(upstream), tmp_path / "data"
    write_files(upstream, {"README.md": b"changed"})
    lock = fetch_one(source, data, upstream, allow_unpinned=True).locked
    assert lock.proof == "names"
    again = fetch_one(source, data, allow_unpinned=True)
    assert (again.downloaded, again.locked) == (False, lock)
    assert "the source declares no address" in fetch_error(source, data)
    assert "not the pinned version" in fetch_error(source, data, upstream)
    write_files(upstream, {"README.md": b"read me"})
    now = fetch_one(source, data, upstream)
    assert (now.downloaded, now.locked.proof, now.notes) == (True, "git tree", [])
    assert sorted(path.name for path in (data / "sources").iterdir()) == ["mine", "mine.tsv"]


def test_fetch_takes_a_source_without_a_pin(upstream: Path, tmp_path: Path) -> None:
    source, data = make_source(tmp_path), tmp_path / "data"
    first = fetch_one(source, data, upstream)
    assert (first.locked.proof, first.locked.unpinned) == ("none", True)
    assert not fetch_one(source, data).downloaded
    assert not fetch_one(source, data, upstream).downloaded
    other = write_files(tmp_path / "other", {"x.png": b"x"})
    assert fetch_one(source, data, other).downloaded
    assert read_files(data / "sources/mine") == {"x.png": b"x"}


def test_fetch_verifies_only_names_of_a_folder_whose_pin_is_an_archive(
    upstream: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine.txt").write_text("".join(f"{path}\n" for path in FILES))
    source = make_source(tmp_path, {"sha256": "0" * 64, "listing": "mine.txt"})
    message = fetch_error(source, tmp_path / "data", upstream)
    assert "Expected: an archive with SHA-256 000" in message
    assert "Found: files without their archive, with exactly the names of the listing" in message
    lock = fetch_one(source, tmp_path / "data", upstream, allow_unpinned=True).locked
    assert (lock.proof, lock.unpinned) == ("names", True)


@pytest.mark.parametrize(
    "kind", ["folder", "clone", "topped folder", "tar", "tar.gz", "tar.xz", "zip", "bare zip"]
)
def test_fetch_makes_the_same_tree_from_every_origin(upstream: Path, tmp_path: Path, kind: str) -> None:
    source, origin = make_pinned_source(upstream, strip=1), upstream
    if kind == "clone":
        write_files(upstream, {".git/HEAD": b"ref: refs/heads/main"})
    elif kind == "topped folder":
        origin = tmp_path / "top"
        shutil.copytree(upstream, origin / "mine-584034")
    elif kind.startswith("tar"):
        origin = tmp_path / f"mine.{kind}"
        with tarfile.open(origin, f"w:{kind[4:]}") as tar:
            tar.add(upstream, "./mine-584034")
    elif kind.endswith("zip"):
        origin = tmp_path / "mine.zip"
        top = "" if kind == "bare zip" else "mine-584034/"
        with zipfile.ZipFile(origin, "w") as packed:
            for path, data in FILES.items():
                packed.writestr(top + path, data)
    found = fetch_one(source, tmp_path / "data", origin)
    assert found.locked.proof == "git tree"
    assert read_files(tmp_path / "data/sources/mine") == FILES
    if os.name == "posix":
        assert os.access(tmp_path / "data/sources/mine/run.sh", os.X_OK)
        assert not os.access(tmp_path / "data/sources/mine/README.md", os.X_OK)
    assert origin.exists()


@needs_modes
def test_fetch_ignores_modes_that_the_pin_overrides(upstream: Path, tmp_path: Path) -> None:
    # As a folder copied from a stick that knows no modes.
    source = make_pinned_source(upstream)
    for path in upstream.rglob("*"):
        path.chmod(0o755)
    assert fetch_one(source, tmp_path / "data", upstream).locked.proof == "git tree"


def test_fetch_ignores_desktop_files_in_a_present_tree(upstream: Path, tmp_path: Path) -> None:
    source, data = make_pinned_source(upstream), tmp_path / "data"
    assert fetch_one(source, data, upstream).downloaded
    for name in (".DS_Store", "Thumbs.db", "._a"):
        (data / "sources" / source.name / name).write_bytes(b"looked at")
    assert not fetch_one(source, data).downloaded


@pytest.mark.parametrize(
    "line", [r"100644\tz", "100644", "\xe9\xe9\xe9\xe9\xe9\xe9\t" + "0" * 40 + "\tx", "\udcff"]
)
def test_fetch_writes_a_changed_record_again(upstream: Path, tmp_path: Path, line: str) -> None:
    source, data = make_pinned_source(upstream), tmp_path / "data"
    fetch_one(source, data, upstream)
    record = data / "sources" / f"{source.name}.tsv"
    before = record.read_bytes()
    record.write_bytes(before + line.encode(errors="surrogateescape") + b"\n")
    assert not fetch_one(source, data).downloaded
    assert record.read_bytes() == before


def test_fetch_reports_keeps_and_replaces_a_damaged_tree(upstream: Path, tmp_path: Path) -> None:
    source, data = make_pinned_source(upstream), tmp_path / "data"
    fetch_one(source, data, upstream)
    tree = data / "sources/mine"
    (tree / "images/a.png").write_bytes(b"damaged")
    (tree / "images/b.png").unlink()
    (tree / "mine.txt").write_bytes(b"mine")
    damaged = read_files(tree)
    changes = "1 image missing: images/b.png; 1 image with other bytes: images/a.png; 1 image extra: mine.txt"
    words = f"was changed since it was fetched ({changes})"

    message = fetch_error(source, data)
    assert f"{tree} {words}, and fetching it again failed: the source declares no address" in message
    assert read_files(tree) == damaged

    again = fetch_one(source, data, upstream)
    assert again.downloaded
    assert again.notes == [f"{tree} {words}. It was kept as {tree}.damaged-1"]
    assert read_files(tree) == FILES
    assert read_files(data / "sources/mine.damaged-1") == damaged
    (tree / "run.sh").unlink()
    assert fetch_one(source, data, upstream).notes[0].endswith("mine.damaged-2")


def test_fetch_names_the_damaged_files_of_an_unpinned_tree(upstream: Path, tmp_path: Path) -> None:
    source, data = make_source(tmp_path), tmp_path / "data"
    fetch_one(source, data, upstream)
    (data / "sources/mine/images/a.png").write_bytes(b"damaged")
    assert "(1 image with other bytes: images/a.png)" in fetch_one(source, data, upstream).notes[0]
    (data / "sources/mine/images/a.png").write_bytes(b"damaged")
    (data / "sources/mine.tsv").unlink()
    assert "was changed since it was fetched." in fetch_one(source, data, upstream).notes[0]


def test_fetch_keeps_a_folder_that_it_did_not_make(upstream: Path, tmp_path: Path) -> None:
    source, data = make_pinned_source(upstream), tmp_path / "data"
    write_files(data / "sources/mine", {"mine.txt": b"mine"})
    assert "was not made by fetch" in fetch_one(source, data, upstream).notes[0]
    assert read_files(data / "sources/mine.damaged-1") == {"mine.txt": b"mine"}
    # Files with the pinned tree hash need no entry in the lock.
    (data / "sources.lock.json").unlink()
    found = fetch_one(source, data)
    assert (found.downloaded, found.locked.proof) == (False, "git tree")


def test_fetch_keeps_nothing_aside_when_it_was_killed_before_it_wrote_the_lock(
    upstream: Path, tmp_path: Path
) -> None:
    source, data = make_source(tmp_path), tmp_path / "data"
    fetch_one(source, data, upstream)
    (data / "sources.lock.json").unlink()
    assert fetch_one(source, data, upstream).notes == []
    assert sorted(path.name for path in (data / "sources").iterdir()) == ["mine", "mine.tsv"]
    # Files that differ from the record are not a killed run's.
    (data / "sources.lock.json").unlink()
    (data / "sources/mine/images/a.png").write_bytes(b"mine")
    assert "was not made by fetch" in fetch_one(source, data, upstream).notes[0]


def test_fetch_removes_what_killed_runs_left(upstream: Path, tmp_path: Path) -> None:
    source, data = make_pinned_source(upstream), tmp_path / "data"
    fetch_one(source, data, upstream)
    write_files(data / "sources/.mine.abc.fetching", {"0": b"half"})
    for name in ("sources/.mine.tsv", "downloads/.mine.origin.json", ".sources.lock.json"):
        write_files(data, {f"{name}.0123abcd.part": b"half"})
    # Killed between the two renames of a swap: the old tree comes back.
    (data / "sources/mine").rename(data / "sources/.mine.replaced")
    assert not fetch_one(source, data).downloaded
    write_files(data / "sources/.mine.replaced", {"old": b"old"})
    assert not fetch_one(source, data).downloaded
    assert sorted(path.name for path in (data / "sources").iterdir()) == ["mine", "mine.tsv"]
    assert not list(data.rglob("*.part"))


@needs_kills
def test_fetch_leaves_no_partial_tree_when_killed(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; import cxrbuild.fetching.tree as tree;"
        "tree.lay_out_tree = lambda *a, **k: (print('unpacked', flush=True), time.sleep(60));"
        "from cxrbuild.fetching.sources import fetch;"
        "from cxrbuild.catalog.source import read_source;"
        "source = read_source('mine.toml', Path(sys.argv[1]));"
        "fetch([source], Path(sys.argv[2]), origins={'mine': sys.argv[3]})"
    )
    upstream, data = write_files(tmp_path / "upstream", FILES), tmp_path / "data"
    (tmp_path / "mine.toml").write_text(
        'name = "mine"\ntitle = "Mine"\n[reader]\nkind = "folders"\npattern = "(?P<a>.*)"\nimages = ["*"]\n'
    )
    command = [sys.executable, "-c", program, str(tmp_path), str(data), str(upstream)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout
        assert run.stdout.readline() == "unpacked\n"
        run.send_signal(signal.SIGKILL)
    assert [path.suffix for path in (data / "sources").iterdir()] == [".fetching"]
    assert fetch_one(read_source("mine.toml", tmp_path), data, upstream).downloaded
    assert sorted(path.name for path in (data / "sources").iterdir()) == ["mine", "mine.tsv"]


def test_fetch_locks_the_data_folder(upstream: Path, tmp_path: Path) -> None:
    with locked(tmp_path / "data"):
        assert "another cxrbuild command uses" in fetch_error(
            make_source(tmp_path), tmp_path / "data", upstream
        )


def test_fetch_reports_progress_in_bytes(upstream: Path, tmp_path: Path) -> None:
    message: dict[str, list[float]] = {}

    class Count:
        def __init__(self, sums: list[float]) -> None:
            self.sums = sums

        def update(self, n: float = 1, /) -> None:
            self.sums[1] += n

    notes = []

    class Counting(Silent):
        @contextmanager
        def __call__(self, title: str, total: int | None, unit: str, /, *, done: int = 0) -> Iterator[Bar]:
            assert (unit, done) == ("B", 0)
            yield Count(message.setdefault(title, [total or 0, 0]))

        def note(self, message: str, /) -> None:
            notes.append(message)

    fetch_one(make_pinned_source(upstream), tmp_path / "data", upstream, progress=Counting())
    assert notes == [f"mine: fetching {upstream} into {tmp_path / 'data/sources/mine'}"]
    fetch_one(make_pinned_source(upstream), tmp_path / "data", progress=Counting())
    assert notes[1:] == ["mine is present, unchanged and verified."]
    size = sum(map(len, FILES.values()))
    assert message == {"mine: copying": [size, size], "mine: checking": [size, size]}


# Bad input.


def test_fetch_refuses_origins_that_do_not_exist(tmp_path: Path) -> None:
    source = make_source(tmp_path, mirrors={"kaggle": "https://kaggle.invalid/a"})
    data = tmp_path / "data"
    message = fetch_error(source, data)
    assert "mine: the source declares no address" in message
    assert (
        "--from mine=FOLDER, =ARCHIVE or =URL; or fetch it from a mirror with --from mine=kaggle" in message
    )
    message = fetch_error(source, data, "nowhere")
    assert "--from mine=nowhere: no such file or folder" in message
    assert "or a mirror: kaggle" in message
    assert "fetch it from a mirror" not in message
    assert "ftp://h/a: not an address to download from" in fetch_error(source, data, "ftp://h/a")
    assert "the folder contains the data folder itself" in fetch_error(source, data, tmp_path)
    with pytest.raises(CxrbuildError, match="names a source that is not fetched"):
        fetch([source], data, origins={"cohen": "x"})
    with pytest.raises(CxrbuildError, match="mine: two sources have the same name"):
        fetch([source, source], data)


def test_fetch_refuses_an_empty_folder(tmp_path: Path) -> None:
    source, data = make_source(tmp_path), tmp_path / "data"
    (tmp_path / "empty").mkdir()
    assert f"{tmp_path / 'empty'}: it contains no files" in fetch_error(source, data, tmp_path / "empty")


@needs_links
def test_fetch_refuses_a_folder_with_a_link(upstream: Path, tmp_path: Path) -> None:
    (upstream / "images/link.png").symlink_to("a.png")
    message = fetch_error(make_source(tmp_path), tmp_path / "data", upstream)
    assert f"{upstream}: it contains a link" in message
    assert "Found: images/link.png" in message


@needs_pipes
def test_fetch_refuses_a_folder_with_a_pipe(upstream: Path, tmp_path: Path) -> None:
    source, data = make_source(tmp_path), tmp_path / "data"
    os.mkfifo(upstream / "pipe")
    assert "it contains a device or a pipe" in fetch_error(source, data, upstream)
    assert fetch_one(make_source(tmp_path, ignore=["pi*"]), data, upstream).locked.files == 4


@needs_modes
@pytest.mark.skipif(is_root, reason="root may read everything")
def test_fetch_names_a_file_without_read_permission(upstream: Path, tmp_path: Path) -> None:
    (upstream / "README.md").chmod(0)
    message = fetch_error(make_source(tmp_path), tmp_path / "data", upstream)
    assert f"{upstream / 'README.md'}: Permission denied" in message


LISTED = [
    "chest_xray/test/NORMAL/IM-1.jpeg",
    "chest_xray/train/NORMAL/IM-2.jpeg",
    "chest_xray/train/PNEUMONIA/person1_virus_1.jpeg",
    "chest_xray/val/PNEUMONIA/person9_bacteria_1.jpeg",
]


def mooney(tmp_path: Path) -> Source:
    (tmp_path / "mine.txt").write_text("".join(f"{path}\n" for path in LISTED))
    shipped = read_source("mooney").download
    return make_source(
        tmp_path,
        {"sha256": "0" * 64, "listing": "mine.txt"},
        ignore=shipped.ignore,
        relocate=shipped.relocate,
        strip=shipped.strip,
    )


@pytest.mark.parametrize("layout", ["mendeley", "kaggle", "kaggle in a folder", "chest_xray itself"])
def test_fetch_makes_the_same_tree_from_every_layout_of_mooney(tmp_path: Path, layout: str) -> None:
    origin = tmp_path / "zip"
    with zipfile.ZipFile(origin, "w") as packed:
        for path in LISTED:
            if layout == "mendeley":
                packed.writestr(path.replace("/val/", "/train/"), path)
                packed.writestr(f"__MACOSX/{path}", "junk")
            else:
                packed.writestr(path, path)
                packed.writestr(f"chest_xray/{path}", path)
                packed.writestr(f"chest_xray/__MACOSX/{path}", "junk")
        packed.writestr("chest_xray/.DS_Store", "junk")
    if layout in ("kaggle in a folder", "chest_xray itself"):
        with zipfile.ZipFile(origin) as packed:
            packed.extractall(tmp_path / "unpacked")
        origin = tmp_path / "unpacked" / ("chest_xray" if layout == "chest_xray itself" else "")
    lock = fetch_one(mooney(tmp_path), tmp_path / "data", origin, allow_unpinned=True).locked
    assert (lock.proof, lock.extra) == ("names", [])
    assert read_files(tmp_path / "data/sources/mine") == {path: path.encode() for path in LISTED}


def test_fetch_refuses_two_different_images_with_one_relocated_path(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "zip", "w") as packed:
        packed.writestr("chest_xray/val/PNEUMONIA/person9_bacteria_1.jpeg", "one")
        packed.writestr("chest_xray/train/PNEUMONIA/person9_bacteria_1.jpeg", "other")
    message = fetch_error(mooney(tmp_path), tmp_path / "data", tmp_path / "zip", allow_unpinned=True)
    assert "two different files have one path" in message
    assert "val/PNEUMONIA/person9_bacteria_1.jpeg and chest_xray/train" in message


def test_fetch_runs_several_jobs_at_a_time(upstream: Path, tmp_path: Path) -> None:
    class Slow(Silent):
        @contextmanager
        def __call__(self, title: str, total: int | None, unit: str, /, *, done: int = 0) -> Iterator[Bar]:
            time.sleep(0.2)
            with super().__call__(title, total, unit, done=done) as bar:
                yield bar

    sources = [make_source(tmp_path, name=f"s{number}") for number in range(4)]
    origins = {source.name: str(upstream) for source in sources}
    before = time.monotonic()
    found = fetch(sources, tmp_path / "data", origins=origins, progress=Slow()).sources
    assert time.monotonic() - before < 0.7
    assert list(found) == list(read_lock(tmp_path / "data")) == ["s0", "s1", "s2", "s3"]


@needs_modes
def test_fetch_copies_of_a_folder_only_what_changed(
    upstream: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cxrbuild.fetching.origin_state, "_TICK_NS", 0)
    source, data = make_source(tmp_path), tmp_path / "data"
    (upstream / "plain.sh").write_bytes((upstream / "run.sh").read_bytes())
    (upstream / "run.sh").chmod(0o755)
    fetch_one(source, data, upstream)
    tree = data / "sources/mine"
    inodes = {path.relative_to(tree).as_posix(): path.stat().st_ino for path in tree.rglob("*.*")}
    # Same size and modification time; a new file of known content; another mode; one that was deleted.
    before = (upstream / "images/a.png").stat()
    (upstream / "images/a.png").write_bytes(b"x")
    os.utime(upstream / "images/a.png", ns=(before.st_atime_ns, before.st_mtime_ns))
    (upstream / "images/b.png").rename(upstream / "images/c.png")
    (upstream / "plain.sh").chmod(0o755)
    again = fetch_one(source, data, upstream)
    fresh = fetch_one(source, tmp_path / "other", upstream)
    assert again.downloaded
    assert again.locked.tree == fresh.locked.tree
    assert read_files(tree) == read_files(upstream)
    assert (tree / "README.md").stat().st_ino == inodes["README.md"]
    assert (tree / "images/a.png").stat().st_ino != inodes["images/a.png"]
    assert not (tree / "run.sh").samefile(tree / "plain.sh")
    assert {path.stat().st_nlink for path in tree.rglob("*.*")} == {1}
    assert not fetch_one(source, data, upstream).downloaded
    # What was edited in the data folder is not used.
    (tree / "README.md").write_bytes(b"edited")
    (upstream / "images/a.png").write_bytes(b"y")
    assert fetch_one(source, data, upstream).downloaded
    assert read_files(tree) == read_files(upstream)


def test_fetch_reads_a_changed_folder_of_a_pinned_source(upstream: Path, tmp_path: Path) -> None:
    source, data = make_pinned_source(upstream), tmp_path / "data"
    fetch_one(source, data, upstream)
    assert not fetch_one(source, data, upstream).downloaded
    before = read_files(data / "sources/mine")
    (upstream / "images/new.png").write_bytes(b"new")
    assert "images/new.png" in fetch_error(source, data, upstream)
    assert read_files(data / "sources/mine") == before
    assert not fetch_one(source, data).downloaded
    found = fetch_one(source, data, upstream, allow_unpinned=True)
    assert found.downloaded
    assert found.locked.unpinned
    assert read_files(data / "sources/mine") == read_files(upstream)


def test_fetch_locks_the_others_when_memory_runs_out_for_one(
    upstream: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out = cxrbuild.fetching.tree.lay_out_tree

    def run_out(members: list[Member], download: Download, *rest: Any, **options: Any) -> dict[str, Member]:
        if download.ignore == ["x"]:
            raise MemoryError
        return lay_out(members, download, *rest, **options)

    monkeypatch.setattr(cxrbuild.fetching.tree, "lay_out_tree", run_out)
    one, other = make_source(tmp_path, name="one", ignore=["x"]), make_source(tmp_path, name="other")
    origins = {"one": str(upstream), "other": str(upstream)}
    with pytest.raises(CxrbuildError, match="one: memory ran out"):
        fetch([one, other], tmp_path / "data", origins=origins, jobs=1)
    assert list(read_lock(tmp_path / "data")) == ["other"]
    monkeypatch.undo()
    fetch([one, other], tmp_path / "data", origins=origins)
    assert sorted(path.name for path in (tmp_path / "data/sources").iterdir()) == [
        "one", "one.tsv", "other", "other.tsv",
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["folder", "archive"])
def test_fetch_notices_a_change_of_an_unpinned_origin(upstream: Path, tmp_path: Path, kind: str) -> None:
    source, data, origin = make_source(tmp_path), tmp_path / "data", upstream

    def pack() -> None:
        if kind == "archive":
            shutil.make_archive(str(tmp_path / "packed"), "tar", upstream)

    pack()
    origin = tmp_path / "packed.tar" if kind == "archive" else upstream
    assert fetch_one(source, data, origin).downloaded
    assert not fetch_one(source, data, origin).downloaded
    # The same size and the same modification time: only the change time shows the edit.
    before = (upstream / "images/a.png").stat()
    (upstream / "images/a.png").write_bytes(b"x")
    os.utime(upstream / "images/a.png", ns=(before.st_atime_ns, before.st_mtime_ns))
    pack()
    assert fetch_one(source, data, origin).downloaded
    assert (data / "sources/mine/images/a.png").read_bytes() == b"x"
    assert not fetch_one(source, data, origin).downloaded
    (upstream / "images/c.png").write_bytes(b"c")
    (upstream / "README.md").unlink()
    pack()
    assert fetch_one(source, data, origin).downloaded
    assert read_files(data / "sources/mine") == read_files(upstream)
