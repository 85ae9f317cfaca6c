"""Fetching from folders and archives: proof, what is there already, what must never be lost."""

from __future__ import annotations

import io
import os
import random
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

from cxrbuild.catalog.source import Source, read_source
from cxrbuild.errors import CxrbuildError
from cxrbuild.fetching.pin import files_on_disk
from cxrbuild.fetching.record import TreeFile, git_tree_of
from cxrbuild.fetching.sources import fetch
from cxrbuild.fetching.tree import Fetched
from cxrbuild.files import git_blob_of, locked
from cxrbuild.lockfile import read_lock
from cxrbuild.progress import Bar, silent

CHECKOUT = Path(__file__).parent.parent
SHARED = Path(os.environ.get("CXRBUILD_SHARED", CHECKOUT.parent / "shared"))
needs_films = pytest.mark.skipif(not (SHARED / "originals").is_dir(), reason="the films are not at hand")

FILES = {"README.md": b"read me", "images/a.png": b"a", "images/b.png": b"bb", "run.sh": b"#!/bin/sh\n"}


def written(root: Path, files: dict[str, bytes]) -> Path:
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    return root


@pytest.fixture
def upstream(tmp_path: Path) -> Path:
    root = written(tmp_path / "upstream", FILES)
    (root / "run.sh").chmod(0o755)
    return root


def declared(folder: Path, pin: dict[str, Any] | None = None, name: str = "films", **download: Any) -> Source:
    return Source.model_validate(
        {
            "name": name,
            "title": "Films",
            "download": download,
            "pin": pin or {},
            "reader": {"kind": "folders", "pattern": "(?P<a>.*)", "images": ["*"]},
            "file": folder / "films.toml",
        }
    )


def pinned(root: Path, **download: Any) -> Source:
    """Declare what a folder holds as the pin: its tree, and a listing of it."""
    files = files_on_disk(root, {}, title="", progress=silent)
    lines = [f"{file.mode}\t{file.blob}\t{path}" for path, file in sorted(files.items())]
    (root.parent / "films.tsv").write_text("\n".join(["mode\tblob\tpath", *lines, ""]))
    return declared(root.parent, {"tree": git_tree_of(files), "listing": "films.tsv"}, **download)


def taken(source: Source, data: Path, origin: Path | str | None = None, **options: Any) -> Fetched:
    origins = {} if origin is None else {source.name: str(origin)}
    return fetch([source], data, origins=origins, **options)[source.name]


def refused(source: Source, data: Path, origin: Path | str | None = None, **options: Any) -> str:
    with pytest.raises(CxrbuildError) as caught:
        taken(source, data, origin, **options)
    return str(caught.value)


def content(root: Path) -> dict[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not at hand")
def test_the_tree_hash_is_gits(tmp_path: Path) -> None:
    root = written(tmp_path / "r", dict.fromkeys(["a.b/x", "a/b/c", "a0", "a-", "é/ü", "Z", "run.sh"], b"1"))
    (root / "run.sh").chmod(0o755)
    ours = git_tree_of(files_on_disk(root, {}, title="", progress=silent))
    for command in (["init", "-q"], ["add", "-A"]):
        subprocess.run(["git", *command], cwd=root, check=True)
    theirs = subprocess.run(["git", "write-tree"], cwd=root, check=True, capture_output=True, text=True)
    assert ours == theirs.stdout.strip()


@pytest.mark.parametrize("name", ["cohen", "figure1", "actualmed"])
def test_the_shipped_listings_give_the_pinned_trees(name: str) -> None:
    source = read_source(name)
    assert source.listing
    files = {path: TreeFile(file.mode or "", file.blob or "") for path, file in source.listing.items()}
    assert git_tree_of(files) == source.pin.tree


@needs_films
def test_figure1_is_proven_without_a_flag(tmp_path: Path) -> None:
    source, origin = read_source("figure1"), SHARED / "originals/figure1"
    found = taken(source, tmp_path, origin)
    assert (found.locked.proof, found.locked.unpinned, found.locked.files) == ("git tree", False, 58)
    assert (found.locked.missing, found.locked.extra, found.locked.different) == ([], [], {})
    assert not taken(source, tmp_path).downloaded


def test_what_upstream_lacks_or_changed_is_refused_or_named_in_the_lock(
    upstream: Path, tmp_path: Path
) -> None:
    source, data = pinned(upstream), tmp_path / "data"
    (upstream / "README.md").unlink()
    written(upstream, {"images/a.png": b"A", "images/c.png": b"c"})
    told = refused(source, data, upstream)
    assert f"films from {upstream}: the files are not the pinned version" in told
    assert f"Expected: git tree {source.pin.tree}" in told
    assert "1 missing: README.md; 1 extra: images/c.png; 1 different: images/a.png" in told
    assert f"add --from films={upstream} --allow-unpinned" in told
    assert not (data / "sources/films").exists()
    assert read_lock(data) == {}

    lock = taken(source, data, upstream, allow_unpinned=True).locked
    assert (lock.proof, lock.unpinned) == ("none", True)
    assert (lock.missing, lock.extra) == (["README.md"], ["images/c.png"])
    assert lock.different == {"images/a.png": git_blob_of(upstream / "images/a.png")}
    assert read_lock(data) == {"films": lock}
    assert content(data / "sources/films") == content(upstream)


def test_an_unpinned_tree_counts_as_fetched_with_the_flag_alone(upstream: Path, tmp_path: Path) -> None:
    source, data = pinned(upstream), tmp_path / "data"
    written(upstream, {"README.md": b"changed"})
    lock = taken(source, data, upstream, allow_unpinned=True).locked
    assert lock.proof == "names"
    again = taken(source, data, allow_unpinned=True)
    assert (again.downloaded, again.locked) == (False, lock)
    assert "the source declares no address" in refused(source, data)
    assert "not the pinned version" in refused(source, data, upstream)
    written(upstream, {"README.md": b"read me"})
    now = taken(source, data, upstream)
    assert (now.downloaded, now.locked.proof, now.notes) == (True, "git tree", [])
    assert sorted(path.name for path in (data / "sources").iterdir()) == ["films", "films.tsv"]


def test_a_source_without_a_pin_needs_no_flag(upstream: Path, tmp_path: Path) -> None:
    source, data = declared(tmp_path), tmp_path / "data"
    first = taken(source, data, upstream)
    assert (first.locked.proof, first.locked.unpinned) == ("none", True)
    assert not taken(source, data).downloaded
    assert not taken(source, data, upstream).downloaded
    other = written(tmp_path / "other", {"x.png": b"x"})
    assert taken(source, data, other).downloaded
    assert content(data / "sources/films") == {"x.png": b"x"}


def test_names_alone_are_proven_of_a_folder_whose_archive_is_the_pin(upstream: Path, tmp_path: Path) -> None:
    (tmp_path / "films.txt").write_text("".join(f"{path}\n" for path in FILES))
    source = declared(tmp_path, {"sha256": "0" * 64, "listing": "films.txt"})
    told = refused(source, tmp_path / "data", upstream)
    assert "Expected: an archive with SHA-256 000" in told
    assert "Found: files without their archive, though every name is there and none besides" in told
    lock = taken(source, tmp_path / "data", upstream, allow_unpinned=True).locked
    assert (lock.proof, lock.unpinned) == ("names", True)


@pytest.mark.parametrize(
    "kind", ["folder", "clone", "topped folder", "tar", "tar.gz", "tar.xz", "zip", "bare zip"]
)
def test_every_origin_ends_in_one_tree(upstream: Path, tmp_path: Path, kind: str) -> None:
    source, origin = pinned(upstream, strip=1), upstream
    if kind == "clone":
        written(upstream, {".git/HEAD": b"ref: refs/heads/main"})
    elif kind == "topped folder":
        origin = tmp_path / "top"
        shutil.copytree(upstream, origin / "films-584034")
    elif kind.startswith("tar"):
        origin = tmp_path / f"films.{kind}"
        with tarfile.open(origin, f"w:{kind[4:]}") as tar:
            tar.add(upstream, "./films-584034")
    elif kind.endswith("zip"):
        origin = tmp_path / "films.zip"
        top = "" if kind == "bare zip" else "films-584034/"
        with zipfile.ZipFile(origin, "w") as packed:
            for path, data in FILES.items():
                packed.writestr(top + path, data)
    found = taken(source, tmp_path / "data", origin)
    assert found.locked.proof == "git tree"
    assert content(tmp_path / "data/sources/films") == FILES
    assert os.access(tmp_path / "data/sources/films/run.sh", os.X_OK)
    assert not os.access(tmp_path / "data/sources/films/README.md", os.X_OK)
    assert origin.exists()


def test_modes_that_mean_nothing_do_not_count(upstream: Path, tmp_path: Path) -> None:
    # As a folder copied from a stick that knows no modes.
    source = pinned(upstream)
    for path in upstream.rglob("*"):
        path.chmod(0o755)
    assert taken(source, tmp_path / "data", upstream).locked.proof == "git tree"


def test_what_desktops_leave_in_a_folder_is_not_minded(upstream: Path, tmp_path: Path) -> None:
    source, data = pinned(upstream), tmp_path / "data"
    assert taken(source, data, upstream).downloaded
    for name in (".DS_Store", "Thumbs.db", "._a"):
        (data / "sources" / source.name / name).write_bytes(b"looked at")
    assert not taken(source, data).downloaded


@pytest.mark.parametrize(
    "line", [r"100644\tz", "100644", "\xe9\xe9\xe9\xe9\xe9\xe9\t" + "0" * 40 + "\tx", "\udcff"]
)
def test_a_record_that_was_changed_is_written_anew(upstream: Path, tmp_path: Path, line: str) -> None:
    source, data = pinned(upstream), tmp_path / "data"
    taken(source, data, upstream)
    record = data / "sources" / f"{source.name}.tsv"
    before = record.read_bytes()
    record.write_bytes(before + line.encode(errors="surrogateescape") + b"\n")
    assert not taken(source, data).downloaded
    assert record.read_bytes() == before


def test_a_damaged_tree_is_told_kept_and_fetched_again(upstream: Path, tmp_path: Path) -> None:
    source, data = pinned(upstream), tmp_path / "data"
    taken(source, data, upstream)
    tree = data / "sources/films"
    (tree / "images/a.png").write_bytes(b"damaged")
    (tree / "images/b.png").unlink()
    (tree / "mine.txt").write_bytes(b"mine")
    damaged = content(tree)
    changes = "1 missing: images/b.png; 1 extra: mine.txt; 1 different: images/a.png"
    words = f"was changed since it was fetched ({changes})"

    told = refused(source, data)
    assert f"{tree} {words}, and fetching it again failed: the source declares no address" in told
    assert content(tree) == damaged

    again = taken(source, data, upstream)
    assert again.downloaded
    assert again.notes == [f"{tree} {words}. It was kept as {tree}.damaged-1"]
    assert content(tree) == FILES
    assert content(data / "sources/films.damaged-1") == damaged
    (tree / "run.sh").unlink()
    assert taken(source, data, upstream).notes[0].endswith("films.damaged-2")


def test_damage_of_an_unpinned_tree_is_told_by_name(upstream: Path, tmp_path: Path) -> None:
    source, data = declared(tmp_path), tmp_path / "data"
    taken(source, data, upstream)
    (data / "sources/films/images/a.png").write_bytes(b"damaged")
    assert "(1 different: images/a.png)" in taken(source, data, upstream).notes[0]
    (data / "sources/films/images/a.png").write_bytes(b"damaged")
    (data / "sources/films.tsv").unlink()
    assert "was changed since it was fetched." in taken(source, data, upstream).notes[0]


def test_a_folder_that_fetch_did_not_put_there_is_kept(upstream: Path, tmp_path: Path) -> None:
    source, data = pinned(upstream), tmp_path / "data"
    written(data / "sources/films", {"mine.txt": b"mine"})
    assert "was not put there by fetch" in taken(source, data, upstream).notes[0]
    assert content(data / "sources/films.damaged-1") == {"mine.txt": b"mine"}
    # The pinned files, laid there by hand, prove themselves.
    (data / "sources.lock.json").unlink()
    found = taken(source, data)
    assert (found.downloaded, found.locked.proof) == (False, "git tree")


def test_what_killed_runs_left_is_cleared(upstream: Path, tmp_path: Path) -> None:
    source, data = pinned(upstream), tmp_path / "data"
    taken(source, data, upstream)
    written(data / "sources/.films.abc.fetching", {"0": b"half"})
    # Killed between the two renames of a swap: the old tree comes back.
    (data / "sources/films").rename(data / "sources/.films.replaced")
    assert not taken(source, data).downloaded
    written(data / "sources/.films.replaced", {"old": b"old"})
    assert not taken(source, data).downloaded
    assert sorted(path.name for path in (data / "sources").iterdir()) == ["films", "films.tsv"]


def test_a_run_killed_while_it_copies_leaves_no_half_tree(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; import cxrbuild.fetching.tree as tree;"
        "tree.placed = lambda *a: (print('unpacked', flush=True), time.sleep(60));"
        "from cxrbuild.fetching.sources import fetch;"
        "from cxrbuild.catalog.source import read_source;"
        "source = read_source('films.toml', Path(sys.argv[1]));"
        "fetch([source], Path(sys.argv[2]), origins={'films': sys.argv[3]})"
    )
    upstream, data = written(tmp_path / "upstream", FILES), tmp_path / "data"
    (tmp_path / "films.toml").write_text(
        'name = "films"\ntitle = "Films"\n[reader]\nkind = "folders"\npattern = "(?P<a>.*)"\nimages = ["*"]\n'
    )
    command = [sys.executable, "-c", program, str(tmp_path), str(data), str(upstream)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout
        assert run.stdout.readline() == "unpacked\n"
        run.send_signal(signal.SIGKILL)
    assert [path.suffix for path in (data / "sources").iterdir()] == [".fetching"]
    assert taken(read_source("films.toml", tmp_path), data, upstream).downloaded
    assert sorted(path.name for path in (data / "sources").iterdir()) == ["films", "films.tsv"]


def test_the_data_folder_is_held(upstream: Path, tmp_path: Path) -> None:
    with locked(tmp_path / "data"):
        assert "another cxrbuild is at work" in refused(declared(tmp_path), tmp_path / "data", upstream)


def test_what_progress_is_told(upstream: Path, tmp_path: Path) -> None:
    told: dict[str, list[float]] = {}

    class Count:
        def __init__(self, sums: list[float]) -> None:
            self.sums = sums

        def update(self, n: float = 1, /) -> None:
            self.sums[1] += n

    @contextmanager
    def counting(title: str, total: int | None, unit: str, /) -> Iterator[Bar]:
        assert unit == "B"
        yield Count(told.setdefault(title, [total or 0, 0]))

    taken(pinned(upstream), tmp_path / "data", upstream, progress=counting)
    taken(pinned(upstream), tmp_path / "data", progress=counting)
    size = sum(map(len, FILES.values()))
    assert told == {"films: copying": [size, size], "films: checking": [size, size]}


# Bad input.


def test_words_given_with_from(tmp_path: Path) -> None:
    source = declared(tmp_path, mirrors={"kaggle": "https://kaggle.invalid/a"})
    data = tmp_path / "data"
    told = refused(source, data)
    assert "films: the source declares no address" in told
    assert "--from films=FOLDER, =ARCHIVE or =URL; or take it from a mirror with --from films=kaggle" in told
    told = refused(source, data, "nowhere")
    assert "--from films=nowhere: no such file or folder" in told
    assert "or a mirror: kaggle" in told
    assert "take it from a mirror" not in told
    assert "ftp://h/a: not an address to download from" in refused(source, data, "ftp://h/a")
    assert "the folder holds the data folder itself" in refused(source, data, tmp_path)
    with pytest.raises(CxrbuildError, match="names a source that is not fetched"):
        fetch([source], data, origins={"cohen": "x"})
    with pytest.raises(CxrbuildError, match="films: two sources have one name"):
        fetch([source, source], data)


def test_folders_that_are_no_source(upstream: Path, tmp_path: Path) -> None:
    source, data = declared(tmp_path), tmp_path / "data"
    (tmp_path / "empty").mkdir()
    assert f"{tmp_path / 'empty'}: holds no files" in refused(source, data, tmp_path / "empty")
    (upstream / "images/link.png").symlink_to("a.png")
    told = refused(source, data, upstream)
    assert f"{upstream}: holds a link" in told
    assert "Found: images/link.png" in told
    (upstream / "images/link.png").unlink()
    os.mkfifo(upstream / "pipe")
    assert "holds a device or a pipe" in refused(source, data, upstream)
    assert taken(declared(tmp_path, ignore=["pi*"]), data, upstream).locked.files == 4


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(upstream: Path, tmp_path: Path) -> None:
    (upstream / "README.md").chmod(0)
    told = refused(declared(tmp_path), tmp_path / "data", upstream)
    assert f"{upstream / 'README.md'}: Permission denied" in told


def tarred(path: Path, *members: tuple[tarfile.TarInfo, bytes], mode: Any = "w:gz") -> Path:
    with tarfile.open(path, mode) as tar:
        for member, data in members:
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, link
    return member


@pytest.mark.parametrize("name", ["../out", "a/../../out", "/abs", "C:/win", "a\\..\\b", "a\nb", "caf\udce9"])
@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_paths_that_lead_out(tmp_path: Path, name: str, kind: str) -> None:
    origin = tmp_path / "bad"
    if kind == "tar":
        tarred(origin, (entry("fine"), b"x"), (entry(name), b"x"))
    elif name.isascii():
        with zipfile.ZipFile(origin, "w") as packed:
            packed.writestr(zipfile.ZipInfo(name), b"x")
    else:
        pytest.skip("zip holds no such name")
    told = refused(declared(tmp_path), tmp_path / "data", origin)
    assert f"{origin}: a path that is unsafe to put in place" in told
    assert ascii(name) in told
    assert list((tmp_path / "data/sources").iterdir()) == []
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["tar", "zip"])
@pytest.mark.parametrize("name", ["images/" + "n" * 300, "n" * 300 + "/a.png"])
def test_a_name_that_the_file_system_does_not_take(tmp_path: Path, name: str, kind: str) -> None:
    origin = tmp_path / "long"
    if kind == "tar":
        tarred(origin, (entry("fine"), b"x"), (entry(name), b"x"))
    else:
        with zipfile.ZipFile(origin, "w") as packed:
            packed.writestr(name, b"x")
    told = refused(declared(tmp_path), tmp_path / "data", origin)
    assert f"films: {origin}: a file of it cannot be put in place. Found: {name}: File name too long" in told
    assert "`download.ignore`" in told
    assert ".fetching" not in told
    assert list((tmp_path / "data/sources").iterdir()) == []


@pytest.mark.parametrize(
    ("member", "words"),
    [
        (entry("link", tarfile.SYMTYPE, "/etc/passwd"), "holds a link"),
        (entry("link", tarfile.SYMTYPE, "fine"), "holds a link"),
        (entry("hard", tarfile.LNKTYPE, "fine"), "holds a link"),
        (entry("null", tarfile.CHRTYPE), "holds a device"),
        (entry("pipe", tarfile.FIFOTYPE), "holds a device or a pipe"),
    ],
)
def test_members_that_are_no_plain_files(tmp_path: Path, member: tarfile.TarInfo, words: str) -> None:
    origin = tarred(tmp_path / "bad.tgz", (entry("fine"), b"x"), (member, b""))
    told = refused(declared(tmp_path), tmp_path / "data", origin)
    assert words in told
    assert f"Found: {member.name}" in told


def test_a_link_in_a_zip(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("link")
    info.create_system, info.external_attr = 3, 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as packed:
        packed.writestr(info, "/etc/passwd")
    assert "holds a link" in refused(declared(tmp_path), tmp_path / "data", tmp_path / "bad.zip")


def test_archives_that_are_none_or_damaged(tmp_path: Path) -> None:
    source, data, origin = declared(tmp_path), tmp_path / "data", tmp_path / "bad"
    origin.write_bytes(b"")
    assert "not an archive" in refused(source, data, origin)
    origin.write_bytes(b"<!DOCTYPE html><html>" + b" " * 600)
    told = refused(source, data, origin)
    assert "Expected: zip, tar, tar.gz, tar.bz2 or tar.xz" in told
    assert "begins with b'<!DOCTYPE html>" in told
    noise = random.Random(1).randbytes(50_000)
    for mode in ("w", "w:gz", "w:bz2", "w:xz"):
        whole = tarred(origin, (entry("a"), noise), (entry("b"), noise), mode=mode).read_bytes()
        for cut in (len(whole) // 3, 50_176 + 512, 600):
            origin.write_bytes(whole[:cut])
            assert "the archive is damaged or cut short" in refused(source, data, origin), (mode, cut)
        broken = bytearray(whole)
        broken[20_000] ^= 0xFF
        origin.write_bytes(broken)
        if mode != "w":
            assert "the archive is damaged or cut short" in refused(source, data, origin), mode
    with zipfile.ZipFile(origin, "w") as packed:
        packed.writestr("a", noise)
    whole = origin.read_bytes()
    for bad in (whole[:-100], whole[:100] + b"?" + whole[101:]):
        origin.write_bytes(bad)
        assert "the archive is damaged or cut short" in refused(source, data, origin)


def test_an_encrypted_zip(tmp_path: Path) -> None:
    origin = tmp_path / "bad.zip"
    with zipfile.ZipFile(origin, "w") as packed:
        packed.writestr("a", b"x")
    whole = bytearray(origin.read_bytes())
    whole[6] |= 1
    whole[whole.index(b"PK\x01\x02") + 8] |= 1
    origin.write_bytes(whole)
    assert "the archive is encrypted" in refused(declared(tmp_path), tmp_path / "data", origin)


@pytest.mark.parametrize("kind", ["tar", "zip", "folder"])
def test_more_than_the_disk_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    zeros = bytes(10_000_000)
    origin = tmp_path / "bomb"
    if kind == "tar":
        assert tarred(origin, (entry("zeros"), zeros)).stat().st_size < 50_000
    elif kind == "zip":
        with zipfile.ZipFile(origin, "w", zipfile.ZIP_DEFLATED) as packed:
            packed.writestr("zeros", zeros)
    else:
        written(origin, {"zeros": zeros})
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=9_000_000))
    told = refused(declared(tmp_path), tmp_path / "data", origin)
    assert "the disk has too little room. Expected: 10,000,000 bytes free. Found: 9,000,000" in told


def test_a_zip_that_lies_about_a_size(tmp_path: Path) -> None:
    origin = tmp_path / "bad.zip"
    with zipfile.ZipFile(origin, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("zeros", bytes(1_000_000))
    lie = origin.read_bytes().replace((1_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    origin.write_bytes(lie)
    told = refused(declared(tmp_path), tmp_path / "data", origin)
    assert "the archive is damaged" in told or "a file has another size than declared" in told


def test_two_files_of_one_path(tmp_path: Path) -> None:
    source, origin = declared(tmp_path), tmp_path / "a.tgz"
    tarred(origin, (entry("a"), b"x"), (entry("./a"), b"x"))
    assert taken(source, tmp_path / "data", origin).locked.files == 1
    tarred(origin, (entry("a"), b"x"), (entry("a"), b"y"))
    told = refused(source, tmp_path / "other", origin)
    assert "two files that differ have one path" in told
    tarred(origin, (entry("a"), b"x"), (entry("a/b"), b"y"))
    assert "a path is both a file and a folder" in refused(source, tmp_path / "other", origin)


def test_names_that_differ_in_case_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, origin = declared(tmp_path), tmp_path / "a.tgz"
    tarred(origin, (entry("a/x.png"), b"x"), (entry("A/x.png"), b"y"))
    monkeypatch.setattr("cxrbuild.fetching.tree.folds_case", lambda _: True)
    told = refused(source, tmp_path / "data", origin)
    assert "differ in case only" in told
    assert "a/x.png, A/x.png" in told


# Mooney: two layouts, one tree.

LISTED = [
    "chest_xray/test/NORMAL/IM-1.jpeg",
    "chest_xray/train/NORMAL/IM-2.jpeg",
    "chest_xray/train/PNEUMONIA/person1_virus_1.jpeg",
    "chest_xray/val/PNEUMONIA/person9_bacteria_1.jpeg",
]


def mooney(tmp_path: Path) -> Source:
    (tmp_path / "films.txt").write_text("".join(f"{path}\n" for path in LISTED))
    shipped = read_source("mooney").download
    return declared(
        tmp_path,
        {"sha256": "0" * 64, "listing": "films.txt"},
        ignore=shipped.ignore,
        relocate=shipped.relocate,
        strip=shipped.strip,
    )


@pytest.mark.parametrize("layout", ["mendeley", "kaggle", "kaggle in a folder", "chest_xray itself"])
def test_mooneys_layouts_end_in_one_tree(tmp_path: Path, layout: str) -> None:
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
    lock = taken(mooney(tmp_path), tmp_path / "data", origin, allow_unpinned=True).locked
    assert (lock.proof, lock.extra) == ("names", [])
    assert content(tmp_path / "data/sources/films") == {path: path.encode() for path in LISTED}


def test_two_films_of_one_place_that_differ(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "zip", "w") as packed:
        packed.writestr("chest_xray/val/PNEUMONIA/person9_bacteria_1.jpeg", "one")
        packed.writestr("chest_xray/train/PNEUMONIA/person9_bacteria_1.jpeg", "other")
    told = refused(mooney(tmp_path), tmp_path / "data", tmp_path / "zip", allow_unpinned=True)
    assert "two files that differ have one path" in told
    assert "val/PNEUMONIA/person9_bacteria_1.jpeg and chest_xray/train" in told


def test_sources_are_fetched_side_by_side(upstream: Path, tmp_path: Path) -> None:
    @contextmanager
    def slow(title: str, total: int | None, unit: str, /) -> Iterator[Bar]:
        time.sleep(0.2)
        with silent(title, total, unit) as bar:
            yield bar

    sources = [declared(tmp_path, name=f"s{number}") for number in range(4)]
    origins = {source.name: str(upstream) for source in sources}
    before = time.monotonic()
    found = fetch(sources, tmp_path / "data", origins=origins, progress=slow)
    assert time.monotonic() - before < 0.7
    assert list(found) == list(read_lock(tmp_path / "data")) == ["s0", "s1", "s2", "s3"]
