"""Places of files: a path of this machine, or an address in object storage with a copy on this machine."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from cxrbuild.progress import Progress, silent
from cxrbuild.remote.address import is_address
from cxrbuild.remote.folder import RemoteFolder


@contextmanager
def reading(
    place: str | Path, progress: Progress = silent, *, wanted: Callable[[str], bool] = lambda _: True
) -> Iterator[Path]:
    """Give a folder of this machine with the files of a place: its path itself, or a copy of an address.

    Parameters
    ----------
    place
        A path, or ``s3://BUCKET/PREFIX``.
    progress
        Opens a progress bar.
    wanted
        Which files are needed, by name; default all.

    Raises
    ------
    CxrbuildError
        The address cannot be read, or another command uses the copy.
    """
    if not is_address(place):
        yield Path(place)
        return
    remote = RemoteFolder(str(place), "read")
    with remote.locked():
        remote.download(wanted, progress)
        with remote.naming_address():
            yield remote.copy


@contextmanager
def writing(place: str | Path, seals: Collection[str], progress: Progress = silent) -> Iterator[Path]:
    """Give a folder of this machine to write to: the path itself, or a copy that is written to an address.

    If the block raises, nothing is written to the address; the copy stays for the next run.

    Parameters
    ----------
    place
        A path, or ``s3://BUCKET/PREFIX``.
    seals
        The files that mark the folder as complete, in the order in which they are written at the end.
    progress
        Opens progress bars.

    Raises
    ------
    CxrbuildError
        The address cannot be read or written, or another command uses it.
    """
    with _written(place, "write", progress, seals=seals) as folder:
        yield folder


@contextmanager
def adding(place: str | Path, added: Collection[str], progress: Progress = silent) -> Iterator[Path]:
    """Give a folder of this machine as `reading` does, and write the files that are added to it.

    Parameters
    ----------
    place
        A path, or ``s3://BUCKET/PREFIX``.
    added
        The files that the block adds or replaces.
    progress
        Opens progress bars.

    Raises
    ------
    CxrbuildError
        The address cannot be read or written, or another command uses it.
    """
    with _written(place, "read", progress, only=added) as folder:
        yield folder


def copy_neighbours(
    address: str, wanted: Callable[[str], bool], seal: str, progress: Progress = silent
) -> None:
    """Copy files of the folders next to an address, so that they are next to its copy.

    Parameters
    ----------
    address
        ``s3://BUCKET/PREFIX``; the folders are those that share its parent.
    wanted
        Which files to copy, by name.
    seal
        The file that a complete folder has.
    progress
        Opens progress bars.
    """
    for neighbour in RemoteFolder(address, "write").neighbours(seal):
        with neighbour.locked():
            neighbour.download(wanted, progress)


@contextmanager
def _written(
    place: str | Path,
    use: Literal["read", "write"],
    progress: Progress,
    *,
    seals: Collection[str] = (),
    only: Collection[str] | None = None,
) -> Iterator[Path]:
    if not is_address(place):
        yield Path(place)
        return
    remote = RemoteFolder(str(place), use)
    with remote.locked(), remote.leased() as lease:
        remote.download(lambda _: True, progress)
        with remote.naming_address():
            yield remote.copy
        remote.upload(seals, lease, progress, only=only)
