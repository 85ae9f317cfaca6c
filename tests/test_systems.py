"""The program runs, and its tests are collected, where a system lacks what only POSIX has."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from command import CHECKOUT, run_process

# Read when Python starts. It removes what the program and its tests could use, not what libraries need here.
WITHOUT_POSIX = """
import importlib.abc, importlib.util, os, signal, sys

LACKING = {"fcntl", "resource"}

class Without(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name in LACKING:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Without())
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name in LACKING else found(name, package)
for name in ("getegid", "geteuid", "getloadavg", "killpg", "link", "mkfifo", "sched_getaffinity"):
    vars(os).pop(name, None)
for name in ("SIGHUP", "SIGKILL", "SIGUSR1", "pthread_sigmask"):
    vars(signal).pop(name, None)
"""


@pytest.fixture
def python_path(tmp_path: Path) -> str:
    """The value of ``PYTHONPATH`` that makes a Python without what only POSIX has."""
    (tmp_path / "start").mkdir()
    (tmp_path / "start" / "sitecustomize.py").write_text(WITHOUT_POSIX)
    return os.pathsep.join([str(tmp_path / "start"), str(CHECKOUT)])


@pytest.mark.slow
def test_the_demo_runs(demo: Path, python_path: str, tmp_path: Path) -> None:
    # filelock warns of such a system.
    ran = run_process("demo", tmp_path / "demo", PYTHONPATH=python_path, PYTHONWARNINGS="default")
    assert ran.status == 0, ran.err
    tables = [folder / "build" / "manifest.parquet" for folder in (demo, tmp_path / "demo")]
    assert tables[0].read_bytes() == tables[1].read_bytes()


@pytest.mark.slow
def test_all_tests_are_collected(python_path: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", "--collect-only",
         "-m", "slow or not slow", str(CHECKOUT / "tests")],
        cwd=CHECKOUT, env=os.environ | {"PYTHONPATH": python_path},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
    assert "test_systems.py" in done.stdout
