"""Sources, folders and archives for the tests of `fetch`."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import pytest

from cxrbuild.catalog.source import Source
from cxrbuild.errors import CxrbuildError
from cxrbuild.fetching.pin import files_on_disk
from cxrbuild.fetching.record import git_tree_of
from cxrbuild.fetching.sources import fetch
from cxrbuild.fetching.tree import Fetched
from cxrbuild.progress import silent

FILES = {"README.md": b"read me", "images/a.png": b"a", "images/b.png": b"bb", "run.sh": b"#!/bin/sh\n"}


def write_files(root: Path, files: dict[str, bytes]) -> Path:
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    return root


def make_source(
    folder: Path, pin: dict[str, Any] | None = None, name: str = "mine", **download: Any
) -> Source:
    return Source.model_validate(
        {
            "name": name,
            "title": "Mine",
            "download": download,
            "pin": pin or {},
            "reader": {"kind": "folders", "pattern": "(?P<a>.*)", "images": ["*"]},
            "file": folder / "mine.toml",
        }
    )


def make_pinned_source(root: Path, **download: Any) -> Source:
    """Declare what a folder holds as the pin: its tree, and a listing of it."""
    files = files_on_disk(root, {}, title="", progress=silent)
    lines = [f"{file.mode}\t{file.blob}\t{path}" for path, file in sorted(files.items())]
    (root.parent / "mine.tsv").write_text("\n".join(["mode\tblob\tpath", *lines, ""]))
    return make_source(root.parent, {"tree": git_tree_of(files), "listing": "mine.tsv"}, **download)


def fetch_one(source: Source, data: Path, origin: Path | str | None = None, **options: Any) -> Fetched:
    origins = {} if origin is None else {source.name: str(origin)}
    return fetch([source], data, origins=origins, **options).sources[source.name]


def fetch_error(source: Source, data: Path, origin: Path | str | None = None, **options: Any) -> str:
    with pytest.raises(CxrbuildError) as caught:
        fetch_one(source, data, origin, **options)
    return str(caught.value)


def read_files(root: Path) -> dict[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def tarred(path: Path, *members: tuple[tarfile.TarInfo, bytes], mode: Any = "w:gz") -> Path:
    with tarfile.open(path, mode) as tar:
        for member, data in members:
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, link
    return member
