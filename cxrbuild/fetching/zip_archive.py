"""Extract zip archives: the encoding of names, overlapping entries, modes."""

from __future__ import annotations

import stat
import struct
import zipfile
import zlib
from typing import IO, Any, cast

from cxrbuild.fetching.extraction import BY_HAND, LIMITS, ArchiveError, Extraction, require_room
from cxrbuild.progress import Progress

# "General purpose bit flag", bit 0 and bit 11 (APPNOTE.TXT 4.4.4).
_ENCRYPTED = 1
_UTF8 = 1 << 11
# "Version made by" (APPNOTE.TXT 4.4.2): FAT, Unix, NTFS, VFAT.
_UNIX = 3
_WINDOWS = (0, 10, 14)
# Info-ZIP Unicode Path (APPNOTE.TXT 4.6.9): version 1, CRC-32 of the name in the header, name in UTF-8.
_UNICODE_PATH = 0x7075
_LOCAL_HEADER = 30


def unzip(stream: IO[bytes], extraction: Extraction, title: str, progress: Progress) -> None:
    """Extract a zip.

    Raises
    ------
    ArchiveError
        It is encrypted, its entries overlap, or a path, size or kind of file is refused.
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError
        It is damaged.
    NotImplementedError
        It is compressed in a way that Python does not read.
    """
    directory = _DirectoryLimit(stream, extraction)
    with zipfile.ZipFile(cast("IO[bytes]", directory)) as packed:
        directory.is_read = True
        entries = []
        for entry in packed.infolist():
            name = name_of(entry)
            path = extraction.safe_path(name)
            if not (entry.is_dir() or name.endswith("/") or extraction.ignored(path)):
                entries.append((path, entry))
        _refuse_overlaps(packed, extraction)
        total = sum(entry.file_size for _, entry in entries)
        require_room(total, extraction.stage)
        with progress(title, total, "B") as bar:
            for path, entry in entries:
                # Only Unix tools write a mode here.
                mode = entry.external_attr >> 16 if entry.create_system == _UNIX else 0
                if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
                    raise extraction.no_plain_file(path, is_link=stat.S_ISLNK(mode))
                if entry.flag_bits & _ENCRYPTED:
                    raise ArchiveError(
                        "the archive is encrypted", where=extraction.origin, found=path,
                        todo="Unpack it with the password, and give the folder with --from SOURCE=FOLDER",
                    )  # fmt: skip
                with packed.open(entry) as source:
                    extraction.add(source, path, entry.file_size, bool(mode & 0o100))
                bar.update(entry.file_size)


class _DirectoryLimit:
    """A file whose reads are limited until the directory of the zip is read.

    zipfile reads the directory at once, and keeps some 500 bytes of memory for each of its entries.
    """

    def __init__(self, stream: IO[bytes], extraction: Extraction) -> None:
        self.stream, self.extraction = stream, extraction
        self.is_read = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def read(self, size: int = -1) -> bytes:
        """Read bytes; refuse more than a directory may have."""
        if not self.is_read and size > LIMITS.directory:
            raise ArchiveError(
                "the directory of the zip is larger than the limit", where=self.extraction.origin,
                expected=f"at most {LIMITS.directory:,} bytes", found=f"{size:,}", todo=BY_HAND,
            )  # fmt: skip
        return self.stream.read(size)


def name_of(entry: zipfile.ZipInfo) -> str:
    """Return the name of an entry.

    In this order: UTF-8 where the flag says so; the Unicode path of Info-ZIP where it is of this name; UTF-8
    where the bytes are UTF-8, since macOS sets no flag; code page 437 as the format defines it. Windows
    programs may write backslashes instead of slashes.
    """
    if entry.flag_bits & _UTF8:
        name = entry.orig_filename
    else:
        raw = entry.orig_filename.encode("cp437")
        name = _unicode_path(entry.extra, raw) or _decode(raw)
    if entry.create_system in _WINDOWS and "/" not in name:
        name = name.replace("\\", "/")
    return name


def _decode(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("cp437")


def _unicode_path(extra: bytes, raw: bytes) -> str | None:
    while len(extra) >= 4:
        kind, size = struct.unpack_from("<HH", extra)
        field, extra = extra[4 : 4 + size], extra[4 + size :]
        if kind == _UNICODE_PATH and len(field) == size > 5:
            version, crc = struct.unpack_from("<BL", field)
            if version == 1 and crc == zlib.crc32(raw):
                try:
                    return field[5:].decode("utf-8")
                except UnicodeDecodeError:
                    return None
    return None


def _refuse_overlaps(packed: zipfile.ZipFile, extraction: Extraction) -> None:
    """Refuse entries that share their bytes: so a small archive expands without end."""
    end = 0
    for entry in sorted(packed.infolist(), key=lambda entry: entry.header_offset):
        if entry.header_offset < end:
            raise ArchiveError(
                "the archive is damaged or made to harm: its entries overlap", where=extraction.origin,
                found=entry.filename,
                todo="Download it again; if the error remains, ask the host for another archive",
            )  # fmt: skip
        end = entry.header_offset + _LOCAL_HEADER + entry.compress_size
