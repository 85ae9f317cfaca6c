"""The command line, run as a user runs it: in this process, or in a process of its own."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any

import pytest

from cxrbuild.cli import main, output

CHECKOUT = Path(__file__).resolve().parent.parent
# No message is wrapped: where its lines end would depend on the lengths of temporary paths.
TERMINAL = {"COLUMNS": "10000"}


@dataclass(frozen=True)
class Ran:
    """A command that ended."""

    status: int
    out: str
    err: str


def run(*words: object, cwd: Path | None = None, **env: str) -> Ran:
    """Run a command in this process, in a terminal that is wider than any message.

    A JSON document that it prints must be as its schema says. Saves the second that a process needs to import
    libraries. What processes and libraries in C write to standard error is not part of ``err``.
    """
    assert not [name for name in env if name.startswith("PYTHON")], "Python reads these when it starts"
    out, err = (TextIOWrapper(BytesIO(), "utf-8", newline="\n", write_through=True) for _ in range(2))
    with pytest.MonkeyPatch.context() as patch, _restored():
        for name, value in (TERMINAL | env).items():
            patch.setenv(name, value)
        if cwd is not None:
            patch.chdir(cwd)
        patch.setattr(sys, "argv", ["cxrbuild", *map(str, words)])
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", err)
        patch.setattr(output, "_printed", [])
        status = 0
        try:
            main()
        except SystemExit as ended:
            status = int(ended.code or 0)
    ran = Ran(status, *(stream.buffer.getvalue().decode() for stream in (out, err)))  # type: ignore[attr-defined]
    if "--json" in words and ran.out.startswith("{"):
        require_schema(json.loads(ran.out))
    return ran


def require_schema(document: dict[str, Any]) -> None:
    """Require that a document that a command printed has the shape of the schema that it names."""
    _validator(document["schema"]).validate(document)


@cache
def _validator(name: str) -> Any:
    import jsonschema

    schema = read_schema(name)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@cache
def read_schema(name: str) -> dict[str, Any]:
    """Return the schema of what a command prints."""
    return json.loads((CHECKOUT / "docs" / "schemas" / "commands" / f"{name}.json").read_bytes())


@contextmanager
def _restored() -> Iterator[None]:
    """Restore what a command sets for its process: handlers of signals, of lost exceptions and of the log."""
    unraisable = sys.unraisablehook
    signals = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    logger = logging.getLogger("cxrbuild")
    handlers, level, propagate = [*logger.handlers], logger.level, logger.propagate
    try:
        yield
    finally:
        for number, handler in signals.items():
            signal.signal(number, handler)
        sys.unraisablehook = unraisable
        for handler in {*logger.handlers}.difference(handlers):
            logger.removeHandler(handler)
            handler.close()
        logger.setLevel(level)
        logger.propagate = propagate


def run_process(*words: object, cwd: Path | None = None, **env: str) -> Ran:
    """Run a command in a process of its own, in a terminal as wide, with warnings as errors."""
    done = subprocess.run(
        [sys.executable, "-m", "cxrbuild", *map(str, words)],
        cwd=cwd,
        env=os.environ | TERMINAL | {"PYTHONWARNINGS": "error"} | env,
        capture_output=True,
        text=True,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)
