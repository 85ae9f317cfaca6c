"""Read the bytes of a deposit's files while they are sent: a file as it is, or a folder as one tar."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from cxrbuild.errors import CxrbuildError
from cxrbuild.publishing.release import OutgoingRelease, ReleaseFile

_BLOCK = 1 << 20
_END = b"\0" * (2 * tarfile.BLOCKSIZE)


@dataclass(frozen=True)
class DepositFile:
    """One file of a deposit; each iteration reads its bytes again.

    Attributes
    ----------
    name
        Its name in the deposit.
    files
        The release's files in it.
    is_tar
        Whether it is a tar of these files, or the one file itself.
    """

    name: str
    files: Sequence[ReleaseFile]
    is_tar: bool

    def __len__(self) -> int:
        """Return the size in bytes."""
        sizes = sum(len(_header(file)) + file.bytes + _padding(file) for file in self.files)
        return sizes + len(_END) if self.is_tar else self.files[0].bytes

    def __iter__(self) -> Iterator[bytes]:
        """Yield the bytes in blocks.

        Raises
        ------
        CxrbuildError
            A file changed since the release was read.
        """
        for file in self.files:
            if self.is_tar:
                yield _header(file)
            yield from _content(file)
            if self.is_tar:
                yield b"\0" * _padding(file)
        if self.is_tar:
            yield _END

    def md5(self) -> str:
        """Return the MD5 of the bytes, in hex."""
        digest = hashlib.md5(usedforsecurity=False)
        for block in self:
            digest.update(block)
        return digest.hexdigest()


def deposit_files(release: OutgoingRelease) -> list[DepositFile]:
    """Return a release as files without folders: each file at its top, each of its folders as one tar.

    The tars are not compressed, since their content is. They hold names and bytes only, so the same release
    gives the same tars. Unpacked next to the other files, they restore the release.
    """
    top = [DepositFile(name, [file], is_tar=False) for name, file in release.files.items() if "/" not in name]
    below = [file for name, file in release.files.items() if "/" in name]
    tars = [
        DepositFile(f"{folder}.tar", list(files), is_tar=True)
        for folder, files in groupby(below, key=lambda file: file.name.partition("/")[0])
    ]
    return [*top, *tars]


def _header(file: ReleaseFile) -> bytes:
    entry = tarfile.TarInfo(file.name)
    entry.size = file.bytes
    # GNU's format takes files over 8 GiB and long names.
    return entry.tobuf(tarfile.GNU_FORMAT)


def _padding(file: ReleaseFile) -> int:
    return -file.bytes % tarfile.BLOCKSIZE


def _content(file: ReleaseFile) -> Iterator[bytes]:
    digest = hashlib.sha256()
    with file.path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
            yield block
    if digest.hexdigest() != file.sha256:
        raise CxrbuildError("changed since it was read", where=file.path, todo="Run the command again")
