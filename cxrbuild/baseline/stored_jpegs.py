"""The JPEGs within shards: where each is, so that one is read when it is needed, and none is held."""

from __future__ import annotations

import tempfile
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    import pyarrow.parquet as pq

# What a file has between two values of a column: the length of the next one, or the header of a page.
_BETWEEN = 1 << 12


class StoredJpegs:
    """JPEGs in files, each by its file, offset and length, in the order in which they were added.

    Those of a compressed shard are nowhere in its file: they are copied to a temporary file, which ends with
    this object.
    """

    def __init__(self) -> None:
        self._places: list[tuple[Path | None, int, int]] = []
        self._copied: IO[bytes] | None = None
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._places)

    def read(self, number: int) -> bytes:
        """Return a JPEG by its number; empty where an image has none."""
        path, start, length = self._places[number]
        if path is not None:
            with path.open("rb") as stream:
                stream.seek(start)
                return stream.read(length)
        if self._copied is None or not length:
            return b""
        with self._lock:
            self._copied.seek(start)
            return self._copied.read(length)

    def add(self, path: Path, start: int, length: int) -> None:
        """Add the JPEG at some bytes of a file."""
        self._places.append((path, start, length))

    def add_shard(self, path: Path, shard: pq.ParquetFile) -> None:
        """Add the JPEGs of a Parquet shard, one row group after another."""
        for group in range(shard.num_row_groups):
            described = shard.metadata.row_group(group)
            columns = [described.column(number) for number in range(described.num_columns)]
            position = next(one.data_page_offset for one in columns if one.path_in_schema == "image.bytes")
            with path.open("rb") as stream:
                for image in _iterate(shard, group):
                    start = _find(stream, image, position) if image else -1
                    if start < 0:
                        self._copy(image)
                    else:
                        self.add(path, start, len(image))
                        position = start + len(image)

    def _copy(self, jpeg: bytes) -> None:
        if jpeg and self._copied is None:
            self._copied = tempfile.TemporaryFile()  # noqa: SIM115 it is open as long as this object
            weakref.finalize(self, self._copied.close)
        start = 0
        if jpeg and self._copied is not None:
            start = self._copied.seek(0, 2)
            self._copied.write(jpeg)
        self._places.append((None, start, len(jpeg)))


def _iterate(shard: pq.ParquetFile, group: int) -> Iterator[bytes]:
    """Yield the JPEGs of a row group, a few at a time."""
    for batch in shard.iter_batches(32, row_groups=[group], columns=["image.bytes"]):
        for value in batch.column("image").field("bytes"):
            yield value.as_py() or b""


def _find(stream: BinaryIO, jpeg: bytes, position: int) -> int:
    """Return where a JPEG is in a file, soon after a position; -1 if it is not there."""
    stream.seek(position)
    found = stream.read(len(jpeg) + _BETWEEN).find(jpeg)
    return found if found < 0 else position + found
