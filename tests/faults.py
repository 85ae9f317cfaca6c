"""Commands that are killed, interrupted or run out of disk, and what is left of them."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from command import Ran

# Files that belong to one folder on one disk: locks, and the times that seals, states and origins have.
_LOCAL = (".cxrbuild.lock", "seal", "states", "shards")
# The folder of the audit's descriptors, whose records are in the order in which processes finished.
_DESCRIPTORS = "descriptors-"


@dataclass(frozen=True)
class Case:
    """A command and what it leaves.

    Attributes
    ----------
    name
        The command.
    words
        Its arguments, given the folder to work in.
    result
        What it leaves, given the same folder.
    prepare
        Makes the folder's content before the first run.
    """

    name: str
    words: Callable[[Path], list[object]]
    result: Callable[[Path], Path]
    prepare: Callable[[Path], object] = lambda _: None


def cases(demo: Path, release: Path) -> list[Case]:
    """Return a case of each command that writes, on the demo's sources, build and release."""
    declared, upstream = demo / "declared", demo / "upstream"
    archives = {path.name.partition(".")[0]: path for path in sorted(upstream.iterdir())}
    origins = [f"--from={name}={path}" for name, path in archives.items()]
    recipe = ["--recipe", declared / "recipe.toml"]
    return [
        Case(
            "fetch",
            lambda at: ["fetch", *(declared / f"{name}.toml" for name in archives), *origins, "--data", at],
            lambda at: at / "sources",
        ),
        Case(
            "curate",
            lambda at: ["curate", *recipe, "--data", demo / "data", "--out", at / "build", "--workers", 2,
                        "--format", "parquet"],
            lambda at: at / "build",
        ),
        Case(
            "audit",
            lambda at: ["audit", *recipe, "--build", at / "build"],
            lambda at: at / "build",
            lambda at: copy(demo / "build", at / "build"),
        ),
        Case(
            "release",
            lambda at: ["release", "1.0.0", "--build", demo / "build", "--out", at / "demo-cxr-1.0.0"],
            lambda at: at / "demo-cxr-1.0.0",
        ),
        Case("publish", lambda at: ["publish", release, at / "target"], lambda at: at / "target"),
    ]  # fmt: skip


def readers(demo: Path, release: Path) -> dict[str, Callable[[Path], list[object]]]:
    """Return the arguments of the other commands, given a folder to work in."""
    recipe, data = ["--recipe", demo / "declared" / "recipe.toml"], ["--data", demo / "data"]
    return {
        "plan": lambda _: ["plan", *recipe, *data],
        "review": lambda at: ["review", *recipe, *data, "--out", at / "review.html"],
        "verify": lambda _: ["verify", release],
        "diff": lambda _: ["diff", release, demo / "build"],
        "demo": lambda at: ["demo", at / "demo"],
        "train-baseline": lambda at: [
            "train-baseline", *recipe, "--build", demo / "build", "--out", at / "baseline", "--epochs", 1,
        ],
    }  # fmt: skip


def copy(source: Path, target: Path) -> None:
    """Copy a folder without what an audit left in it."""
    import shutil

    shutil.copytree(source, target, ignore=shutil.ignore_patterns("audit.*"))


def tree(folder: Path) -> dict[str, str]:
    """Return the hash of every file of a result by its path."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in _LOCAL and not path.parent.name.startswith(_DESCRIPTORS)
    }


def start(words: list[object], cwd: Path) -> subprocess.Popen[str]:
    """Start a command in a session of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "cxrbuild", *map(str, words), "--quiet"],
        cwd=cwd, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"COLUMNS": "1000"},
    )  # fmt: skip


def signalled(words: list[object], cwd: Path, after: float, number: signal.Signals) -> tuple[int, Ran, float]:
    """Run a command, send its process a signal; return its id, what it printed and how long it then ran."""
    process = start(words, cwd)
    deadline = time.monotonic() + after
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(number)
    sent = time.monotonic()
    out, err = process.communicate(timeout=60)
    return process.pid, Ran(process.returncode, out, err), time.monotonic() - sent


def in_session(leader: int) -> list[int]:
    """Return the processes of a session that still run."""
    found = []
    for path in Path("/proc").iterdir():
        if path.name.isdecimal():
            try:
                fields = (path / "stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(fields[3]) == leader and fields[0] != "Z":
                found.append(int(path.name))
    return found
