"""Read single images of a release from its Parquet shards."""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cxrbuild.errors import CxrbuildError

if TYPE_CHECKING:
    import pyarrow.parquet as pq

# Rows of a shard in memory while it is iterated over.
_BATCH = 32


class _Place(NamedTuple):
    """Where a release has an image: shard, row group, and row within the group."""

    shard: Path
    group: int
    row: int


class ShardImages:
    """The JPEGs in some shards of a release.

    The first image that is read of a row group makes this class search the row group for the place of each
    of its JPEGs, which Parquet stores whole and uncompressed. The other images are then read alone, in any
    order, through the memory map of the shard. A copy in another process opens the shards again.

    Parameters
    ----------
    shards
        The shards, in the order of the rows.
    """

    def __init__(self, shards: Sequence[Path]) -> None:
        self.shards = shards
        self._extents: dict[tuple[Path, int], list[tuple[int, int]]] = {}
        self._maps: dict[Path, mmap.mmap] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without the memory maps, which belong to this process."""
        return self.__dict__ | {"_maps": {}}

    @cached_property
    def places(self) -> dict[str, _Place]:
        """Where each image is, by image id, in the order of the shards."""
        places: dict[str, _Place] = {}
        for path in self.shards:
            with _open(path) as shard:
                for group in range(shard.num_row_groups):
                    found = shard.read_row_group(group, columns=["image_id"]).column("image_id").to_pylist()
                    places |= {name: _Place(path, group, row) for row, name in enumerate(found)}
        return places

    def read(self, image_id: str) -> tuple[bytes, Path]:
        """Return the JPEG of an image, and its shard.

        Raises
        ------
        KeyError
            The shards do not have the image.
        CxrbuildError
            The shard cannot be read.
        """
        place = self.places[image_id]
        key = place.shard, place.group
        if key not in self._extents:
            self._extents[key] = self._find_extents(place.shard, place.group)
        start, length = self._extents[key][place.row]
        return self._map(place.shard)[start : start + length], place.shard

    def __iter__(self) -> Iterator[tuple[str, bytes, Path]]:
        """Yield the id of each image, its JPEG and its shard, reading each shard once."""
        for path in self.shards:
            with _open(path) as shard:
                for batch in shard.iter_batches(_BATCH, columns=["image_id", "image.bytes"]):
                    for entry in batch.to_pylist():
                        yield entry["image_id"], entry["image"]["bytes"], path

    def _map(self, path: Path) -> mmap.mmap:
        if path not in self._maps:
            with path.open("rb") as stream:
                self._maps[path] = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        return self._maps[path]

    def _find_extents(self, path: Path, group: int) -> list[tuple[int, int]]:
        """Return the offset and length of each JPEG of a row group within its shard."""
        with _open(path) as shard:
            described = shard.metadata.row_group(group)
            columns = [described.column(i) for i in range(described.num_columns)]
            position = next(c.data_page_offset for c in columns if c.path_in_schema == "image.bytes")
            images = shard.read_row_group(group, columns=["image.bytes"]).column("image").to_pylist()
        mapped, extents = self._map(path), []
        for image in images:
            start = mapped.find(image["bytes"], position)
            if start < 0:
                raise CxrbuildError(
                    "the shard's images are compressed", where=path,
                    expected="uncompressed images, as `cxrbuild release` writes them",
                    todo="Load the release itself, not a copy that another program wrote",
                )  # fmt: skip
            position = start + len(image["bytes"])
            extents.append((start, len(image["bytes"])))
        return extents


@contextmanager
def _open(path: Path) -> Iterator[pq.ParquetFile]:
    """Open a shard; that it is damaged may show only when a row group is read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, memory_map=True) as shard:
            yield shard
    except (pa.ArrowException, OSError) as error:
        raise CxrbuildError(
            "the shard cannot be read", where=path, found=str(error).split("\n", 1)[0],
            todo="Check the folder with `cxrbuild verify`",
        ) from error  # fmt: skip
