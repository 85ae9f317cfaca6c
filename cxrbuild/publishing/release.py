"""A release as it goes out: its files with their hashes, and the reasons for which one must not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cxrbuild.artifact import open_release, read_sums
from cxrbuild.artifact.names import SUMS
from cxrbuild.errors import CxrbuildError, name_some
from cxrbuild.files import sha256_of
from cxrbuild.progress import Progress, silent
from cxrbuild.verification import require_verified, verify


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
    name, version, title
        Of the dataset.
    files
        Every file but ``SHA256SUMS``, by name, in the order of the names.
    sums
        ``SHA256SUMS`` itself.
    """

    folder: Path
    name: str
    version: str
    title: str
    files: Mapping[str, ReleaseFile]
    sums: ReleaseFile

    @property
    def edition(self) -> str:
        """Name and version, as messages have it."""
        return f"{self.name} {self.version}"


def read_release(folder: Path, progress: Progress = silent) -> Release:
    """Read a release and refuse one that must not go out.

    Parameters
    ----------
    folder
        The release's folder.
    progress
        Told how far each check is.

    Raises
    ------
    CheckError
        A check of ``verify`` failed.
    CxrbuildError
        It is no release, is unpinned, incomplete, or is private.
    """
    document = open_release(folder).document
    if document.policy != "public":
        raise CxrbuildError(
            "not a public release, so it is not published", where=folder, expected="the policy public",
            found=f"the policy {document.policy}", todo="Make one with `cxrbuild release VERSION`",
        )  # fmt: skip
    if document.unpinned:
        raise CxrbuildError(
            "an unpinned release is not published", where=folder,
            found=f"{name_some(document.unpinned)} did not match the pin when it was fetched",
            todo="Fetch without --allow-unpinned, then curate and release again",
        )  # fmt: skip
    if missing := document.missing:
        raise CxrbuildError(
            "an incomplete release is not published", where=folder,
            found=f"{len(missing):,} images that belong to it are missing: {name_some(sorted(missing))}",
            todo="Fetch what is missing, then curate without --allow-missing and release again",
        )  # fmt: skip
    require_verified(verify(folder, progress=progress), folder)
    files = {
        name: ReleaseFile(name, folder / name, (folder / name).stat().st_size, digest)
        for name, digest in sorted(read_sums(folder).items())
    }
    path = folder / SUMS
    sums = ReleaseFile(SUMS, path, path.stat().st_size, sha256_of(path))
    dataset = document.dataset
    return Release(folder, dataset.name, dataset.version, dataset.title, files, sums)
