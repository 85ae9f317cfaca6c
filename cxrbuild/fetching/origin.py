"""The origin of a source's files: an address, an archive or a folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cxrbuild.catalog.source import Source
from cxrbuild.errors import CxrbuildError
from cxrbuild.http import host_of, redact_address


@dataclass(frozen=True)
class Origin:
    """An address, or the path of a folder or archive; exactly one of them is set."""

    url: str | None = None
    path: Path | None = None

    def __str__(self) -> str:
        return redact_address(self.url) if self.url is not None else str(self.path)


def origin_of(source: Source, given: str | None, data: Path) -> Origin:
    """Return the origin to fetch a source from.

    Parameters
    ----------
    source
        The source.
    given
        The user's ``--from``: the name of a mirror, an address, or a path; ``None`` for the declared address.
    data
        The data folder, which must not be inside a given folder.

    Raises
    ------
    CxrbuildError
        There is no such file or folder, or the source declares no address and none was given.
    """
    if given is None:
        if source.download.url is None:
            raise CxrbuildError(
                "the source declares no address", where=source.name,
                todo=f"Name the place of its files with --from {source.name}=FOLDER, =ARCHIVE or =URL",
            )  # fmt: skip
        return _address(source.download.url)
    if given in source.download.mirrors:
        return _address(source.download.mirrors[given])
    if "://" in given:
        return _address(given)
    path = Path(given).expanduser()
    if not path.exists():
        mirrors = ", ".join(source.download.mirrors)
        raise CxrbuildError(
            "no such file or folder", where=f"--from {source.name}={redact_address(given)}",
            expected="a folder, an archive, an address that begins with http:// or https://"
            + (f", or a mirror: {mirrors}" if mirrors else ""),
            todo="Correct the path"
            + (", or omit --from to download from the declared address" if source.download.url else ""),
        )  # fmt: skip
    path = path.resolve()
    if not (path.is_dir() or path.is_file()):
        raise CxrbuildError(
            "neither a file nor a folder", where=f"--from {source.name}={redact_address(given)}",
            expected="a folder or an archive", todo="Copy the archive into a file first",
        )  # fmt: skip
    if path.is_dir() and data.resolve().is_relative_to(path):
        raise CxrbuildError(
            "the folder contains the data folder itself", where=f"--from {source.name}={given}",
            expected="a folder with the source's files alone", found=data,
            todo="Name a folder within it with --from, or another data folder with --data",
        )  # fmt: skip
    return Origin(path=path)


def _address(url: str) -> Origin:
    host_of(url)
    return Origin(url=url)
