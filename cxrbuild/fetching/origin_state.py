"""Find out what changed in a folder or an archive since it was fetched, without reading its files."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cxrbuild.errors import CxrbuildError
from cxrbuild.files import read_json, write_bytes, write_json

_HEADER = "size\tmodified\tchanged\tinode\tblob\tpath"
_COPIED = re.compile(r"(\d+)\t(-?\d+)\t(-?\d+)\t(\d+)\t([0-9a-f]{40})\t(.+)", re.ASCII | re.DOTALL).fullmatch
# Two changes within one tick of a file system's clock have the same time; FAT's tick is the longest.
_TICK_NS = 2_000_000_000


@dataclass(frozen=True)
class FormerCopy:
    """What was copied from a folder, and the files that still have its content.

    Attributes
    ----------
    copied
        By path in the folder the size, times and inode that a file had, and its git blob hash.
    present
        By git blob hash a file that has this content now.
    """

    copied: Mapping[str, tuple[tuple[int, ...], str]] = field(default_factory=dict)
    present: Mapping[str, Path] = field(default_factory=dict)

    def find(self, path: str, status: os.stat_result) -> tuple[Path, str] | None:
        """Return a file with the content of the folder's file, and its blob; ``None`` if it may have changed.

        No program can set a change time (ctime), so a file of the same times has the same content.
        """
        numbers, blob = self.copied.get(path, ((), ""))
        if numbers == _numbers(status) and blob in self.present:
            return self.present[blob], blob
        return None


def _numbers(status: os.stat_result) -> tuple[int, ...]:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def state_path(data: Path, name: str) -> Path:
    """Return the path of the record of a source's origin."""
    return data / "downloads" / f"{name}.origin.json"


def _copied_path(data: Path, name: str) -> Path:
    return data / "downloads" / f"{name}.origin.tsv"


def write_origin_state(data: Path, name: str, origin: object, state: str | None) -> None:
    """Record the state that an origin had when a source was fetched from it, see `files.tree_state`."""
    write_json(state_path(data, name), {"origin": str(origin), "state": state})


def is_unchanged(data: Path, name: str, origin: object, state: str | None) -> bool:
    """Return whether an origin has the state that it had when a source was fetched from it."""
    try:
        document = read_json(state_path(data, name))
    except (OSError, CxrbuildError):
        return False
    return state is not None and document == {"origin": str(origin), "state": state}


def write_copied(
    data: Path, name: str, origin: object, files: Iterable[tuple[str, os.stat_result, str]]
) -> None:
    """Record the files that were copied from a folder: path, state before the copy, and blob.

    A file that changed a moment before is not recorded: another change may have the same time.
    """
    latest = time.time_ns() - _TICK_NS
    lines = [
        "\t".join([*map(str, _numbers(status)), blob, path])
        for path, status, blob in files
        if status.st_ctime_ns < latest
    ]
    text = "\n".join([str(origin), _HEADER, *lines, ""])
    write_bytes(_copied_path(data, name), text.encode("utf-8", "surrogateescape"))


def read_copied(data: Path, name: str, origin: object) -> dict[str, tuple[tuple[int, ...], str]]:
    """Read the record of the files that were copied; that of another folder, or a damaged one, is empty."""
    try:
        lines = _copied_path(data, name).read_text("utf-8", "surrogateescape").split("\n")
    except FileNotFoundError:
        return {}
    if lines[:2] != [str(origin), _HEADER]:
        return {}
    rows = [_COPIED(line) for line in lines[2:] if line]
    return {row[6]: (tuple(map(int, row.group(1, 2, 3, 4))), row[5]) for row in rows if row}
