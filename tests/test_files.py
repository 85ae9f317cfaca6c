"""Hashes, atomic writes, locks, and the text of errors."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from cxrbuild.errors import CxrbuildError, count_of, is_of_memory, name_some, of_system, printable
from cxrbuild.file_status import status_of
from cxrbuild.files import (
    files_under,
    git_blob_of,
    locked,
    locked_in_place,
    locked_until_removed,
    naming,
    read_json,
    remove_temporary_files,
    replacing,
    sha256_of,
    temporary_name,
    tree_state,
    write_json,
)


# A test's name goes into the environment of the programs that it starts, which has a limit.
@pytest.mark.parametrize("data", [b"", b"image\n", b"\0" * (1 << 20) + b"x"], ids=["empty", "short", "long"])
@pytest.mark.parametrize(
    ("tool", "ours"), [("git hash-object --no-filters", git_blob_of), ("sha256sum", sha256_of)]
)
def test_hashes_are_those_of_git_and_sha256sum(
    tmp_path: Path, tool: str, ours: Callable[[Path], str], data: bytes
) -> None:
    program, *options = tool.split()
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    path = tmp_path / "f"
    path.write_bytes(data)
    theirs = subprocess.run([program, *options, path], capture_output=True, text=True, check=True)
    assert ours(path) == theirs.stdout.split()[0]


def test_of_temporary_files_only_those_of_killed_runs_are_removed(tmp_path: Path) -> None:
    names = {"a.jpg", ".a.jpg", "a.part", ".a.jpg.part", ".a.jpg.0123456.part", ".a.jpg.0123456g.part"}
    for name in names | {temporary_name("a.jpg"), temporary_name("n" * 200)}:
        (tmp_path / name).write_text("1")
    folder = tmp_path / temporary_name("folder")
    folder.mkdir()
    remove_temporary_files(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == names | {folder.name}


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


def test_locked_in_place_leaves_no_file_and_refuses_a_second_command(tmp_path: Path) -> None:
    def lock_again() -> None:
        with locked_in_place(tmp_path):
            pass

    with locked_in_place(tmp_path), pytest.raises(CxrbuildError, match="another cxrbuild command uses this"):
        lock_again()
    with locked_in_place(tmp_path):
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("filename", "named"),
    [(None, "out"), (Path("t.part"), "out"), ("t.part/a/b", "out/a/b"), ("t.parts", "t.parts"), ("x", "x")],
)
def test_naming_replaces_temporary_names(filename: object, named: str) -> None:
    with pytest.raises(OSError, match="No space") as caught, naming("out", "t.part"):
        raise OSError(errno.ENOSPC, "No space", filename)
    assert str(of_system(caught.value)).startswith(f"{named}: No space left on device. Make room")


def test_replacing_names_the_file_that_cannot_be_written(tmp_path: Path) -> None:
    def break_off() -> None:
        with replacing(tmp_path / "f") as temporary:
            temporary.read_text()

    with pytest.raises(FileNotFoundError) as caught:
        break_off()
    assert caught.value.filename == str(tmp_path / "f")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Müller 日本.png", "Müller 日本.png"),
        ("a\x1b[2Jb", r"a\x1b[2Jb"),
        ("a\x9b2Jb", r"a\x9b2Jb"),
        ("exe.\u202egnp", r"exe.\u202egnp"),
        ("caf\udce9", r"caf\udce9"),
        ("a\r\nb", r"a\r\nb"),
        ("\u2028\u200b\ufeff", r"\u2028\u200b\ufeff"),
    ],
)
def test_printable_makes_control_characters_visible(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert shown in str(CxrbuildError("refused", where=text))
    assert name_some([text, text]) == f"{shown}, {shown}"


def test_errors_keep_their_own_line_breaks_but_no_other_control_character() -> None:
    assert str(CxrbuildError("two\n  a", found="x\x1b\u202ey")) == "two\n  a.\nFound: x\\x1b\\u202ey."
    assert str(CxrbuildError("refused", expected="https://HOST/...")) == "refused. Expected: https://HOST/..."


def test_count_of_forms_plurals() -> None:
    counts = [count_of(n, noun) for n, noun in ((1, "image"), (0, "class"), (6354, "entry"), (2, "day"))]
    assert counts == ["1 image", "0 classes", "6,354 entries", "2 days"]


def test_an_edit_that_sets_the_time_back_is_seen(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    before, state = status_of(file), tree_state([tmp_path])
    file.write_text("y")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = status_of(file)
    assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert after.st_ctime_ns > before.st_ctime_ns
    assert tree_state([tmp_path]) != state


def test_locked_until_removed_leaves_nothing_and_refuses_a_second_command(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    for error in (None, ValueError("failed")):
        with suppress(ValueError), locked_until_removed(folder):
            (folder / "inner").mkdir()
            (folder / "inner" / "file").write_text("")
            (folder / "file").write_text("")
            with pytest.raises(CxrbuildError, match="another cxrbuild command"), locked(folder):
                pass
            if error:
                raise error
        assert not folder.exists()


@pytest.mark.parametrize(
    ("error", "of_memory"),
    [
        (MemoryError(), True),
        (ImportError("libarrow.so: failed to map segment from shared object"), True),
        (RuntimeError("can't start new thread"), True),
        (ImportError("No module named 'x'"), False),
        (RuntimeError("other"), False),
    ],
)
def test_is_of_memory_knows_how_libraries_report_it(error: Exception, of_memory: bool) -> None:
    assert is_of_memory(error) is of_memory
    if isinstance(error, ImportError):
        of_pandas = ImportError("Unable to import required dependency numpy.")
        of_pandas.__cause__ = error
        assert is_of_memory(of_pandas) is of_memory


def test_a_failed_command_leaves_no_folder_that_holds_nothing_but_its_lock(tmp_path: Path) -> None:
    new, old, full = tmp_path / "new" / "build", tmp_path / "old", tmp_path / "full"

    def fail(folder: Path) -> None:
        with locked(folder):
            if folder is full:
                (folder / "file").write_text("")
            raise ValueError("failed")

    old.mkdir()
    for folder, kept in ((new, False), (old, True), (full, True)):
        with pytest.raises(ValueError, match="failed"):
            fail(folder)
        assert folder.exists() is kept
    assert not new.parent.exists()
    with locked(new):
        pass
    assert new.is_dir()
