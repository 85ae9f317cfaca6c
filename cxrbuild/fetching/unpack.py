"""Extract the files of an archive or a folder, trusting neither names nor sizes."""

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
    """An archive or folder that cannot be the source, however often it is tried."""


@dataclass(frozen=True)
class Member:
    """A file that was extracted.

    Attributes
    ----------
    path
        Its path in the archive, with ``/`` between the names.
    file
        The extracted file.
    size
        Its size in bytes.
    blob
        Its git blob hash.
    executable
        Whether its owner may execute it, as the archive records it.
    """

    path: str
    file: Path
    size: int
    blob: str
    executable: bool


def looks_like_archive(start: bytes) -> bool:
    """Return whether a file with these first bytes is an archive that `unpack` reads."""
    return start.startswith(_MAGIC) or start[257:262] == b"ustar"


def unpack(
    archive: Path, stage: Path, *, ignored: Callable[[str], bool], title: str, progress: Progress
) -> list[Member]:
    """Extract an archive's files into ``stage``, where each is named by a number.

    No name of the archive is used on the file system here, so none can lead out of the folder.

    Parameters
    ----------
    archive
        A zip, or a tar: plain or compressed with gzip, bzip2 or xz.
    stage
        An empty folder.
    ignored
        Returns whether to skip a path of the archive.
    title
        The title of the progress bar.
    progress
        Opens the progress bar, in bytes.

    Raises
    ------
    ArchiveError
        It is no archive, is damaged or encrypted, or contains a link, a device, a path that leads out of
        it, or files of another size than declared.
    CxrbuildError
        The disk has too little room.
    """
    extraction = _Extraction(archive, stage)
    with archive.open("rb") as stream:
        start = stream.read(512)
        stream.seek(0)
        try:
            if start.startswith(b"PK"):
                _unzip(stream, extraction, ignored, title, progress)
            else:
                _untar(stream, extraction, ignored, title, progress)
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
            # gzip and bz2 report damage by an OSError without a number; the system's errors have one.
            if error.errno is not None:
                raise
            raise _damaged(archive, error) from error
    return extraction.members


def _damaged(archive: Path, error: Exception) -> ArchiveError:
    return ArchiveError(
        "the archive is damaged or incomplete", where=archive, found=str(error) or type(error).__name__
    )


def _untar(
    stream: IO[bytes], extraction: _Extraction, ignored: Callable[[str], bool], title: str, progress: Progress
) -> None:
    size = os.fstat(stream.fileno()).st_size
    with progress(title, size, "B") as bar, tarfile.open(fileobj=stream, mode="r:*") as tar:
        read = 0
        for entry in tar:
            path = extraction.safe(entry.name)
            if entry.isdir() or ignored(path):
                continue
            if not entry.isreg():
                raise extraction.no_plain_file(path, is_link=entry.issym() or entry.islnk())
            source = tar.extractfile(entry)
            assert source
            with source:
                extraction.add(source, path, entry.size, bool(entry.mode & 0o100))
            bar.update(stream.tell() - read)
            read = stream.tell()
        # The compression's checksum comes after the last file.
        assert tar.fileobj
        while tar.fileobj.read(_BLOCK):
            pass
        bar.update(size - read)
    # Compressed data have an end mark of their own; a plain tar that was cut between two files looks whole.
    if tar.fileobj is stream:
        stream.seek(-512, os.SEEK_END)
        if any(stream.read(512)):
            raise EOFError("no end mark")


def _unzip(
    stream: IO[bytes], extraction: _Extraction, ignored: Callable[[str], bool], title: str, progress: Progress
) -> None:
    with zipfile.ZipFile(stream) as packed:
        entries = [(extraction.safe(entry.filename), entry) for entry in packed.infolist()]
        entries = [(path, entry) for path, entry in entries if not (entry.is_dir() or ignored(path))]
        total = sum(entry.file_size for _, entry in entries)
        require_room(total, extraction.stage)
        with progress(title, total, "B") as bar:
            for path, entry in entries:
                # Only Unix tools write a mode here; 3 is their number.
                mode = entry.external_attr >> 16 if entry.create_system == 3 else 0
                if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
                    raise extraction.no_plain_file(path, is_link=stat.S_ISLNK(mode))
                if entry.flag_bits & 1:
                    raise ArchiveError("the archive is encrypted", where=extraction.origin, found=path)
                with packed.open(entry) as source:
                    extraction.add(source, path, entry.file_size, bool(mode & 0o100))
                bar.update(entry.file_size)


def copy_folder(
    folder: Path, stage: Path, *, ignored: Callable[[str], bool], title: str, progress: Progress
) -> list[Member]:
    """Copy a folder's files into ``stage``, where each is named by a number.

    Parameters are those of `unpack`.

    Raises
    ------
    ArchiveError
        It contains something that is neither a file nor a folder.
    CxrbuildError
        The disk has too little room, or a file cannot be read.
    """
    extraction = _Extraction(folder, stage)
    found = sorted(
        (extraction.safe(Path(entry.path).relative_to(folder).as_posix()), entry.stat(follow_symlinks=False))
        for entry in files_under(folder)
    )
    found = [(path, status) for path, status in found if not ignored(path)]
    for path, status in found:
        if not stat.S_ISREG(status.st_mode):
            raise extraction.no_plain_file(path, is_link=stat.S_ISLNK(status.st_mode))
    total = sum(status.st_size for _, status in found)
    require_room(total, stage)
    with progress(title, total, "B") as bar:
        for path, status in found:
            with (folder / path).open("rb") as source:
                extraction.add(source, path, status.st_size, bool(status.st_mode & 0o100))
            bar.update(status.st_size)
    return extraction.members


class _Extraction:
    """Files that are extracted into a folder, each named by a number."""

    def __init__(self, origin: Path, stage: Path) -> None:
        self.origin, self.stage = origin, stage
        self.members: list[Member] = []

    def add(self, source: IO[bytes], path: str, size: int, executable: bool) -> None:
        require_room(size, self.stage)
        file = self.stage / str(len(self.members))
        digest = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
        left = size
        with file.open("xb") as target:
            # One byte more than declared is read, so that a longer file is noticed.
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
        # Stricter than tarfile's data filter, which changes absolute paths: here they are refused.
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if not name or name.startswith("/") or ".." in parts or _UNSAFE.search(name):
            raise ArchiveError(
                "a path that is not safe to write", where=self.origin,
                expected="paths that lead down from the top, in UTF-8, without control characters",
                found=ascii(name),
            )  # fmt: skip
        return "/".join(parts)

    def no_plain_file(self, path: str, *, is_link: bool) -> ArchiveError:
        return ArchiveError(
            "it contains a link" if is_link else "it contains a device or a pipe",
            where=self.origin, expected="plain files and folders", found=path,
            todo="Replace it by the file itself, or exclude it with `download.ignore` in the declaration",
        )  # fmt: skip


def require_room(size: int, folder: Path) -> None:
    """Require that a folder's disk has room for ``size`` bytes."""
    free = shutil.disk_usage(folder).free
    if size > free:
        raise CxrbuildError(
            "the disk has too little room", where=folder, expected=f"{size:,} bytes free",
            found=f"{free:,}", todo="Make room, or name another folder with --data",
        )  # fmt: skip


@contextmanager
def staging_folder(target: Path) -> Iterator[Path]:
    """Give an empty temporary folder next to ``target``; it is removed at the end."""
    target.parent.mkdir(parents=True, exist_ok=True)
    stage = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=STAGED, dir=target.parent))
    try:
        yield stage
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def ignores_case(folder: Path) -> bool:
    """Return whether the file system ignores case in names."""
    probe = folder / "case"
    probe.touch()
    try:
        return os.path.lexists(folder / "CASE")
    finally:
        probe.unlink()
