"""Hashes, atomic writes, locks, and the text of errors."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path

import pytest

from cxrbuild.errors import CxrbuildError, name_some
from cxrbuild.files import files_under, git_blob_of, locked, read_json, replacing, sha256_of, write_json


@pytest.mark.parametrize("data", [b"", b"image\n", b"\0" * (1 << 20) + b"x"])
def test_hashes_are_those_of_git_and_sha256sum(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "f"
    path.write_bytes(data)
    for tool, ours in ((["git", "hash-object", "--no-filters"], git_blob_of), (["sha256sum"], sha256_of)):
        theirs = subprocess.run([*tool, path], capture_output=True, text=True, check=True).stdout.split()[0]
        assert ours(path) == theirs


def test_replacing_writes_a_file_completely_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "f"
    with replacing(path) as temporary:
        temporary.write_text("old")
        assert not path.exists()

    def break_off() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        break_off()
    assert path.read_text() == "old"
    assert [Path(entry.path) for entry in files_under(tmp_path)] == [path]


def test_read_json_reads_what_write_json_wrote_and_refuses_other_text(tmp_path: Path) -> None:
    write_json(tmp_path / "d.json", {"b": ["é"], "a": 1})
    assert read_json(tmp_path / "d.json") == {"b": ["é"], "a": 1}
    (tmp_path / "d.json").write_text("{")
    with pytest.raises(CxrbuildError, match="not a JSON document"):
        read_json(tmp_path / "d.json")


def test_locked_folder_is_refused_until_it_is_released(tmp_path: Path) -> None:
    found = []

    def try_it() -> None:
        try:
            with locked(tmp_path):
                found.append("free")
        except CxrbuildError as error:
            found.append(error.what)

    with locked(tmp_path):
        thread = threading.Thread(target=try_it)
        thread.start()
        thread.join()
    try_it()
    assert found == ["another cxrbuild command uses this folder", "free"]


def test_an_error_is_one_paragraph() -> None:
    error = CxrbuildError("not an image", where="a.png", expected="PNG", found="HTML.", todo="Fetch it again")
    assert str(error) == "a.png: not an image. Expected: PNG. Found: HTML. Fetch it again."
    assert str(CxrbuildError("two\n  a\n  b", todo="Look")) == "two\n  a\n  b.\nLook."
    assert name_some("abc", most=2) == "a, b and 1 more"
