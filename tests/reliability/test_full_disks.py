"""Commands on a disk that is full: one clear message that names a file, and a rerun that completes."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from command import run_process
from faults import Case, cases, tree
from figures import Figures
from systems import needs_mounts

pytestmark = [
    pytest.mark.slow,
    needs_mounts,
]


@contextmanager
def disk_of(size_kb: int, at: Path) -> Iterator[None]:
    at.mkdir(exist_ok=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size_kb}k", "none", at], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("only root may mount a disk")
    try:
        yield
    finally:
        subprocess.run(["umount", at], check=True)


def grow(at: Path, size_kb: int) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size_kb}k", at], check=True)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9])
@pytest.mark.parametrize("name", ["fetch", "curate", "release", "publish"])
def test_a_command_on_a_full_disk_names_it_and_completes_when_there_is_room(
    demo: Path, public_release: Path, tmp_path: Path, figures: Figures, name: str, share: float
) -> None:
    case = next(case for case in cases(demo, public_release) if case.name == name)
    expected, size_kb = undisturbed(case, tmp_path / "whole")
    disk = tmp_path / "disk"
    with disk_of(max(16, int(size_kb * share)), disk):
        ran = run_process(*case.words(disk), cwd=tmp_path, COLUMNS="1000")
        assert ran.status == 1, ran.err
        assert "No space left on device" in ran.err or "the disk has too little room" in ran.err
        assert str(disk) in ran.err
        assert "Make room" in ran.err
        assert ".part" not in ran.err
        assert ".fetching" not in ran.err
        grow(disk, 10 * size_kb + 10_000)
        again = run_process(*case.words(disk), cwd=tmp_path)
        assert again.status == 0, again.err
        assert tree(case.result(disk)) == expected
    figures.add("full disks")


def undisturbed(case: Case, at: Path) -> tuple[dict[str, str], int]:
    at.mkdir()
    ran = run_process(*case.words(at), cwd=at)
    assert ran.status == 0, ran.err
    used = subprocess.run(["du", "-sk", at], capture_output=True, text=True, check=True).stdout
    return tree(case.result(at)), int(used.split()[0])


def test_a_read_only_disk_is_reported_by_the_name_that_was_given(
    demo: Path, public_release: Path, tmp_path: Path, figures: Figures
) -> None:
    disk = tmp_path / "disk"
    with disk_of(10_000, disk):
        for case in cases(demo, public_release):
            case.prepare(disk)
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        for case in cases(demo, public_release):
            ran = run_process(*case.words(disk), cwd=tmp_path, COLUMNS="1000")
            assert ran.status == 1, ran.err
            assert "Read-only file system" in ran.err
            assert "Name a folder that can be written to" in ran.err
            assert ".part" not in ran.err
            assert "Traceback" not in ran.err
            figures.add("commands on a read-only disk")
