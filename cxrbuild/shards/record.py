"""Record what a build's shards were written from, so that unchanged shards are kept without reading an image.

A shard's bytes follow from its rows, from the hashes of their JPEGs, and from the program and its libraries.
The record has a hash of these, and the state of the file: its size and its times. No program can set a change
time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from cxrbuild import __version__
from cxrbuild.artifact.build import FileEntry
from cxrbuild.artifact.document import Part
from cxrbuild.file_status import status_of
from cxrbuild.files import json_bytes, write_bytes
from cxrbuild.shards.layout import Shard, shard_columns

# A time without a fraction of a second is that of a coarse clock, which can hide a change.
_SECOND_NS = 1_000_000_000


class FinishedShard(Part):
    """The hash of what a shard was written from, the state of its file, and its size and hash."""

    content: str
    state: list[int]
    entry: FileEntry


class ShardRecord:
    """The finished shards of a build.

    Parameters
    ----------
    path
        The file of the record. If it is missing or cannot be used, every shard is written.
    folder
        The folder of the shards.
    """

    def __init__(self, path: Path, folder: Path) -> None:
        self._path = path
        self._folder = folder
        self._finished = {
            name: shard for name, shard in _read(path).items() if shard.state == _state(folder / name)
        }

    def find(self, content: str, names: Iterable[str]) -> dict[str, FileEntry]:
        """Return the size and hash of those files that are finished shards with this content."""
        shards = {name: self._finished[name] for name in names if name in self._finished}
        return {name: shard.entry for name, shard in shards.items() if shard.content == content}

    def add(self, content: str, entries: Mapping[str, FileEntry]) -> None:
        """Record the files of a shard that was written, by their paths in the folder."""
        for name, entry in entries.items():
            self._finished.pop(name, None)
            if (state := _state(self._folder / name)) is not None:
                self._finished[name] = FinishedShard(content=content, state=state, entry=entry)
        document = {name: shard.model_dump() for name, shard in sorted(self._finished.items())}
        write_bytes(self._path, json_bytes(document))


def content_of(shard: Shard, classes: Sequence[str]) -> str:
    """Return a hash of everything that the bytes of a shard depend on."""
    columns = [*shard_columns(), "label", "jpeg_sha256", "jpeg_bytes"]
    versions = {name: version(name) for name in ("pandas", "pyarrow")} | {"cxrbuild": __version__}
    rows = shard.rows[columns].to_numpy(object).tolist()
    return hashlib.sha256(
        json.dumps([versions, list(classes), columns, rows], default=str).encode()
    ).hexdigest()


def _read(path: Path) -> dict[str, FinishedShard]:
    try:
        document = json.loads(path.read_bytes())
        return {name: FinishedShard.model_validate(shard) for name, shard in document.items()}
    except (OSError, ValueError, AttributeError):
        return {}


def _state(path: Path) -> list[int] | None:
    """Return a file's mode, inode, size and times; ``None`` where there is no file or its clock is coarse."""
    try:
        found = status_of(path)
    except OSError:
        return None
    if found.st_ctime_ns % _SECOND_NS == 0:
        return None
    return [found.st_mode, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]
