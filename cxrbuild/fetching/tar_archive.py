"""Extract tar archives, plain or compressed, with a limit on the size of headers."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, cast

from cxrbuild.fetching.extraction import BY_HAND, LIMITS, ArchiveError, Extraction
from cxrbuild.progress import Progress

_BLOCK = 1 << 20


def untar(stream: IO[bytes], extraction: Extraction, title: str, progress: Progress) -> None:
    """Extract a tar, plain or compressed with gzip, bzip2 or xz.

    Raises
    ------
    ArchiveError
        A path, size, header or kind of file is refused.
    tarfile.TarError, zlib.error, lzma.LZMAError, EOFError
        It is no tar or is damaged.
    OSError
        It is damaged, without a number; or it cannot be read, with one.
    """
    size = os.fstat(stream.fileno()).st_size
    content = _decompressed(stream)
    reader = _HeaderLimit(content, extraction)
    with progress(title, size, "B") as bar, _open_tar(reader) as tar:
        read = 0
        for entry in _entries(tar, reader):
            path = extraction.safe_path(entry.name)
            if entry.isdir() or extraction.ignored(path):
                # What is skipped is decompressed too.
                extraction.require_size(entry.size)
                continue
            if not entry.isreg():
                raise extraction.no_plain_file(path, is_link=entry.issym() or entry.islnk())
            source = tar.extractfile(entry)
            assert source
            with source:
                extraction.add(source, path, entry.size, bool(entry.mode & 0o100))
            bar.update(stream.tell() - read)
            read = stream.tell()
        # The compression's checksum comes after the last file, and after the rest of the tar's last record.
        content.read(_BLOCK)
        while block := content.read(_BLOCK):
            extraction.require_size(len(block))
        bar.update(size - read)
    # Compressed data have an end mark of their own; a plain tar truncated between two files looks whole.
    if content is stream:
        stream.seek(-512, os.SEEK_END)
        if any(stream.read(512)):
            raise EOFError("no end mark")


def _decompressed(stream: IO[bytes]) -> IO[bytes]:
    start = stream.read(6)
    stream.seek(0)
    if start.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=stream)  # type: ignore[return-value]
    if start.startswith(b"BZh"):
        return bz2.BZ2File(stream)
    if start.startswith(b"\xfd7zXZ\0"):
        _require_dictionary(stream)
        return lzma.LZMAFile(stream)
    return stream


def _require_dictionary(stream: IO[bytes]) -> None:
    """Refuse an xz that needs more memory than the limit, which `lzma.LZMAFile` cannot be given.

    Raises
    ------
    lzma.LZMAError
        It needs more, or is damaged.
    """
    start = stream.read(_BLOCK)
    stream.seek(0)
    lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=LIMITS.dictionary).decompress(start, max_length=1)


def _open_tar(reader: _HeaderLimit) -> tarfile.TarFile:
    with _readable_header():
        return tarfile.TarFile(fileobj=cast("IO[bytes]", reader), mode="r")


@contextmanager
def _readable_header() -> Iterator[None]:
    try:
        yield
    except (ValueError, LookupError, ArithmeticError, RecursionError) as error:
        # tarfile trusts the numbers and names in extended headers.
        raise tarfile.ReadError(f"a header that cannot be read ({error})") from error


def _entries(tar: tarfile.TarFile, reader: _HeaderLimit) -> Iterator[tarfile.TarInfo]:
    """Yield the entries, one header at a time."""
    while True:
        reader.left = LIMITS.header
        with _readable_header():
            entry = tar.next()
        if entry is None:
            return
        reader.left = None
        # tarfile would keep every header until the end.
        tar.members.clear()  # type: ignore[attr-defined]
        yield entry


class _HeaderLimit:
    """A file whose reads are limited while ``left`` is a number of bytes.

    tarfile reads a long name or an extended header at once and holds it in memory, however long it is.
    """

    def __init__(self, stream: IO[bytes], extraction: Extraction) -> None:
        self.stream, self.extraction = stream, extraction
        self.left: int | None = LIMITS.header

    def read(self, size: int = -1) -> bytes:
        """Read bytes; refuse more than what is left for a header."""
        if self.left is not None:
            if size < 0 or size > self.left:
                raise ArchiveError(
                    "a header of the archive is larger than the limit", where=self.extraction.origin,
                    expected=f"at most {LIMITS.header:,} bytes",
                    todo=BY_HAND,
                )  # fmt: skip
            self.left -= size
        return self.stream.read(size)

    def tell(self) -> int:
        """Return the position."""
        return self.stream.tell()

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a position."""
        return self.stream.seek(offset, whence)

    def close(self) -> None:
        """Do nothing: the stream is closed by its owner."""
