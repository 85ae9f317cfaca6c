"""Objects of a storage and their copies: how they are reached, named and compared."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from cxrbuild.errors import CxrbuildError
from cxrbuild.file_status import status_of


class Copied(NamedTuple):
    """Hold what is known of a file that is the same here and there.

    Parameters
    ----------
    version
        The object's version, as its storage names it.
    size, modified, changed
        The file's size in bytes, and its times in nanoseconds.
    """

    version: str
    size: int
    modified: int
    changed: int


class Stored(NamedTuple):
    """Hold the version and the size in bytes of an object."""

    version: str
    size: int


def connect(address: str) -> tuple[Any, str]:
    """Return the file system of an address, and the path in it."""
    import fsspec

    if find_spec("s3fs") is None:
        raise CxrbuildError("s3fs is not installed", where=address, todo='Run `pip install "cxrbuild[s3]"`')
    fs, root = fsspec.core.url_to_fs(address)
    return fs, root.rstrip("/")


def cache_folder() -> Path:
    """Return the folder of this machine's copies."""
    given = os.environ.get("CXRBUILD_CACHE")
    if given:
        return Path(given).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cxrbuild"


def version_of(info: Mapping[str, Any]) -> str:
    """Return the version of an object from what the storage lists of it."""
    return str(info.get("ETag") or info.get("LastModified")).strip('"')


def copied_file(path: Path, version: str) -> Copied:
    """Return the state of a file that is a copy of an object's version."""
    status = status_of(path)
    return Copied(version, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def is_safe_name(name: str) -> bool:
    """Return whether an object's name is a path below the folder on every system."""
    parts = name.split("/")
    return name == "" or not ({"", ".", ".."} & set(parts) or "\\" in name or "\0" in name)
