"""Addresses where only files and folders of this machine work."""

from __future__ import annotations

from pathlib import Path

import pytest
from command import run


@pytest.mark.parametrize(
    "words",
    [
        "fetch --data",
        "plan --data",
        "plan --recipe",
        "curate --out",
        "curate --reviews",
        "audit --build",
        "review --out",
        "train-baseline --out",
        "release 1.0.0 --build",
        "verify",
        "diff covid19-cxr/1.0.0",
    ],
)
def test_an_address_is_refused_in_one_sentence(tmp_path: Path, words: str) -> None:
    ran = run(*words.split(), "s3://me:secret@bucket/x", cwd=tmp_path, COLUMNS="200")
    assert ran.status == 2
    assert "'s3://bucket/x' is an address; only files and folders of this machine work here" in ran.err
    assert "secret" not in ran.err
    assert list(tmp_path.iterdir()) == []
