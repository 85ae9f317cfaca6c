"""Commands that messages name are one word a word in the shell of the system."""

from __future__ import annotations

import json
import subprocess
import sys
from types import SimpleNamespace

import pytest

from cxrbuild import shell

WORDS = [
    "plain",
    "a b",
    "mine=C:\\Users\\a b\\x.zip",
    "C:\\new",
    "ends\\",
    'says "x"',
    "it's",
    "é",
    "a,b;c",
    "",
]


def test_the_shell_of_this_system_reads_the_words() -> None:
    command = shell.join([sys.executable, "-c", "import json, sys; print(json.dumps(sys.argv[1:]))", *WORDS])
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == WORDS


@pytest.mark.parametrize(
    ("word", "posix", "windows"),
    [
        ("build/x", "build/x", "build/x"),
        ("C:\\a b", "'C:\\a b'", '"C:\\a b"'),
        ("C:\\", "'C:\\'", '"C:\\\\"'),
        ('a"b', "'a\"b'", '"a\\"b"'),
    ],
)
def test_windows_has_double_quotes(
    word: str, posix: str, windows: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for system, expected in (("posix", posix), ("nt", windows)):
        monkeypatch.setattr(shell, "os", SimpleNamespace(name=system))
        assert shell.quote(word) == expected


def test_other_commands_are_of_powershell_on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    for system, assigned, removed in (
        ("posix", "export KEY=$(date)", "rm a b"), ("nt", "$env:KEY = date", "rm a, b"),
    ):  # fmt: skip
        monkeypatch.setattr(shell, "os", SimpleNamespace(name=system))
        assert shell.assign("KEY", "date") == assigned
        assert shell.remove(["a", "b"]) == removed
