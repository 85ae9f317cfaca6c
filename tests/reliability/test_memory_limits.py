"""Commands that run out of memory: one message, nothing partial, and a rerun that completes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from command import CHECKOUT, run_process
from faults import Case, cases, tree
from figures import Figures

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits the address space"),
]
MEGABYTES = [150, 250, 380, 450, 700]
# Libraries that end the process themselves, each with a message of its own.
BY_LIBRARIES = (
    "OpenBLAS error: Memory allocation", "OpenBLAS blas_thread_init", "std::bad_alloc", "St9bad_alloc",
    "cannot allocate memory for thread-local data",
)  # fmt: skip


@pytest.mark.parametrize("name", ["fetch", "curate", "audit", "release", "publish"])
def test_a_command_without_memory_ends_with_one_message(
    demo: Path, public_release: Path, tmp_path: Path, figures: Figures, name: str
) -> None:
    import resource

    case = next(case for case in cases(demo, public_release) if case.name == name)
    expected = undisturbed(case, tmp_path / "whole")
    # The kernels of OpenBLAS decide the last bits of the audit's descriptors, which the next run reads. Its
    # threads take memory: a user has as many as processors.
    kernels = {
        name: value
        for name, value in os.environ.items()
        if name.startswith("OPENBLAS_") and name != "OPENBLAS_NUM_THREADS"
    }
    for megabytes in MEGABYTES:
        at = tmp_path / str(megabytes)
        at.mkdir()
        case.prepare(at)
        done = subprocess.run(
            [sys.executable, "-m", "cxrbuild", *map(str, case.words(at)), "--quiet"],
            cwd=at,
            env=kernels | {"PATH": "/usr/bin:/bin", "COLUMNS": "1000", "PYTHONPATH": str(CHECKOUT)},
            capture_output=True, text=True, check=False, timeout=120,
            preexec_fn=lambda limit=megabytes << 20: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
        )  # fmt: skip
        if done.returncode in (0, 3):
            figures.add("runs with enough memory")
        elif "memory ran out" in done.stderr:
            assert done.returncode == 1
            # Libraries may warn in a line of their own.
            assert done.stderr.count("cxrbuild:") == 1, done.stderr
            assert "Traceback" not in done.stderr
            figures.add("with the message")
        elif megabytes == MEGABYTES[0] and "MemoryError" in done.stderr:
            # Less than Python and the libraries take at the start: Python may not even handle its own error.
            figures.add("ended by Python's message")
        else:
            assert any(words in done.stderr for words in BY_LIBRARIES), (megabytes, done)
            assert "Traceback" not in done.stderr
            figures.add("ended by a library's message")
        if done.returncode not in (0, 3):
            again = run_process(*case.words(at), cwd=at)
            assert again.status in (0, 3), again.err
        assert tree(case.result(at)) == expected
        assert not list(at.rglob("*.part"))


def undisturbed(case: Case, at: Path) -> dict[str, str]:
    at.mkdir()
    case.prepare(at)
    ran = run_process(*case.words(at), cwd=at)
    assert ran.status in (0, 3), ran.err
    return tree(case.result(at))
