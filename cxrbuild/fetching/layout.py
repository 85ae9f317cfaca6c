"""Map the paths of an archive to paths of the source."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from fnmatch import fnmatchcase

from cxrbuild.catalog.source import Download
from cxrbuild.errors import name_some
from cxrbuild.fetching.extraction import ArchiveError, Member

_CORRECT = "Correct `strip` and `relocate` in `[download]`, or give a folder with --from SOURCE=FOLDER"


def is_ignored(path: str, patterns: Iterable[str]) -> bool:
    """Return whether a path is ignored: by a pattern, or as part of git's own folder in a clone."""
    return ".git" in path.split("/") or any(fnmatchcase(path, pattern) for pattern in patterns)


def lay_out_tree(
    members: Iterable[Member],
    download: Download,
    listing: Collection[str] | None,
    origin: object,
    *,
    keep_desktop_files: bool = False,
) -> dict[str, Member]:
    """Return the files by their path in the source.

    `download.strip` removes leading folders, unless the files have the pin's paths already. With
    `download.relocate` a path that is not in the listing becomes the only path of the listing with the same
    file name and the same parent folder's name. Files that macOS or Windows added are dropped, unless the
    listing has them.

    Parameters
    ----------
    members
        The files with their paths in the archive.
    download
        The source's declaration of its download.
    listing
        The pin's paths, ``None`` where there is no listing.
    origin
        The origin of the files, for errors.
    keep_desktop_files
        Whether to keep files that macOS or Windows added.

    Raises
    ------
    ArchiveError
        There are no files, two different files have one path, or a path is both a file and a folder.
    """
    by_path: dict[str, list[Member]] = defaultdict(list)
    of_desktop = []
    for member in members:
        if member.of_desktop and not keep_desktop_files:
            of_desktop.append(member)
        else:
            by_path[member.path].append(member)
    places = _relocated(_stripped(list(by_path), download.strip, listing), download.relocate, listing)
    for member in of_desktop:
        stripped = "/".join(member.path.split("/")[download.strip :])
        if place := next((path for path in (stripped, member.path) if path in (listing or ())), None):
            places[member.path] = place
            by_path[member.path].append(member)
    if not by_path:
        raise ArchiveError(
            "it contains no files", where=origin, expected="the source's files",
            todo="Name an archive or a folder with the source's files",
        )  # fmt: skip

    tree: dict[str, Member] = {}
    for path, group in by_path.items():
        for member in group:
            other = tree.setdefault(places[path], member)
            if other.blob != member.blob:
                raise ArchiveError(
                    "two different files have one path", where=origin,
                    expected=f"one {places[path]}", found=f"{other.path} and {path}",
                    todo=_CORRECT,
                )  # fmt: skip
    folders: set[str] = set()
    for path in tree:
        folder = path.rpartition("/")[0]
        while folder and folder not in folders:
            folders.add(folder)
            folder = folder.rpartition("/")[0]
    if both := sorted(folders & tree.keys()):
        raise ArchiveError(
            "a path is both a file and a folder", where=origin, found=name_some(both),
            todo=_CORRECT,
        )  # fmt: skip
    return tree


def require_distinct_case(paths: Iterable[str], origin: object) -> None:
    """Refuse paths that differ in case or Unicode normalization only, for a file system that ignores case.

    Raises
    ------
    ArchiveError
        There are such paths.
    """
    folded: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        folded[unicodedata.normalize("NFC", path).casefold()].append(path)
    twins = [path for group in folded.values() if len(group) > 1 for path in group]
    if twins:
        raise ArchiveError(
            "paths differ in case or Unicode normalization only, which this file system ignores",
            where=origin,
            found=name_some(twins),
            todo="Name a folder on a case-sensitive file system with --data",
        )


def _stripped(paths: list[str], strip: int, listing: Collection[str] | None) -> dict[str, str]:
    as_is = {path: path for path in paths}
    if not strip:
        return as_is
    parts = {path: path.split("/") for path in paths}
    if any(len(names) <= strip for names in parts.values()):
        return as_is
    stripped = {path: "/".join(names[strip:]) for path, names in parts.items()}
    if listing is None:
        # Without a listing one common top folder is typical of an archive made by a forge.
        return stripped if len({tuple(names[:strip]) for names in parts.values()}) == 1 else as_is
    return stripped if _listed(stripped, listing) >= _listed(as_is, listing) else as_is


def _listed(places: Mapping[str, str], listing: Collection[str]) -> int:
    return sum(place in listing for place in places.values())


def _relocated(places: dict[str, str], relocate: bool, listing: Collection[str] | None) -> dict[str, str]:
    if not relocate or listing is None:
        return places
    by_name: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for path in listing:
        by_name[_family(path)].append(path)
    return {
        path: place if place in listing or len(by_name[_family(place)]) != 1 else by_name[_family(place)][0]
        for path, place in places.items()
    }


def _family(path: str) -> tuple[str, ...]:
    return tuple(path.split("/")[-2:])
