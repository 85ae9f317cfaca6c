"""Whether files are the pinned version: git's tree hash, and a comparison by name."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cxrbuild.catalog.source import Source
from cxrbuild.errors import name_some
from cxrbuild.fetching.record import TreeFile, git_tree_of
from cxrbuild.files import files_under, git_blob_of, is_desktops
from cxrbuild.lockfile import Proof
from cxrbuild.progress import Progress


@dataclass(frozen=True)
class Comparison:
    """How files compare with a source's pin.

    Attributes
    ----------
    proof, unpinned, tree, missing, extra, different
        As in `cxrbuild.lockfile.LockedSource`.
    expected, found
        What the pin says and what was found in its place, in words; blank where nothing is contradicted.
    """

    proof: Proof
    unpinned: bool
    tree: str
    missing: list[str] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    different: dict[str, str] = field(default_factory=dict)
    expected: str = ""
    found: str = ""


def mode_of(path: str, executable: bool, known: Mapping[str, str]) -> str:
    """Return a file's mode: the one known for its path, else by whether it can be executed.

    Zip archives from Windows and many file systems carry no modes that mean anything, and a mode is no part
    of an image: where the pin says it, the pin's holds.
    """
    return known.get(path) or ("100755" if executable else "100644")


def known_modes(source: Source, record: Mapping[str, TreeFile]) -> dict[str, str]:
    """Return the modes that the pin's listing or the record of a former fetch give."""
    listed = {path: file.mode for path, file in (source.listing or {}).items() if file.mode}
    return {path: file.mode for path, file in record.items()} | listed


def files_on_disk(
    root: Path, known: Mapping[str, str], *, title: str, progress: Progress
) -> dict[str, TreeFile]:
    """Read every file below a folder and return what a git tree would say of it.

    Parameters
    ----------
    root
        The folder.
    known
        Modes that are known by path, see `mode_of`. What macOS and Windows leave in folders that were looked
        at counts only where it is known.
    title
        What the progress bar says.
    progress
        Opens the progress bar, in bytes.
    """
    entries = {Path(entry.path).relative_to(root).as_posix(): entry for entry in files_under(root)}
    entries = {path: entry for path, entry in entries.items() if path in known or not is_desktops(entry.name)}
    status = {path: entry.stat(follow_symlinks=False) for path, entry in entries.items()}
    files: dict[str, TreeFile] = {}
    with progress(title, sum(one.st_size for one in status.values()), "B") as bar:
        for path, one in status.items():
            if stat.S_ISREG(one.st_mode):
                mode = mode_of(path, bool(one.st_mode & 0o100), known)
                files[path] = TreeFile(mode, git_blob_of(root / path), one.st_size)
            else:
                # Fetch puts no links or devices in place: such an entry can equal nothing.
                files[path] = TreeFile("120000", "0" * 40)
            bar.update(one.st_size)
    return files


def compare(source: Source, files: Mapping[str, TreeFile], archive_sha256: str | None = None) -> Comparison:
    """Compare files with a source's pin.

    Parameters
    ----------
    source
        The source.
    files
        Its files by path.
    archive_sha256
        SHA-256 of the archive that they came in, ``None`` where they came in none.
    """
    tree = git_tree_of(files)
    pin, listing = source.pin, source.listing
    missing = sorted(listing.keys() - files.keys()) if listing is not None else []
    extra = sorted(files.keys() - listing.keys()) if listing is not None else []
    different = {
        path: files[path].blob
        for path, listed in sorted((listing or {}).items())
        if listed.blob and path in files and files[path].blob != listed.blob
    }
    names: Proof = "none" if listing is None or missing or extra else "names"
    if pin.tree == tree:
        return Comparison("git tree", False, tree)
    if pin.sha256 and not pin.tree and archive_sha256 == pin.sha256 and names == "names" and not different:
        return Comparison("archive and names", False, tree)
    expected = found = ""
    if pin.tree:
        expected, found = f"git tree {pin.tree}", f"git tree {tree}"
    elif pin.sha256:
        expected = f"an archive with SHA-256 {pin.sha256}"
        found = f"SHA-256 {archive_sha256}" if archive_sha256 else "files without their archive"
    if expected and names == "names" and not different:
        found += ", though every name is there and none besides"
    found += differences(missing, extra, different)
    return Comparison(names, True, tree, missing, extra, different, expected, found)


def differences(missing: list[str], extra: list[str], different: Mapping[str, Any]) -> str:
    """Return in words how files differ: how many of each kind, and the first ones by name."""
    kinds = {"missing": missing, "extra": extra, "different": sorted(different)}
    return "".join(f"; {len(paths)} {kind}: {name_some(paths, 5)}" for kind, paths in kinds.items() if paths)
