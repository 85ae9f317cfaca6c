"""Read the JPEGs of a shard, group by group."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from cxrbuild.errors import CxrbuildError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

# A group is a row group of Parquet, and reading one image means reading its row group: small groups keep
# readers and this program small.
_GROUP_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True)
class ImageGroup:
    """Consecutive images of a shard.

    Attributes
    ----------
    rows
        The manifest's rows.
    jpegs
        The bytes of their JPEGs, an Arrow array of type binary: all in one buffer.
    """

    rows: pd.DataFrame
    jpegs: pa.Array

    def views(self) -> Iterator[memoryview]:
        """Yield the bytes of each JPEG without copying them."""
        _, ends, data = self.jpegs.buffers()
        view = memoryview(data)
        for start, end in pairwise(memoryview(ends).cast("i")):
            yield view[start:end]


def row_groups(rows: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Yield the rows of a shard, row group by row group."""
    number = (rows["jpeg_bytes"].cumsum() - rows["jpeg_bytes"]) // _GROUP_BYTES
    for _, group in rows.groupby(number):
        yield group


def read_groups(rows: pd.DataFrame, build: Path) -> Iterator[ImageGroup]:
    """Yield a shard's images; a group is read while the one before it is written.

    Parameters
    ----------
    rows
        The manifest's rows of the shard.
    build
        The build's folder; ``jpeg_path`` is relative to it.

    Raises
    ------
    CxrbuildError
        A JPEG has another size than its row.
    """
    with ThreadPoolExecutor(1) as reader:
        pending: deque[Future[ImageGroup]] = deque()
        for group in row_groups(rows):
            pending.append(reader.submit(_read_group, group, build))
            if len(pending) > 1:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def _read_group(rows: pd.DataFrame, build: Path) -> ImageGroup:
    """Read the JPEGs into one buffer: an array of many bytes objects would copy each several times."""
    import numpy as np
    import pyarrow as pa

    ends = np.cumsum([0, *rows["jpeg_bytes"]], dtype=np.int32)
    buffer = pa.allocate_buffer(int(ends[-1]))
    into = memoryview(buffer)
    for path, (start, end) in zip(rows["jpeg_path"], pairwise(ends.tolist()), strict=True):
        # Buffering and `Path` together take as long as reading the file.
        with open(f"{build}/{path}", "rb", buffering=0) as stream:
            at = start
            # The operating system may return less than requested.
            while at < end and (count := stream.readinto(into[at:end])):
                at += count
            if at != end or stream.read(1):
                raise CxrbuildError(
                    "a JPEG changed while the shards were written", where=build / path,
                    expected=f"{end - start:,} bytes",
                    todo="Run the command again while no other program writes to the build",
                )  # fmt: skip
    jpegs = pa.Array.from_buffers(pa.binary(), len(rows), [None, pa.py_buffer(ends), buffer])
    return ImageGroup(rows, jpegs)
