"""Write a file and hash it in one pass."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from cxrbuild.artifact.build import FileEntry
from cxrbuild.files import replacing


class HashedFile:
    """A file that is written from its start to its end; pyarrow writes to it too.

    Parameters
    ----------
    path
        The file.
    """

    def __init__(self, path: Path) -> None:
        self._stream = path.open("wb")
        self._digest = hashlib.sha256()
        self._bytes = 0

    @property
    def closed(self) -> bool:
        """Whether the file is closed."""
        return self._stream.closed

    def write(self, data: bytes | memoryview) -> int:
        """Write bytes."""
        self._digest.update(data)
        written = self._stream.write(data)
        self._bytes += written
        return written

    def tell(self) -> int:
        """Return the number of bytes written."""
        return self._bytes

    def flush(self) -> None:
        """Give what is buffered to the operating system."""
        self._stream.flush()

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def entry(self) -> FileEntry:
        """Return the size and the hash of what was written."""
        return FileEntry(bytes=self._bytes, sha256=self._digest.hexdigest())

    def __enter__(self) -> HashedFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@contextmanager
def hashing(path: Path) -> Iterator[HashedFile]:
    """Write a file completely or not at all, and hash it in the same pass."""
    with replacing(path) as temporary, HashedFile(temporary) as file:
        yield file
