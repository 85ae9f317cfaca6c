"""Extract the files of an archive or a folder, trusting neither names nor sizes."""

from __future__ import annotations

import gzip
import lzma
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from cxrbuild.fetching.extraction import BY_HAND, LIMITS, ArchiveError, Extraction, Member, require_room
from cxrbuild.fetching.origin_state import FormerCopy
from cxrbuild.fetching.tar_archive import untar
from cxrbuild.fetching.zip_archive import unzip
from cxrbuild.file_status import status_of
from cxrbuild.files import files_under, naming
from cxrbuild.progress import Progress

_BLOCK = 1 << 20
_GZIP = b"\x1f\x8b"
_MAGIC = (b"PK\x03\x04", b"PK\x05\x06", _GZIP, b"BZh", b"\xfd7zXZ\x00")


def looks_like_archive(start: bytes) -> bool:
    """Return whether a file with these first bytes is an archive that `unpack` reads."""
    return start.startswith(_MAGIC) or start[257:262] == b"ustar"


def decode_content(archive: Path, decoded: Path) -> Path:
    """Return an archive without the gzip that a server put around it (``Content-Encoding: gzip``).

    Some servers compress a file again although they were asked not to. A ``.tar.gz`` is no such file: what is
    in the gzip is a tar.

    Parameters
    ----------
    archive
        The file.
    decoded
        The path to decode to, if the file is an archive within a gzip.

    Raises
    ------
    ArchiveError
        The gzip is damaged, or expands to more than the limit.
    CxrbuildError
        The disk has too little room.
    """
    with archive.open("rb") as stream:
        if stream.read(len(_GZIP)) != _GZIP:
            return archive
        stream.seek(0)
        try:
            with gzip.GzipFile(fileobj=stream) as content:
                block = content.read(512)
                if not block.startswith(_MAGIC):
                    return archive
                size, limit = 0, _max_bytes(archive)
                with decoded.open("xb") as target:
                    while block:
                        size += len(block)
                        if size > limit:
                            raise ArchiveError(
                                "the gzip around the archive expands to more than the limit", where=archive,
                                expected=f"at most {limit:,} bytes",
                                todo=BY_HAND,
                            )  # fmt: skip
                        require_room(len(block), decoded.parent)
                        target.write(block)
                        block = content.read(_BLOCK)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            if decoded.exists():
                raise _damaged(archive, error) from error
            return archive
    return decoded


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
        It is no archive, is damaged or encrypted, contains a link, a device, a path that leads out of it, or
        files of another size than declared, or exceeds the limits.
    CxrbuildError
        The disk has too little room.
    """
    extraction = Extraction(archive, stage, ignored, _max_bytes(archive))
    with archive.open("rb") as stream:
        start = stream.read(512)
        stream.seek(0)
        try:
            if start.startswith(b"PK"):
                unzip(stream, extraction, title, progress)
            else:
                untar(stream, extraction, title, progress)
        except tarfile.ReadError as error:
            if looks_like_archive(start):
                raise _damaged(archive, error) from error
            raise ArchiveError(
                "not an archive", where=archive, expected="zip, tar, tar.gz, tar.bz2 or tar.xz",
                found=f"a file that begins with {start[:16]!r}" if start else "an empty file",
                todo="Name an archive of one of these formats, or the folder that it was unpacked into",
            ) from error  # fmt: skip
        except (
            tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, lzma.LZMAError, UnicodeError
        ) as error:  # fmt: skip
            raise _damaged(archive, error) from error
        except NotImplementedError as error:
            raise ArchiveError(
                "cannot be unpacked", where=archive, found=error,
                todo="Unpack it with another program, and give the folder with --from SOURCE=FOLDER",
            ) from error  # fmt: skip
        except OSError as error:
            # gzip and bz2 report damage by an OSError without a number; the system's errors have one.
            if error.errno is not None:
                raise
            raise _damaged(archive, error) from error
    return extraction.members


def _max_bytes(archive: Path) -> int:
    return max(LIMITS.small, LIMITS.expansion * archive.stat().st_size)


def _damaged(archive: Path, error: Exception) -> ArchiveError:
    return ArchiveError(
        "the archive is damaged or incomplete",
        where=archive,
        found=str(error) or type(error).__name__,
        todo="Download it again, and compare its size with that which the host states",
    )


def copy_folder(
    folder: Path,
    stage: Path,
    *,
    ignored: Callable[[str], bool],
    former: FormerCopy,
    title: str,
    progress: Progress,
) -> tuple[list[Member], list[os.stat_result]]:
    """Copy a folder's files into ``stage``, where each is named by a number.

    Parameters
    ----------
    folder
        The folder.
    stage, ignored, title, progress
        As for `unpack`.
    former
        What was copied before: files that did not change since are linked instead.

    Returns
    -------
    list of Member
        The files.
    list of os.stat_result
        The state of each of the folder's files, before it was read.

    Raises
    ------
    ArchiveError
        It contains something that is neither a file nor a folder.
    CxrbuildError
        The disk has too little room, or a file cannot be read.
    """
    extraction = Extraction(folder, stage, ignored)
    found = sorted(
        (
            extraction.safe_path(os.path.relpath(entry.path, folder).replace(os.sep, "/")),
            status_of(entry),
        )
        for entry in files_under(folder)
    )
    found = [(path, status) for path, status in found if not ignored(path)]
    for path, status in found:
        if not stat.S_ISREG(status.st_mode):
            raise extraction.no_plain_file(path, is_link=stat.S_ISLNK(status.st_mode))
    known = {path: former.find(path, status) for path, status in found}
    require_room(sum(status.st_size for path, status in found if not known[path]), stage)
    with progress(title, sum(status.st_size for _, status in found), "B") as bar:
        for path, status in found:
            executable = bool(status.st_mode & 0o100)
            same = known[path]
            if not (same and extraction.link(*same, path, status.st_size, executable)):
                with naming(folder / path), (folder / path).open("rb") as source:
                    extraction.add(source, path, status.st_size, executable)
            bar.update(status.st_size)
    return extraction.members, [status for _, status in found]
