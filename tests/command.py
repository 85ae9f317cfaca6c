"""The command line, run as a user runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Ran:
    """A command that ended."""

    status: int
    out: str
    err: str


def run(*words: object, cwd: Path | None = None, **env: str) -> Ran:
    """Run a command in a process of its own, in a terminal of 80 columns, with warnings as errors."""
    done = subprocess.run(
        [sys.executable, "-m", "cxrbuild", *map(str, words)],
        cwd=cwd,
        env=os.environ | {"COLUMNS": "80", "PYTHONWARNINGS": "error"} | env,
        capture_output=True,
        text=True,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)
