"""Fetch the files of published lists, each verified by its SHA-256."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cxrbuild.catalog.image_list import ImageList, ListedFile, list_folder
from cxrbuild.errors import CxrbuildError
from cxrbuild.fetching.partial import PartialFile
from cxrbuild.files import locked, sha256_of, write_bytes
from cxrbuild.http import redact_address
from cxrbuild.progress import Progress
from cxrbuild.threads import Cancellation


@dataclass(frozen=True)
class FetchedList:
    """The files of a list that are in the data folder.

    Attributes
    ----------
    files, bytes
        Their number and total size.
    downloaded
        Whether this call fetched one of them.
    """

    files: int
    bytes: int
    downloaded: bool

    def to_dict(self) -> dict[str, Any]:
        """Return the list as JSON has it."""
        return asdict(self)


def fetch_lists(
    lists: Sequence[ImageList], data: Path, *, origins: Mapping[str, str], progress: Progress
) -> dict[str, FetchedList]:
    """Fetch the files of lists to ``data``/lists, and verify them.

    A file that is present and verified is not downloaded again. Files without an address stay next to the
    declaration.

    Parameters
    ----------
    lists
        The lists.
    data
        The data folder.
    origins
        By name of a list a folder, or the address of one, that has its files instead of the declared
        addresses.
    progress
        Opens the progress bars, in bytes.

    Raises
    ------
    CxrbuildError
        A file is not there, or is not the declared one.
    """
    cancellation = Cancellation()
    done = {}
    with locked(data):
        for declared in lists:
            place = list_folder(data, declared.name)
            files = [file for file in declared.files if file.url is not None]
            absent = [file for file in files if not _is_there(place / file.file, file)]
            for file in absent:
                content = _read(declared, file, data, origins.get(declared.name), progress, cancellation)
                place.mkdir(parents=True, exist_ok=True)
                write_bytes(place / file.file, content)
            total = sum((place / file.file).stat().st_size for file in files)
            done[declared.name] = FetchedList(len(files), total, bool(absent))
    return done


def _is_there(path: Path, file: ListedFile) -> bool:
    return path.is_file() and sha256_of(path) == file.sha256


def _read(
    declared: ImageList,
    file: ListedFile,
    data: Path,
    given: str | None,
    progress: Progress,
    cancellation: Cancellation,
) -> bytes:
    """Return the content of a file, verified."""
    assert file.url is not None
    if given is None or "://" in given:
        from cxrbuild.fetching.download import download  # imports an HTTP library

        url = file.url if given is None else f"{given.rstrip('/')}/{file.file}"
        part = data / "downloads" / f"{declared.name}-{file.file}.part"
        title = f"{declared.name}: downloading"
        download(url, part, title=title, progress=progress, cancellation=cancellation)
        content, where = part.read_bytes(), redact_address(url)
        PartialFile(part).remove()
    else:
        path = Path(given).expanduser()
        path = path / file.file if path.is_dir() else path
        if path.name != file.file or not path.is_file():
            raise CxrbuildError(
                f"no file {file.file} of the list {declared.name}", where=f"--from {declared.name}={given}",
                expected="a folder with the files of the list, or the address of one",
                todo=f"Name the folder that has {file.file} with --from {declared.name}=FOLDER",
            )  # fmt: skip
        content, where = path.read_bytes(), str(path)
    if (found := hashlib.sha256(content).hexdigest()) != file.sha256:
        raise CxrbuildError(
            f"not the declared file of the list {declared.name}", where=where,
            expected=f"SHA-256 {file.sha256}" + (f", {file.bytes:,} bytes" if file.bytes else ""),
            found=f"SHA-256 {found}, {len(content):,} bytes",
            todo=f"Name a folder that has the declared files, with --from {declared.name}=FOLDER",
        )  # fmt: skip
    return content
