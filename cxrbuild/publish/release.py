"""A release as it goes out: its files with their hashes, and the reasons for which one must not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cxrbuild.errors import CheckError, CxrbuildError, name_some
from cxrbuild.files import files_under, read_json, sha256_of

SUMS = "SHA256SUMS"


@dataclass(frozen=True)
class ReleaseFile:
    """One file of a release.

    Attributes
    ----------
    name
        Its path from the release's root, with forward slashes.
    path
        Where it lies.
    bytes
        Its size.
    sha256
        The hash of its bytes, in hex, that ``SHA256SUMS`` gives.
    """

    name: str
    path: Path
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Release:
    """A release that may go out.

    Attributes
    ----------
    folder
        Where it lies.
    name, version
        Of the dataset.
    files
        Every file but ``SHA256SUMS``, by name, in the order of the names.
    sums
        ``SHA256SUMS`` itself.
    """

    folder: Path
    name: str
    version: str
    files: Mapping[str, ReleaseFile]
    sums: ReleaseFile

    @property
    def title(self) -> str:
        """What a message calls it."""
        return f"{self.name} {self.version}"


def read_release(folder: Path) -> Release:
    """Read a release and refuse one that must not go out.

    Parameters
    ----------
    folder
        The release's folder.

    Raises
    ------
    CheckError
        Its files are not those of its ``SHA256SUMS``.
    CxrbuildError
        It is no release, is unpinned, or is private.
    """
    for name in (SUMS, "build.json"):
        if not (folder / name).is_file():
            raise CxrbuildError(
                "not a release", where=folder, expected=f"a folder with {name}",
                todo="Make one with `cxrbuild release VERSION`",
            )  # fmt: skip
    build = read_json(folder / "build.json")
    _refuse(folder, build)
    files = _checked_files(folder)
    sums = ReleaseFile(SUMS, folder / SUMS, (folder / SUMS).stat().st_size, sha256_of(folder / SUMS))
    return Release(folder, build["dataset"]["name"], build["dataset"]["version"], files, sums)


def parse_sums(text: str, where: object) -> dict[str, str]:
    """Return the hash of each file that a ``SHA256SUMS`` names.

    Raises
    ------
    CxrbuildError
        A line is not `HASH  NAME`, or a name leads out of the folder.
    """
    sums: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        digest, mode, name = line[:64], line[64:66], line[66:]
        whole = len(digest) == 64 and set(digest) <= set("0123456789abcdef")
        if not whole or mode not in ("  ", " *") or not name or not _inside(name) or name in sums:
            raise CxrbuildError(
                "a line that cannot be read", where=f"{where}, line {number}",
                expected="a SHA-256, two spaces and the path of a file, each once", found=repr(line[:120]),
            )  # fmt: skip
        sums[name] = digest
    return sums


def _inside(name: str) -> bool:
    return not name.startswith("/") and "\\" not in name and not set(name.split("/")) & {"", ".", ".."}


def _refuse(folder: Path, build: dict[str, Any]) -> None:
    if build.get("policy") == "private":
        raise CxrbuildError(
            "a private release is not published", where=folder,
            todo="Make a public one with `cxrbuild release VERSION --policy public`",
        )  # fmt: skip
    if unpinned := build.get("unpinned"):
        raise CxrbuildError(
            "an unpinned release is not published", where=folder,
            found=f"{name_some(unpinned)} did not match the pin when it was fetched",
            todo="Fetch without --allow-unpinned, then curate and release again",
        )  # fmt: skip


def _checked_files(folder: Path) -> dict[str, ReleaseFile]:
    expected = parse_sums((folder / SUMS).read_text(encoding="utf-8"), folder / SUMS)
    found = {Path(entry.path).relative_to(folder).as_posix(): entry for entry in files_under(folder)}
    found.pop(SUMS, None)
    faults = [f"{name} is missing" for name in sorted(set(expected) - set(found))]
    faults += [f"{name} is not in {SUMS}" for name in sorted(set(found) - set(expected))]
    files = {}
    for name in sorted(set(expected) & set(found)):
        path = folder / name
        if found[name].is_symlink():
            faults.append(f"{name} is a link")
        elif sha256_of(path) != expected[name]:
            faults.append(f"{name} has another hash")
        else:
            files[name] = ReleaseFile(name, path, path.stat().st_size, expected[name])
    if faults:
        raise CheckError(
            "the release is not what it was packed as", where=folder, found=name_some(faults),
            todo="Look at `cxrbuild verify`, then release anew",
        )  # fmt: skip
    return files
