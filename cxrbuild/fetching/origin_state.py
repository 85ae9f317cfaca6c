"""Find out whether a folder or an archive changed since it was fetched, without reading its files."""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path

from cxrbuild.errors import CxrbuildError
from cxrbuild.files import files_under, read_json, write_json

# Two changes within one tick of a file system's clock have the same time.
_TICK_S = 0.02
_COARSE_TICK_NS = 2_000_000_000


def origin_state(path: Path) -> str | None:
    """Return a hash of the names, modes, sizes and times of an origin's files.

    A change time (ctime) cannot be set by a program, so files with the same state have the same content. The
    state has to be taken before the files are read.

    Parameters
    ----------
    path
        A folder or an archive.

    Returns
    -------
    str or None
        ``None`` where the file system's clock is too coarse for changes made a moment ago.
    """
    newest, coarse = 0, True
    digest = hashlib.sha256()
    entries = sorted(files_under(path), key=lambda entry: entry.path) if path.is_dir() else [path]
    for entry in entries:
        status = Path(entry).lstat()
        newest = max(newest, status.st_ctime_ns)
        coarse = coarse and status.st_ctime_ns % 1_000_000_000 == 0
        name = os.path.relpath(entry, path)
        line = [name, status.st_mode, status.st_size, status.st_mtime_ns, status.st_ctime_ns]
        digest.update(json.dumps(line).encode())
    if coarse and newest > time.time_ns() - _COARSE_TICK_NS:
        return None
    time.sleep(_TICK_S)
    return digest.hexdigest()


def state_path(data: Path, name: str) -> Path:
    """Return the path of the record of a source's origin."""
    return data / "downloads" / f"{name}.origin.json"


def write_origin_state(data: Path, name: str, origin: object, state: str | None) -> None:
    """Record the state that an origin had when a source was fetched from it."""
    write_json(state_path(data, name), {"origin": str(origin), "state": state})


def is_unchanged(data: Path, name: str, origin: object, state: str | None) -> bool:
    """Return whether an origin has the state that it had when a source was fetched from it."""
    try:
        document = read_json(state_path(data, name))
    except (OSError, CxrbuildError):
        return False
    return state is not None and document == {"origin": str(origin), "state": state}
