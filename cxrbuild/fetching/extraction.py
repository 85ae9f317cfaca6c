"""Files that are extracted from an archive or a folder: safe paths, limits, sizes and hashes."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from cxrbuild.errors import CxrbuildError
from cxrbuild.files import is_desktop_file, naming

STAGED = ".fetching"
_BLOCK = 1 << 20
_ROOM_BYTES = 1 << 26
_SHOWN = 200
BY_HAND = "If you trust it, unpack it with another program and give the folder with --from SOURCE=FOLDER"
_DRIVE = re.compile("[A-Za-z]:")
_CONTROL = re.compile("[\0-\x1f\x7f]")
_UNDECODABLE = re.compile("[\ud800-\udfff]")
# AppleDouble (RFC 1740): what macOS keeps of a file next to it, under the same name after `._`.
_APPLE_DOUBLE = b"\0\5\x16\7"


@dataclass(frozen=True)
class Limits:
    """What an archive may contain at most: an archive of a few bytes can expand to any size.

    Attributes
    ----------
    entries
        Files and folders.
    depth
        Folders above a file.
    expansion, small
        The total size of the files is at most ``small`` bytes, or ``expansion`` times the archive's size.
    header
        Bytes of one header of a tar, long names included.
    directory
        Bytes of the directory of a zip, which is held in memory.
    dictionary
        Bytes of memory that the dictionary of an xz may take.
    """

    entries: int = 2_000_000
    depth: int = 100
    expansion: int = 100
    small: int = 2 << 30
    header: int = 1 << 20
    directory: int = 1 << 27
    dictionary: int = 1 << 28


LIMITS = Limits()


class ArchiveError(CxrbuildError):
    """An archive or folder that cannot be the source, however often it is tried.

    Attributes
    ----------
    kept
        Where an archive is that was downloaded; ``None`` where nothing was kept.
    """

    kept: Path | None = None


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
    of_desktop
        Whether macOS or Windows added it.
    """

    path: str
    file: Path
    size: int
    blob: str
    executable: bool
    of_desktop: bool = False


class Extraction:
    """Files that are extracted into a folder, each named by a number.

    Parameters
    ----------
    origin
        The archive or folder, for errors.
    stage
        The empty folder to extract to.
    ignored
        Returns whether to skip a path of the archive.
    max_bytes
        The total size of the files at most, ``None`` for a folder.
    """

    def __init__(
        self, origin: Path, stage: Path, ignored: Callable[[str], bool], max_bytes: int | None = None
    ) -> None:
        self.origin, self.stage, self.ignored, self.max_bytes = origin, stage, ignored, max_bytes
        self.members: list[Member] = []
        self._stage = os.fspath(stage)
        self._entries = 0
        self._bytes = 0
        # Bytes that may be written until the room on the disk is looked up again.
        self._room = 0

    def add(self, source: IO[bytes], path: str, size: int, executable: bool) -> None:
        """Extract one file.

        Parameters
        ----------
        source
            Its content.
        path
            Its path, as `safe_path` returns it.
        size
            Its declared size in bytes.
        executable
            Whether its owner may execute it.

        Raises
        ------
        ArchiveError
            It has another size, or the files are larger than the limit.
        CxrbuildError
            The disk has too little room.
        """
        self.require_size(size)
        self._require_room(size)
        file = f"{self._stage}{os.sep}{len(self.members)}"
        digest = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
        start = b""
        left = size
        # The user does not know the temporary folder; a full disk is that of the folder above.
        with naming(self.stage.parent, file):
            target = open(file, "xb", buffering=0)  # noqa: SIM115
        with target:
            # One byte more than declared is read, so that a longer file is noticed.
            while block := source.read(min(_BLOCK, left + 1)):
                left -= len(block)
                if left < 0:
                    break
                start = start or block[: len(_APPLE_DOUBLE)]
                with naming(self.stage.parent):
                    target.write(block)
                digest.update(block)
        if left:
            raise ArchiveError(
                "a file has another size than declared", where=self.origin,
                expected=f"{path} with {size:,} bytes", found="more" if left < 0 else f"{size - left:,}",
                todo=f"Fetch it again. If the error remains, the header is wrong. {BY_HAND}",
            )  # fmt: skip
        of_desktop = _is_of_desktop(path, start)
        self.members.append(Member(path, Path(file), size, digest.hexdigest(), executable, of_desktop))

    def link(self, file: Path, blob: str, path: str, size: int, executable: bool) -> bool:
        """Take a file of this content by a hard link; return whether the file system allowed it."""
        try:
            with file.open("rb") as stream:
                of_desktop = _is_of_desktop(path, stream.read(len(_APPLE_DOUBLE)))
            linked = self.stage / str(len(self.members))
            linked.hardlink_to(file)
        except OSError:
            return False
        self.members.append(Member(path, linked, size, blob, executable, of_desktop))
        return True

    def _require_room(self, size: int) -> None:
        if size > self._room:
            require_room(size, self.stage)
            self._room = size + _ROOM_BYTES
        self._room -= size

    def require_size(self, size: int) -> None:
        """Refuse files that are larger than the limit, ``size`` more bytes included."""
        self._bytes += size
        if self.max_bytes is not None and self._bytes > self.max_bytes:
            raise ArchiveError(
                "the archive expands to more than the limit", where=self.origin,
                expected=f"at most {self.max_bytes:,} bytes: {LIMITS.expansion} times the archive's size, or "
                f"{LIMITS.small:,} bytes",
                found=f"at least {self._bytes:,} bytes", todo=BY_HAND,
            )  # fmt: skip

    def safe_path(self, name: str) -> str:
        """Return a name as a path below the source's root, without empty names and ``.``.

        Stricter than tarfile's data filter, which changes absolute paths: here they are refused.

        Raises
        ------
        ArchiveError
            The path is not safe to write, or there are too many or too deep ones.
        """
        self._entries += 1
        if self._entries > LIMITS.entries:
            raise ArchiveError(
                "the archive has more entries than the limit", where=self.origin,
                expected=f"at most {LIMITS.entries:,} files and folders", todo=BY_HAND,
            )  # fmt: skip
        names = [one for one in name.split("/") if one not in ("", ".")]
        if reason := why_unsafe(name, names):
            raise ArchiveError(
                f"a path that is not safe to write: it {reason}", where=self.origin,
                expected="paths below the top, with forward slashes, in UTF-8, without control characters",
                found=ascii(name if len(name) <= _SHOWN else f"{name[:_SHOWN]}..."),
                todo="Give a folder with the source's files, with other names, with --from SOURCE=FOLDER",
            )  # fmt: skip
        if len(names) > LIMITS.depth:
            raise ArchiveError(
                "a path is deeper than the limit", where=self.origin,
                expected=f"at most {LIMITS.depth} folders",
                found=f"{len(names):,}: {'/'.join(names[:3])[:_SHOWN]}/...",
                todo="Give a folder with the source's files in fewer folders with --from SOURCE=FOLDER",
            )  # fmt: skip
        return "/".join(names)

    def no_plain_file(self, path: str, *, is_link: bool) -> ArchiveError:
        """Return the error for an entry that is neither a file nor a folder."""
        return ArchiveError(
            "it contains a link" if is_link else "it contains a device or a pipe",
            where=self.origin, expected="plain files and folders", found=path,
            todo="Replace it by the file itself, or exclude it with `download.ignore` in the declaration",
        )  # fmt: skip


def why_unsafe(name: str, names: list[str]) -> str | None:
    """Return why a path is not safe to write, as the end of a sentence; ``None`` if it is.

    Parameters
    ----------
    name
        The path.
    names
        The names in it.
    """
    if not name:
        return "is empty"
    if name.startswith("/"):
        return "is absolute"
    if ".." in names:
        return "leads up with '..'"
    if _DRIVE.match(name):
        return "begins with a drive letter"
    if "\\" in name:
        return "has a backslash, which is a separator on Windows and part of a name elsewhere"
    if _CONTROL.search(name):
        return "has a control character"
    return "is not UTF-8" if _UNDECODABLE.search(name) else None


def _is_of_desktop(path: str, start: bytes) -> bool:
    top, _, _ = path.partition("/")
    name = path.rpartition("/")[2]
    if name.startswith("._"):
        # An image may have such a name too: the content decides.
        return top == "__MACOSX" or start.startswith(_APPLE_DOUBLE)
    return top == "__MACOSX" or is_desktop_file(name)


def require_room(size: int, folder: Path) -> None:
    """Require that a folder's disk has room for ``size`` bytes."""
    free = shutil.disk_usage(folder).free
    if size > free:
        raise CxrbuildError(
            "the disk has too little room",
            where=folder.parent if folder.name.endswith(STAGED) else folder, expected=f"{size:,} bytes free",
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
