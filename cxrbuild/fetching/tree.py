"""Fetch the tree of one source: check the present one, fetch, verify, move into place."""

from __future__ import annotations

import errno
import itertools
import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cxrbuild.artifact.build import SourceExactness
from cxrbuild.catalog.source import Source
from cxrbuild.errors import CxrbuildError, system_number
from cxrbuild.exactness import count_files
from cxrbuild.fetching.credentials import authorization
from cxrbuild.fetching.extraction import STAGED, ArchiveError, Member, ignores_case, staging_folder
from cxrbuild.fetching.layout import is_ignored, lay_out_tree, require_distinct_case
from cxrbuild.fetching.origin import Origin, origin_of
from cxrbuild.fetching.origin_state import (
    FormerCopy,
    is_unchanged,
    read_copied,
    write_copied,
    write_origin_state,
)
from cxrbuild.fetching.partial import PartialFile
from cxrbuild.fetching.pin import (
    Comparison,
    compare,
    describe_differences,
    files_on_disk,
    is_pinned_tree,
    known_modes,
    mode_of,
)
from cxrbuild.fetching.record import TreeFile, format_record, git_tree_of, read_record, record_path
from cxrbuild.fetching.refusal import refusal_of
from cxrbuild.fetching.set_aside import advise_after_failure, describe_kept, part_path, remove_kept, set_aside
from cxrbuild.fetching.unpack import copy_folder, decode_content, unpack
from cxrbuild.files import remove_temporary_files, sha256_of, tree_state, write_bytes
from cxrbuild.lockfile import LockedSource, fetch_command, source_folder
from cxrbuild.progress import Progress
from cxrbuild.shell import quote
from cxrbuild.threads import Cancellation

_REPLACED = ".replaced"


@dataclass(frozen=True)
class Fetched:
    """The result of fetching one source.

    Attributes
    ----------
    locked
        Its entry in the lock.
    downloaded
        Whether this call fetched its files; False where they were present already.
    exactness
        How many of its images are those of the pin.
    notes
        Messages for the user, one sentence each.
    """

    locked: LockedSource
    downloaded: bool
    exactness: SourceExactness
    notes: list[str] = field(default_factory=list)


def fetch_tree(
    source: Source,
    data: Path,
    *,
    given: str | None,
    entry: LockedSource | None,
    allow_unpinned: bool,
    progress: Progress,
    cancellation: Cancellation,
) -> Fetched:
    """Fetch one source, unless it is present and unchanged.

    Parameters
    ----------
    source, data, allow_unpinned, progress
        As in `cxrbuild.fetching.sources.fetch`.
    given
        The ``--from`` of this source.
    entry
        Its entry in the lock.
    cancellation
        Ends the work.

    Raises
    ------
    CxrbuildError
        It cannot be fetched, or is not the pinned version. The former files then stay in place.
    """
    origin = origin_of(source, given, data) if given is not None else None
    state = tree_state([origin.path]) if origin and origin.path else None
    target = source_folder(data, source.name)
    damage: str | None = None
    files: dict[str, TreeFile] = {}
    if os.path.lexists(target):
        record = read_record(target)
        if target.is_dir():
            files = files_on_disk(
                target, known_modes(source, record), title=f"{source.name}: checking", progress=progress
            )
        present = _present(source, target, files, entry, origin, allow_unpinned)
        # A changed origin is read: its files are refused if they are not those of the pin.
        if present and (not (origin and origin.path) or is_unchanged(data, source.name, origin, state)):
            if git_tree_of(record) != present.tree:
                _write_record(target, files)
            unpinned = present.unpinned and source.pinned
            state = "and was accepted unpinned" if unpinned else "and verified"
            progress.note(f"{source.name} is present, unchanged {state}.")
            kept = describe_kept(part_path(data, source.name))
            return Fetched(present, False, count_files(files.keys(), source, present), kept)
        damage = _damage(source, files, entry, record)
    try:
        origin = origin or origin_of(source, None, data)
        former = FormerCopy()
        if damage is None and files and origin.path and origin.path.is_dir():
            by_blob = {file.blob: target / path for path, file in files.items() if file.mode == "100644"}
            former = FormerCopy(read_copied(data, source.name, origin), by_blob)
        locked, paths, aside = _fetch(
            source, data, origin, former, allow_unpinned, damage is not None, progress, cancellation
        )
    except CxrbuildError as error:
        if damage:
            error.what = f"{target} {damage}, and fetching it again failed: {error.what}"
        elif _is_accepted(source, files, entry):
            # Only the words of the command decide whether these files are refused.
            error.what = (
                f"its files that were accepted before are present and unchanged, and are kept; the pinned "
                f"ones were not fetched: {error.what}"
            )
            command = fetch_command([source.address], data, options=["--allow-unpinned"])
            keep = f"`cxrbuild plan` and `curate` use the present files. `{command}` confirms them without "
            keep += "a download"
            error.todo = f"{error.todo.rstrip('.')}. {keep}" if error.todo else keep
        if advice := advise_after_failure(source, data, f"{origin} {error}"):
            error.todo = f"{error.todo.rstrip('.')}. {advice}" if error.todo else advice
        raise
    if origin.path:
        write_origin_state(data, source.name, origin, state)
    notes = [f"{target} {damage}. It was kept as {aside}"] if aside else []
    notes += describe_kept(part_path(data, source.name))
    return Fetched(locked, True, count_files(paths, source, locked), notes)


def clean_up(data: Path) -> None:
    """Remove temporary files and folders of killed runs, and finish the replacements that they began."""
    folder = source_folder(data, "")
    for place in (data, folder, data / "downloads"):
        remove_temporary_files(place)
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        if not path.name.startswith("."):
            continue
        if path.name.endswith(STAGED):
            shutil.rmtree(path, ignore_errors=True)
        elif path.name.endswith(_REPLACED):
            target = folder / path.name.removeprefix(".").removesuffix(_REPLACED)
            if os.path.lexists(target):
                _remove(path)
            else:
                path.rename(target)


def _present(
    source: Source,
    target: Path,
    files: Mapping[str, TreeFile],
    entry: LockedSource | None,
    origin: Origin | None,
    allow_unpinned: bool,
) -> LockedSource | None:
    """Return the lock's entry for the present files, ``None`` where they have to be fetched again."""
    tree = git_tree_of(files)
    unchanged = entry is not None and entry.tree == tree and entry.pin == source.pin
    if is_pinned_tree(source, files):
        if entry and unchanged and not entry.unpinned:
            return entry
        where = entry.origin if entry and entry.tree == tree else str(target)
        return _locked(source, where, compare(source, files), files)
    if entry is None or not unchanged:
        return None
    if entry.unpinned and (
        (source.pinned and not allow_unpinned) or (origin and str(origin) != entry.origin)
    ):
        return None
    return entry


def _is_accepted(source: Source, files: Mapping[str, TreeFile], entry: LockedSource | None) -> bool:
    """Return whether the present files are those that a former run accepted although they are unpinned."""
    return bool(
        files and entry and entry.unpinned and entry.pin == source.pin and entry.tree == git_tree_of(files)
    )


def _damage(
    source: Source, files: Mapping[str, TreeFile], entry: LockedSource | None, record: Mapping[str, TreeFile]
) -> str | None:
    """Return how a tree differs from the one that was fetched, ``None`` where it does not."""
    tree = git_tree_of(files)
    if entry is None and files and git_tree_of(record) == tree:
        return None  # a run put it in place, and was killed before it wrote the lock
    if entry is None:
        return "was not made by fetch, or its entry in the lock is lost"
    if entry.tree == tree:
        return None
    before: Mapping[str, str | None] = {}
    if git_tree_of(record) == entry.tree:
        kept = {path: file for path, file in record.items() if path not in source.withdrawals}
        if files and git_tree_of(kept) == tree:
            return None  # the user deleted withdrawn images: a copy would keep their rows of the metadata
        before = {path: file.blob for path, file in record.items()}
    elif entry.proof == "git tree" and source.listing and source.pin.tree == entry.tree:
        before = {path: file.blob for path, file in source.listing.items()}
    if not before:
        return "was changed since it was fetched"
    differences = describe_differences(
        source,
        sorted(before.keys() - files.keys()),
        sorted(files.keys() - before.keys()),
        {path: None for path, blob in before.items() if path in files and files[path].blob != blob},
    )
    return f"was changed since it was fetched ({differences.removeprefix('; ') or 'only modes'})"


def _fetch(
    source: Source,
    data: Path,
    origin: Origin,
    former: FormerCopy,
    allow_unpinned: bool,
    keep_old: bool,
    progress: Progress,
    cancellation: Cancellation,
) -> tuple[LockedSource, Collection[str], Path | None]:
    target = source_folder(data, source.name)
    part = part_path(data, source.name)
    progress.note(f"{source.name}: fetching {origin} into {target}")
    if origin.url is not None:
        from cxrbuild.fetching.download import download  # imports an HTTP library

        download(
            origin.url,
            part,
            title=f"{source.name}: downloading",
            progress=progress,
            cancellation=cancellation,
            authorization=authorization(source, origin.url),
        )
    with staging_folder(target) as stage:
        try:
            members, sha256, copied = _unpacked(source, origin.path or part, stage, former, progress)
            # A tree hash without a listing may be of a tree with such files.
            keep = source.listing is None and source.pin.tree is not None
            layout = lay_out_tree(members, source.download, source.listing, origin, keep_desktop_files=keep)
            if ignores_case(stage):
                require_distinct_case(layout, origin)
            known = known_modes(source, {})
            files = {
                path: TreeFile(mode_of(path, member.executable, known), member.blob, member.size)
                for path, member in layout.items()
            }
            comparison = compare(source, files, sha256)
            if source.pinned and comparison.unpinned and not allow_unpinned:
                raise refusal_of(source, origin, comparison, files, data)
        except ArchiveError as error:
            if origin.url is not None:
                # The archive took long to download.
                kept = error.kept = set_aside(part)
                todo = f"{error.todo.rstrip('.')}. " if error.todo else ""
                again = quote(f"{source.name}={kept}")
                error.todo = f"{todo}The archive is kept: --from {again} uses it without a download"
            raise
        aside = _put_in_place(stage, layout, files, target, keep_old, origin)
        if copied is not None:
            write_copied(data, source.name, origin, copied)
    verified = not (source.pinned and comparison.unpinned)
    # Unverified files do not replace what was downloaded. A user may have given one of these files.
    if origin.url is not None or (verified and part.resolve() != origin.path):
        PartialFile(part).remove()
    if verified and (removed := remove_kept(part, origin.path)):
        names = ", ".join(map(str, removed))
        progress.note(f"{source.name} was fetched; removed the archive that was refused before: {names}")
    return _locked(source, str(origin), comparison, files), files.keys(), aside


def _unpacked(
    source: Source, path: Path, stage: Path, former: FormerCopy, progress: Progress
) -> tuple[list[Member], str | None, list[tuple[str, os.stat_result, str]] | None]:
    """Return the files, the hash of their archive, and what was copied if they are those of a folder."""

    def ignored(name: str) -> bool:
        return is_ignored(name, source.download.ignore)

    if path.is_dir():
        title = f"{source.name}: copying"
        members, states = copy_folder(
            path, stage, ignored=ignored, former=former, title=title, progress=progress
        )
        copied = [(one.path, state, one.blob) for one, state in zip(members, states, strict=True)]
        return members, None, copied
    path = decode_content(path, stage / "decoded")
    title = f"{source.name}: unpacking"
    members = unpack(path, stage, ignored=ignored, title=title, progress=progress)
    return members, sha256_of(path) if source.pin.sha256 else None, None


def _put_in_place(
    stage: Path,
    layout: Mapping[str, Member],
    files: Mapping[str, TreeFile],
    target: Path,
    keep_old: bool,
    origin: Origin,
) -> Path | None:
    tree = stage / "tree"
    # Paths are text here: there may be a million files.
    made: set[str] = set()
    for path, member in layout.items():
        place = f"{tree}{os.sep}{path}"
        folder = os.path.dirname(place)
        try:
            if folder not in made:
                os.makedirs(folder, exist_ok=True)
                made.add(folder)
            os.rename(member.file, place)
        except OSError as error:
            # The system names the temporary folder, which is removed when the user reads the message.
            too_long = system_number(error, place) == errno.ENAMETOOLONG
            raise CxrbuildError(
                "a file cannot be written", where=origin,
                found=f"{member.path}: {os.strerror(errno.ENAMETOOLONG) if too_long else error.strerror}",
                todo="Exclude it with `download.ignore` in the declaration, or name a folder on a file "
                "system that allows its name with --data" if too_long else None,
            ) from error  # fmt: skip
        if files[path].mode == "100755":
            if os.stat(place).st_nlink > 1:
                # Its other names keep their mode.
                shutil.copyfile(place, stage / "copy")
                os.replace(stage / "copy", place)
            mode = os.stat(place).st_mode
            os.chmod(place, mode | (mode & 0o444) >> 2)
    # Before the files: if this run is killed, they are known to be its own.
    _write_record(target, files)
    aside: Path | None = None
    replaced = target.with_name(f".{target.name}{_REPLACED}")
    if os.path.lexists(target):
        if keep_old:
            aside = next(path for path in _asides(target) if not os.path.lexists(path))
        target.rename(aside or replaced)
    tree.rename(target)
    _remove(replaced)
    return aside


def _asides(target: Path) -> Iterator[Path]:
    return (target.with_name(f"{target.name}.damaged-{number}") for number in itertools.count(1))


def _remove(path: Path) -> None:
    if path.is_symlink() or path.is_file():
        path.unlink()
    else:
        shutil.rmtree(path, ignore_errors=True)


def _write_record(target: Path, files: Mapping[str, TreeFile]) -> None:
    write_bytes(record_path(target), format_record(files).encode())


def _locked(
    source: Source, origin: str, comparison: Comparison, files: Mapping[str, TreeFile]
) -> LockedSource:
    return LockedSource(
        origin=origin,
        pin=source.pin,
        proof=comparison.proof,
        unpinned=comparison.unpinned,
        tree=comparison.tree,
        files=len(files),
        bytes=sum(file.size for file in files.values()),
        missing=comparison.missing,
        extra=comparison.extra,
        different=comparison.different,
    )
