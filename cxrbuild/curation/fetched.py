"""What ``fetch`` put in place, file by file: a build is made from nothing else."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from cxrbuild.catalog import Source
from cxrbuild.catalog.source import CsvReader
from cxrbuild.errors import CxrbuildError, name_some
from cxrbuild.fetching.pin import git_tree_of, read_record, record_path
from cxrbuild.files import git_blob_of
from cxrbuild.lockfile import LockedSource, source_folder


def fetch_again(data: Path, sources: Sequence[Source]) -> str:
    """Return what to do where sources are not what ``fetch`` put in place."""
    words = [source.address for source in sources]
    words += [f"--from={source.name}=..." for source in sources if source.download.url is None]
    words += [] if data == Path("data") else ["--data", str(data)]
    return f"Run `cxrbuild fetch {shlex.join(words)}` again: it keeps what is there aside"


def fetched_blobs(source: Source, data: Path, lock: LockedSource) -> dict[str, str]:
    """Return the git blob hash of every file of a source, by path, as it was when it was fetched.

    Of the files only the metadata is read here; each film is compared when it is converted.

    Parameters
    ----------
    source
        The source.
    data
        The folder that ``fetch`` filled.
    lock
        What the lock says of the source.

    Raises
    ------
    CxrbuildError
        The record of the files is not the lock's, or the metadata was changed since.
    """
    root = source_folder(data, source.name)
    record = read_record(root)
    if git_tree_of(record) != lock.tree:
        raise CxrbuildError(
            "not the record of what was fetched", where=record_path(root),
            expected=f"the files of git tree {lock.tree}", todo=fetch_again(data, [source]),
        )  # fmt: skip
    blobs = {path: file.blob for path, file in record.items()}
    if isinstance(source.reader, CsvReader):
        file, blob = root / source.reader.file, blobs.get(source.reader.file)
        if file.is_file() and (found := git_blob_of(file)) != blob:
            raise CxrbuildError(
                "the metadata was changed since it was fetched", where=file,
                expected=f"git blob {blob}" if blob else "no such file", found=found,
                todo=fetch_again(data, [source]),
            )  # fmt: skip
    return blobs


def refuse_others(paths: Iterable[str], fetched: Collection[str], source: Source, data: Path) -> None:
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
            found=name_some(others), todo=fetch_again(data, [source]),
        )  # fmt: skip
