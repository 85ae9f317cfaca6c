"""Bad input is a folder: the user's files, the command, and the message to expect."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from pathlib import Path

import pytest
from command import run

CASES = sorted(path for path in (Path(__file__).parent / "bad_input").iterdir() if path.is_dir())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bad_input_is_reported(case: Path, tmp_path: Path) -> None:
    folder = tmp_path / "here"
    shutil.copytree(case, folder)
    ran = run(*shlex.split((case / "command.txt").read_text()), "--quiet", cwd=folder)
    expected, found = (case / "expected.txt").read_text(), ran.err.replace(str(folder), ".")
    if os.name == "nt":
        expected = expected.replace(os.sep, "/")
        found = re.sub(r'"(\./[^" ]*)"', r"\1", found.replace(os.sep, "/"))
    assert found.split() == expected.split()
    assert ran.status == (3 if case.name.startswith("check-") else 1)
