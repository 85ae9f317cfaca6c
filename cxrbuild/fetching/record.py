"""The record of a fetched tree: which files ``fetch`` put in place, with their hashes."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cxrbuild.catalog.source import Source
from cxrbuild.errors import CxrbuildError, name_some
from cxrbuild.fetch_advice import advise_fetch
from cxrbuild.lockfile import LockedSource, source_folder

_HEADER = "mode\tblob\tpath"
_RECORDED = re.compile(r"(\d{6})\t([0-9a-f]{40})\t(.+)", re.ASCII | re.DOTALL).fullmatch


@dataclass(frozen=True)
class TreeFile:
    """A file as a git tree names it.

    Attributes
    ----------
    mode
        ``100644``, or ``100755`` for one that can be executed.
    blob
        Its git blob hash.
    size
        Its size in bytes, 0 where that is not known.
    """

    mode: str
    blob: str
    size: int = 0


def git_tree_of(files: Mapping[str, TreeFile]) -> str:
    """Return the hash under which git stores files by path as a tree.

    A tree object holds ``mode name NUL hash`` for each entry, in the order of the names' bytes, a folder's
    name counted with a slash at its end (git's documentation, "Git Objects").
    """
    # By folder the entries with the names that they are sorted by.
    folders: dict[str, list[tuple[bytes, bytes]]] = {"": []}
    for path, file in files.items():
        folder, _, name = path.rpartition("/")
        entry = _tree_entry(file.mode, name, file.blob)
        folders.setdefault(folder, []).append((os.fsencode(name), entry))
        while folder and (folder := folder.rpartition("/")[0]) not in folders:
            folders[folder] = []
    # The deepest folders first: a folder's hash is in its parent's entry.
    for folder in sorted(folders, key=lambda one: one.count("/") if one else -1, reverse=True):
        body = b"".join(entry for _, entry in sorted(folders[folder]))
        tree = hashlib.sha1(b"tree %d\0" % len(body) + body, usedforsecurity=False).hexdigest()
        if folder:
            parent, _, name = folder.rpartition("/")
            folders[parent].append((os.fsencode(name) + b"/", _tree_entry("40000", name, tree)))
    return tree


def _tree_entry(mode: str, name: str, blob: str) -> bytes:
    return b"%s %s\0%s" % (mode.encode(), os.fsencode(name), bytes.fromhex(blob))


def record_path(target: Path) -> Path:
    """Return the path of the record of a fetched tree, next to the tree."""
    return target.with_name(f"{target.name}.tsv")


def format_record(files: Mapping[str, TreeFile]) -> str:
    """Return the record of a tree in the form of a pin's listing: mode, blob and path of each file."""
    lines = [f"{files[path].mode}\t{files[path].blob}\t{path}" for path in sorted(files)]
    return "\n".join([_HEADER, *lines, ""])


def format_listing(files: Mapping[str, TreeFile], before: Source) -> str:
    """Return a pin's listing: the record of its files, and the paths of what earlier pins had.

    A line of the latter has the last pin that had the file instead of a mode, and no hash.

    Parameters
    ----------
    files
        The files of the pin.
    before
        The source with its pin of before.
    """
    former = before.former | dict.fromkeys(before.listing or {}, before.pin.revision)
    lines = (f"{former[path]}\t\t{path}\n" for path in sorted(former.keys() - files.keys()))
    return format_record(files) + "".join(lines)


def read_record(target: Path) -> dict[str, TreeFile]:
    """Read the record of a fetched tree; a missing or damaged record is empty."""
    try:
        lines = record_path(target).read_text(encoding="utf-8", errors="surrogateescape").split("\n")
    except FileNotFoundError:
        return {}
    rows = [_RECORDED(line) for line in lines[1:] if line]
    return {row[3]: TreeFile(row[1], row[2]) for row in rows if row} if all(rows) else {}


def fetched_blobs(source: Source, data: Path, lock: LockedSource) -> dict[str, str]:
    """Return the git blob hash that every file of a source had when it was fetched, by path.

    Only the metadata is read and compared here; each image is compared when it is converted.

    Parameters
    ----------
    source
        The source.
    data
        The folder that ``fetch`` filled.
    lock
        The source's entry in the lock.

    Raises
    ------
    CxrbuildError
        The record of the files is not the lock's, or the metadata changed since.
    """
    root = source_folder(data, source.name)
    record = read_record(root)
    if git_tree_of(record) != lock.tree:
        raise CxrbuildError(
            "the record is not of the files that were fetched", where=record_path(root),
            expected=f"the files of git tree {lock.tree}", todo=advise_fetch(data, [source]),
        )  # fmt: skip
    blobs = {path: file.blob for path, file in record.items()}
    for path, blob, found in source.reader.changed_metadata(root, blobs):
        raise CxrbuildError(
            "the metadata changed since it was fetched", where=root / path,
            expected=f"git blob {blob}" if blob else "no such file", found=found,
            todo=advise_fetch(data, [source]),
        )  # fmt: skip
    return blobs


def require_fetched(paths: Iterable[str], fetched: Collection[str], source: Source, data: Path) -> None:
    """Refuse a source's images that ``fetch`` did not put in place.

    Parameters
    ----------
    paths
        The images that are there.
    fetched
        All files that were fetched.
    source
        The source.
    data
        The folder that ``fetch`` filled.

    Raises
    ------
    CxrbuildError
        There are such images.
    """
    if others := sorted(set(paths) - set(fetched)):
        raise CxrbuildError(
            "there are images that fetch did not put there", where=source_folder(data, source.name),
            found=name_some(others), todo=advise_fetch(data, [source]),
        )  # fmt: skip
