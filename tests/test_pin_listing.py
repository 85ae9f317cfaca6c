"""Listings of files as git prints them, quoted or not, are read as the paths of the tree."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from cxrbuild.errors import CxrbuildError
from cxrbuild.fetching.record import TreeFile, format_record, git_tree_of
from cxrbuild.pins.listing import read_listing

BLOB = "0" * 40
# U+2028 ends a line for Python, and not for git.
NAMES = [
    "plain.png",
    "images/\u00e9t\u00e9.png",
    'a"b.png',
    '"quoted".png',
    "a\u2028b.png",
    " with spaces.png",
]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("git") is None:
        pytest.skip("git is missing")
    root = tmp_path_factory.mktemp("repository")
    (root / "images").mkdir()
    for name in NAMES:
        (root / name).write_text(name, encoding="utf-8")
    git(root, "init", "--quiet", ".")
    git(root, "add", ".")
    git(root, "-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "--quiet", "-m", "a")
    return root


def git(root: Path, *words: str) -> bytes:
    return subprocess.run(["git", *words], cwd=root, check=True, capture_output=True).stdout


@pytest.mark.parametrize(
    "words",
    [("ls-tree", "-r"), ("-c", "core.quotePath=false", "ls-tree", "-r"), ("ls-tree", "-r", "-z")],
    ids=["quoted", "as they are", "with NUL"],
)
@pytest.mark.parametrize("end", [b"\n", b"\r\n"], ids=["", "Windows"])
def test_paths_are_those_of_the_tree_however_git_prints_them(
    repository: Path, tmp_path: Path, words: tuple[str, ...], end: bytes
) -> None:
    printed = git(repository, *words, "HEAD")
    (tmp_path / "listing.tsv").write_bytes(printed.replace(b"\n", end))
    files = read_listing(tmp_path / "listing.tsv")
    assert set(files) == set(NAMES)
    assert git_tree_of(files) == git(repository, "rev-parse", "HEAD^{tree}").decode().strip()
    (tmp_path / "pin.tsv").write_text(
        format_record(files) + f"\t\tof an earlier pin.png\n{BLOB}\t\ta.png\n", encoding="utf-8"
    )
    assert read_listing(tmp_path / "pin.tsv") == files


def test_every_escape_of_git_is_read(tmp_path: Path) -> None:
    (tmp_path / "listing.tsv").write_text(f'100755 blob {BLOB}\t"\\303\\251 \\"\\101\\".png"\n')
    assert read_listing(tmp_path / "listing.tsv") == {'\u00e9 "A".png': TreeFile("100755", BLOB)}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            r'"a\tb.png"',
            r"listing\.tsv, line 2: a path that no source can have: it has a control character.*'a\\tb",
        ),
        (r'"a\nb.png"', "it has a control character"),
        (r'"a\\b.png"', "it has a backslash"),
        (r'"\351.png"', "it is not UTF-8"),
        (r'"a\qb.png"', "line 2: a quoted path that git did not write.*ls-tree -r -z COMMIT"),
        ('"a.png', "a quoted path that git did not write"),
        ("../a.png", "it leads up with"),
    ],
)
def test_a_path_that_no_source_can_have_is_refused(tmp_path: Path, name: str, message: str) -> None:
    lines = [f"100644 blob {BLOB}\tb.png", f"100644 blob {BLOB}\t{name}", ""]
    (tmp_path / "listing.tsv").write_text("\n".join(lines))
    with pytest.raises(CxrbuildError, match=message):
        read_listing(tmp_path / "listing.tsv")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the listing has no files.*ls-tree"),
        ("100644".encode("utf-16"), "no listing of files in UTF-8.*ls-tree"),
        (None, "no listing of files.*no such file"),
        (b"100644 tree 0\ta\n", "line 1: not a listing of files. Expected: mode, blob and path.*ls-tree"),
        (b"100644 blob 0\ta\0", "entry 1: not a listing of files"),
    ],
)
def test_another_file_is_no_listing(tmp_path: Path, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / "listing.tsv").write_bytes(content)
    with pytest.raises(CxrbuildError, match=message):
        read_listing(tmp_path / "listing.tsv")
