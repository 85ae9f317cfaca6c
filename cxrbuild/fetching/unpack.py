"""Take the files out of an archive or a folder, trusting neither names nor sizes."""

from __future__ import annotations

import hashlib
import lzma
import os
import re
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from cxrbuild.errors import CxrbuildError
from cxrbuild.files import files_under
from cxrbuild.progress import Progress

STAGED = ".fetching"
_BLOCK = 1 << 20
# A drive of Windows, its separator, control characters, and bytes that were no UTF-8.
_UNSAFE = re.compile("^[A-Za-z]:|[\\\\\0-\x1f\x7f\ud800-\udfff]")
_MAGIC = (b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00")


class ArchiveError(CxrbuildError):
    """An archive or folder that cannot be the source, whatever is tried again with it."""


@dataclass(frozen=True)
class Member:
    """A file that was taken out.

    Attributes
    ----------
    path
        Where the archive has it, parted by ``/``.
    file
        Where it is now.
    size
        Its size in bytes.
    blob
        Its git blob hash.
    executable
        Whether its owner may execute it, as far as the archive tells.
    """

    path: str
    file: Path
    size: int
    blob: str
    executable: bool


def looks_like_archive(start: bytes) -> bool:
    """Tell whether a file that begins so is an archive of a kind that can be unpacked."""
    return start.startswith(_MAGIC) or start[257:262] == b"ustar"


def unpack(
    archive: Path, stage: Path, *, ignored: Callable[[str], bool], title: str, progress: Progress
) -> list[Member]:
    """Take an archive's files out into ``stage``, where each gets a number for a name.

    No name of the archive's ever reaches the file system here, so none can lead out of the folder.

    Parameters
    ----------
    archive
        A zip, or a tar: plain or compressed with gzip, bzip2 or xz.
    stage
        An empty folder.
    ignored
        Tells of a path in the archive whether to leave the file out.
    title
        What the progress bar says.
    progress
        Opens the progress bar, in bytes.

    Raises
    ------
    ArchiveError
        It is no archive, is damaged or encrypted, holds a link or a device, a path that leads out of it, or
        files of another size than it says.
    CxrbuildError
        The disk has too little room.
    """
    taker = _Taker(archive, stage)
    with archive.open("rb") as stream:
        start = stream.read(512)
        stream.seek(0)
        try:
            if start.startswith(b"PK"):
                _unzip(stream, taker, ignored, title, progress)
            else:
                _untar(stream, taker, ignored, title, progress)
        except tarfile.ReadError as error:
            if looks_like_archive(start):
                raise _damaged(archive, error) from error
            raise ArchiveError(
                "not an archive", where=archive, expected="zip, tar, tar.gz, tar.bz2 or tar.xz",
                found=f"a file that begins with {start[:16]!r}" if start else "an empty file",
            ) from error  # fmt: skip
        except (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, lzma.LZMAError) as error:
            raise _damaged(archive, error) from error
        except NotImplementedError as error:
            raise ArchiveError("cannot be unpacked", where=archive, found=error) from error
        except OSError as error:
            # gzip and bz2 tell of damage by an OSError; the system's own carry a number.
            if error.errno is not None:
                raise
            raise _damaged(archive, error) from error
    return taker.members


def _damaged(archive: Path, error: Exception) -> ArchiveError:
    return ArchiveError(
        "the archive is damaged or cut short", where=archive, found=str(error) or type(error).__name__
    )


def _untar(
    stream: IO[bytes], taker: _Taker, ignored: Callable[[str], bool], title: str, progress: Progress
) -> None:
    size = os.fstat(stream.fileno()).st_size
    with progress(title, size, "B") as bar, tarfile.open(fileobj=stream, mode="r:*") as tar:
        read = 0
        for entry in tar:
            path = taker.safe(entry.name)
            if entry.isdir() or ignored(path):
                continue
            if not entry.isreg():
                raise taker.no_plain_file(path, is_link=entry.issym() or entry.islnk())
            source = tar.extractfile(entry)
            assert source
            with source:
                taker.take(source, path, entry.size, bool(entry.mode & 0o100))
            bar.update(stream.tell() - read)
            read = stream.tell()
        # The compression's checksum comes after the last file.
        assert tar.fileobj
        while tar.fileobj.read(_BLOCK):
            pass
        bar.update(size - read)
    # Compressed data tell by themselves where they end; a plain tar that was cut between two files does not.
    if tar.fileobj is stream:
        stream.seek(-512, os.SEEK_END)
        if any(stream.read(512)):
            raise EOFError("no end mark")


def _unzip(
    stream: IO[bytes], taker: _Taker, ignored: Callable[[str], bool], title: str, progress: Progress
) -> None:
    with zipfile.ZipFile(stream) as packed:
        entries = [(taker.safe(entry.filename), entry) for entry in packed.infolist()]
        entries = [(path, entry) for path, entry in entries if not (entry.is_dir() or ignored(path))]
        total = sum(entry.file_size for _, entry in entries)
        room_for(total, taker.stage)
        with progress(title, total, "B") as bar:
            for path, entry in entries:
                # Only Unix tools write a mode here; 3 is their number.
                mode = entry.external_attr >> 16 if entry.create_system == 3 else 0
                if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
                    raise taker.no_plain_file(path, is_link=stat.S_ISLNK(mode))
                if entry.flag_bits & 1:
                    raise ArchiveError("the archive is encrypted", where=taker.origin, found=path)
                with packed.open(entry) as source:
                    taker.take(source, path, entry.file_size, bool(mode & 0o100))
                bar.update(entry.file_size)


def copy_folder(
    folder: Path, stage: Path, *, ignored: Callable[[str], bool], title: str, progress: Progress
) -> list[Member]:
    """Copy a folder's files into ``stage``, where each gets a number for a name.

    Parameters are those of `unpack`.

    Raises
    ------
    ArchiveError
        It holds something that is neither a file nor a folder.
    CxrbuildError
        The disk has too little room, or a file cannot be read.
    """
    taker = _Taker(folder, stage)
    found = sorted(
        (taker.safe(Path(entry.path).relative_to(folder).as_posix()), entry.stat(follow_symlinks=False))
        for entry in files_under(folder)
    )
    found = [(path, status) for path, status in found if not ignored(path)]
    for path, status in found:
        if not stat.S_ISREG(status.st_mode):
            raise taker.no_plain_file(path, is_link=stat.S_ISLNK(status.st_mode))
    total = sum(status.st_size for _, status in found)
    room_for(total, stage)
    with progress(title, total, "B") as bar:
        for path, status in found:
            with (folder / path).open("rb") as source:
                taker.take(source, path, status.st_size, bool(status.st_mode & 0o100))
            bar.update(status.st_size)
    return taker.members


class _Taker:
    """Takes files out into a folder where each gets a number for a name, and keeps account of them."""

    def __init__(self, origin: Path, stage: Path) -> None:
        self.origin, self.stage = origin, stage
        self.members: list[Member] = []

    def take(self, source: IO[bytes], path: str, size: int, executable: bool) -> None:
        room_for(size, self.stage)
        file = self.stage / str(len(self.members))
        digest = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
        left = size
        with file.open("xb") as target:
            # One byte more than declared is asked for, so that a longer file shows.
            while block := source.read(min(_BLOCK, left + 1)):
                left -= len(block)
                if left < 0:
                    break
                target.write(block)
                digest.update(block)
        if left:
            raise ArchiveError(
                "a file has another size than declared", where=self.origin,
                expected=f"{path} with {size:,} bytes", found="more" if left < 0 else f"{size - left:,}",
            )  # fmt: skip
        self.members.append(Member(path, file, size, digest.hexdigest(), executable))

    def safe(self, name: str) -> str:
        # Stricter than tarfile's data filter, which mends absolute paths: here they are refused.
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if not name or name.startswith("/") or ".." in parts or _UNSAFE.search(name):
            raise ArchiveError(
                "a path that is unsafe to put in place", where=self.origin,
                expected="paths that lead down from the top, in UTF-8, without control characters",
                found=ascii(name),
            )  # fmt: skip
        return "/".join(parts)

    def no_plain_file(self, path: str, *, is_link: bool) -> ArchiveError:
        return ArchiveError(
            "holds a link" if is_link else "holds a device or a pipe",
            where=self.origin, expected="plain files and folders", found=path,
            todo="Put the file itself there, or leave it out with `download.ignore` in the declaration",
        )  # fmt: skip


def room_for(size: int, folder: Path) -> None:
    """Raise CxrbuildError where a folder's disk has less room than ``size`` bytes."""
    free = shutil.disk_usage(folder).free
    if size > free:
        raise CxrbuildError(
            "the disk has too little room", where=folder, expected=f"{size:,} bytes free",
            found=f"{free:,}", todo="Make room, or name another folder with --data",
        )  # fmt: skip


@contextmanager
def stage_beside(target: Path) -> Iterator[Path]:
    """Give an empty folder beside ``target`` to work in; it is removed at the end."""
    target.parent.mkdir(parents=True, exist_ok=True)
    stage = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=STAGED, dir=target.parent))
    try:
        yield stage
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def folds_case(folder: Path) -> bool:
    """Tell whether the file system takes two names that differ in case only for one."""
    probe = folder / "case"
    probe.touch()
    try:
        return os.path.lexists(folder / "CASE")
    finally:
        probe.unlink()
