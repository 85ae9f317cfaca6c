"""A release to publish: its files with their hashes, and the checks that it must pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cxrbuild.artifact import ReleaseDocument, open_release, read_sums
from cxrbuild.artifact.names import SIGNATURE, SUMS
from cxrbuild.catalog.datasheet import Datasheet
from cxrbuild.errors import CxrbuildError, count_of, name_some
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
        The path of the file.
    bytes
        Its size.
    sha256
        Its hash in ``SHA256SUMS``, in hex.
    """

    name: str
    path: Path
    bytes: int
    sha256: str


@dataclass(frozen=True)
class OutgoingRelease:
    """A release that passed the checks for publication.

    Attributes
    ----------
    folder
        Its folder.
    name, version, title
        Of the dataset.
    files
        Every file but ``SHA256SUMS``, ordered by name.
    sums
        ``SHA256SUMS`` itself.
    datasheet
        The datasheet of its recipe.
    """

    folder: Path
    name: str
    version: str
    title: str
    files: Mapping[str, ReleaseFile]
    sums: ReleaseFile
    datasheet: Datasheet

    @property
    def label(self) -> str:
        """Name and version, for messages."""
        return f"{self.name} {self.version}"


def require_publishable(folder: Path) -> ReleaseDocument:
    """Require a release that can be published, by its ``build.json`` alone, and return that document.

    Parameters
    ----------
    folder
        The release's folder.

    Raises
    ------
    CxrbuildError
        The folder holds no release, or an unpinned, incomplete or private one.
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
            found=f"fetched files that do not match the pin, of {name_some(document.unpinned)}",
            todo="Fetch without --allow-unpinned, then curate and release again",
        )  # fmt: skip
    if missing := document.missing_images:
        raise CxrbuildError(
            "an incomplete release is not published", where=folder,
            found=count_of(missing, "missing image")
            + (f": {name_some(sorted(document.missing))}" if document.missing else ""),
            todo="Fetch what is missing, then curate without --allow-missing and release again",
        )  # fmt: skip
    return document


def read_release(folder: Path, progress: Progress = silent) -> OutgoingRelease:
    """Read a release and require that it can be published.

    Parameters
    ----------
    folder
        The release's folder.
    progress
        Opens a progress bar for each check.

    Raises
    ------
    CheckError
        A check of ``verify`` failed.
    CxrbuildError
        See `require_publishable`.
    """
    document = require_publishable(folder)
    require_verified(verify(folder, progress=progress), folder)
    files = {
        name: ReleaseFile(name, folder / name, (folder / name).stat().st_size, digest)
        for name, digest in sorted(read_sums(folder).items())
    }
    signature = folder / SIGNATURE
    if signature.is_file():
        # The sums cannot list the signature of themselves.
        size = signature.stat().st_size
        files[SIGNATURE] = ReleaseFile(SIGNATURE, signature, size, sha256_of(signature))
    path = folder / SUMS
    sums = ReleaseFile(SUMS, path, path.stat().st_size, sha256_of(path))
    dataset, sheet = document.dataset, document.recipe.datasheet
    return OutgoingRelease(folder, dataset.name, dataset.version, dataset.title, files, sums, sheet)
