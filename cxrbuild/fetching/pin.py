"""Compare files with a source's pin: by git tree hash, and by name."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cxrbuild.catalog.source import Source
from cxrbuild.errors import count_of, name_some
from cxrbuild.fetching.record import TreeFile, git_tree_of, read_record
from cxrbuild.files import files_under, git_blob_of, is_desktop_file
from cxrbuild.image_files import has_image_suffix
from cxrbuild.lockfile import LockedSource, Proof, source_folder
from cxrbuild.progress import Progress

# The names that a message lists of each kind.
_NAMED = 3


@dataclass(frozen=True)
class Comparison:
    """The result of comparing files with a source's pin.

    Attributes
    ----------
    proof, unpinned, tree, missing, extra, different
        As in `cxrbuild.lockfile.LockedSource`.
    expected, found
        The pin's values and those of the files, for a message; blank where they do not contradict.
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

    Zip archives from Windows and many file systems have no meaningful modes, and a mode is no part of an
    image: the pin's mode takes precedence.
    """
    return known.get(path) or ("100755" if executable else "100644")


def known_modes(source: Source, record: Mapping[str, TreeFile]) -> dict[str, str]:
    """Return the modes by path, from the pin's listing or else from the record of a former fetch."""
    listed = {path: file.mode for path, file in (source.listing or {}).items() if file.mode}
    return {path: file.mode for path, file in record.items()} | listed


def files_on_disk(
    root: Path, known: Mapping[str, str], *, title: str, progress: Progress
) -> dict[str, TreeFile]:
    """Read every file below a folder and return its entry in a git tree.

    Parameters
    ----------
    root
        The folder.
    known
        Modes that are known by path, see `mode_of`. Files that macOS and Windows add to folders count only
        where they are known.
    title
        The title of the progress bar.
    progress
        Opens the progress bar, in bytes.
    """
    entries = {Path(entry.path).relative_to(root).as_posix(): entry for entry in files_under(root)}
    entries = {
        path: entry for path, entry in entries.items() if path in known or not is_desktop_file(entry.name)
    }
    status = {path: entry.stat(follow_symlinks=False) for path, entry in entries.items()}
    files: dict[str, TreeFile] = {}
    with progress(title, sum(one.st_size for one in status.values()), "B") as bar:
        for path, one in status.items():
            if stat.S_ISREG(one.st_mode):
                mode = mode_of(path, bool(one.st_mode & 0o100), known)
                files[path] = TreeFile(mode, git_blob_of(root / path), one.st_size)
            else:
                # Fetch never makes links or devices: such an entry equals no other.
                files[path] = TreeFile("120000", "0" * 40)
            bar.update(one.st_size)
    return files


def is_pinned_tree(source: Source, files: Mapping[str, TreeFile]) -> bool:
    """Return whether files have the pin's git tree hash, with the withdrawn files that were deleted.

    The listing has the hashes of the files that the source declares to be withdrawn, so that all others are
    still verified.
    """
    if source.pin.tree is None:
        return False
    deleted = {
        path: TreeFile(listed.mode, listed.blob)
        for path in source.withdrawals.keys() - files.keys()
        if (listed := (source.listing or {}).get(path)) and listed.mode and listed.blob
    }
    return source.pin.tree in (git_tree_of(files), git_tree_of({**files, **deleted}) if deleted else None)


def compare(source: Source, files: Mapping[str, TreeFile], archive_sha256: str | None = None) -> Comparison:
    """Compare files with a source's pin.

    Parameters
    ----------
    source
        The source.
    files
        Its files by path.
    archive_sha256
        SHA-256 of their archive, ``None`` where there is none.
    """
    tree = git_tree_of(files)
    pin, listing = source.pin, source.listing
    # A withdrawn file is absent on purpose.
    known = files.keys() | source.withdrawals.keys()
    missing = sorted(listing.keys() - known) if listing is not None else []
    extra = sorted(files.keys() - listing.keys()) if listing is not None else []
    different = {
        path: files[path].blob
        for path, listed in sorted((listing or {}).items())
        if listed.blob and path in files and files[path].blob != listed.blob
    }
    names: Proof = "none" if listing is None or missing or extra else "names"
    if is_pinned_tree(source, files):
        return Comparison("git tree", False, tree)
    if pin.sha256 and not pin.tree and archive_sha256 == pin.sha256 and names == "names" and not different:
        return Comparison("archive and names", False, tree)
    expected = found = ""
    if pin.tree:
        expected, found = f"git tree {pin.tree}", f"git tree {tree}"
    elif pin.sha256:
        size = "" if pin.bytes is None else f", {pin.bytes:,} bytes"
        expected = f"an archive with SHA-256 {pin.sha256}{size}"
        total = sum(file.size for file in files.values())
        found = f"SHA-256 {archive_sha256}" if archive_sha256 else "files without their archive"
        found += f", {total:,} bytes in {count_of(len(files), 'file')}" if size else ""
    if expected and names == "names" and not different:
        found += ", with exactly the names of the listing"
    found += describe_differences(source, missing, extra, different)
    return Comparison(names, True, tree, missing, extra, different, expected, found)


def locked_against(source: Source, data: Path, locked: LockedSource) -> LockedSource:
    """Return the lock's entry of fetched files, compared with the pin of a declaration.

    The files may have been fetched for another declaration of the source, and verified against its pin. They
    are then compared with this one by the record of their hashes.

    Parameters
    ----------
    source
        The source, as it is declared now.
    data
        The folder that ``fetch`` filled.
    locked
        The source's entry in the lock.
    """
    if locked.pin == source.pin:
        return locked
    record = read_record(source_folder(data, source.name))
    if git_tree_of(record) != locked.tree:
        return replace(locked, proof="none", unpinned=True)  # `plan` refuses such a record
    verified = locked.proof == "archive and names"
    found = compare(source, record, locked.pin.sha256 if verified else None)
    return replace(
        locked, proof=found.proof, unpinned=found.unpinned, missing=found.missing, extra=found.extra,
        different=found.different,
    )  # fmt: skip


def is_for_another_pin(source: Source, locked: LockedSource) -> bool:
    """Return whether files were fetched for a declaration with another pin, whatever it lists or says."""
    return (locked.pin.tree, locked.pin.sha256) != (source.pin.tree, source.pin.sha256)


def describe_differences(
    source: Source, missing: list[str], extra: list[str], different: Mapping[str, Any]
) -> str:
    """Return a text with the numbers of missing, different and extra files and the first of their names.

    The images of the source come first: other files, as those of a repository's documentation, decide
    nothing. An extra file that looks like an image is called one, as the declaration may not match its name.
    """
    reader, extras = source.reader, set(extra)

    def is_image(path: str) -> bool:
        return reader.matches(path, reader.images) or (path in extras and has_image_suffix(path))

    kinds = {"missing": missing, "with other bytes": sorted(different), "extra": extra}
    texts = []
    for noun, are_images in (("image", True), ("other file", False)):
        for kind, paths in kinds.items():
            if some := [path for path in paths if is_image(path) == are_images]:
                texts.append(f"; {count_of(len(some), noun)} {kind}: {name_some(some, _NAMED)}")
    return "".join(texts)
