"""Addresses where only files and folders of this machine work."""

from __future__ import annotations

from pathlib import Path

import pytest
from command import run


@pytest.mark.parametrize(
    "words",
    [
        "fetch --data",
        "plan --out",
        "plan --recipe",
        "curate --reviews",
        "review --out",
        "train-baseline --out",
        "explain --build",
        "verify . --manifest",
    ],
)
def test_an_address_is_refused_in_one_sentence(tmp_path: Path, words: str) -> None:
    ran = run(*words.split(), "s3://me:secret@bucket/x", cwd=tmp_path, COLUMNS="200")
    assert ran.status == 2
    assert "'s3://bucket/x' is an address; only files and folders of this machine work here" in ran.err
    assert "secret" not in ran.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", ["plan --data", "curate --out", "verify", "diff covid19-cxr/1.0.0"])
@pytest.mark.parametrize("address", ["s3://me:secret@bucket/x", "https://me:secret@host/x"])
def test_an_address_of_another_kind_is_refused_where_s3_works(
    tmp_path: Path, words: str, address: str
) -> None:
    ran = run(*words.split(), address, cwd=tmp_path, COLUMNS="200")
    assert ran.status == 2
    assert "only folders of this machine and s3://BUCKET/PREFIX work here" in ran.err
    assert "secret" not in ran.err
    assert list(tmp_path.iterdir()) == []
