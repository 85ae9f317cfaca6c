"""The images and rows of a build or release, read as they are needed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cxrbuild.artifact import Artifact, Build, names, open_artifact
from cxrbuild.errors import CxrbuildError, name_some
from cxrbuild.records import SPLITS

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow.parquet as pq
    from PIL.Image import Image

# Rows of a Parquet shard in memory while a release is iterated over.
_BATCH = 32


class Example(NamedTuple):
    """An image of a dataset.

    Attributes
    ----------
    image
        8-bit, one channel (Pillow's mode ``L``).
    row
        The image's row of the manifest, with ``label`` and ``split``.
    """

    image: Image
    row: pd.Series


class _Place(NamedTuple):
    """Where a release has an image: shard, row group, and row within the group."""

    shard: Path
    group: int
    row: int


@dataclass(frozen=True)
class Dataset:
    """The images of a build or release, or of one of its splits.

    Rows are in the order of ``to_pandas``. Images are read when they are asked for: of a build the JPEG, of a
    release one row group of a Parquet shard. Iterating reads each shard once.

    Attributes
    ----------
    artifact
        The build or release.
    split
        The split, ``None`` for all.
    """

    artifact: Artifact
    split: str | None = None
    _open_groups: dict[Path, tuple[int, list[bytes]]] = field(default_factory=dict, repr=False, compare=False)

    @property
    def name(self) -> str:
        """The dataset's name."""
        return self.artifact.name

    @property
    def version(self) -> str:
        """The dataset's version."""
        return self.artifact.version

    @property
    def classes(self) -> list[str]:
        """The classes, in the order of their numbers."""
        return self.artifact.classes

    @property
    def splits(self) -> list[str]:
        """The splits that the dataset has, in the order train, validation, test."""
        found = set(self.artifact.manifest["split"])
        return [split for split in SPLITS if split in found]

    @cached_property
    def rows(self) -> pd.DataFrame:
        """The rows of the manifest whose pixels are available, in the order of the dataset.

        A public release withholds pixels; ``artifact.manifest`` has those rows too.
        """
        rows = self.artifact.manifest
        if self.split is not None:
            rows = rows[rows["split"] == self.split]
        if isinstance(self.artifact, Build):
            return rows.reset_index(drop=True)
        # In the order of the shards, so that iterating reads each shard once.
        return rows.set_index("image_id", drop=False).loc[list(self._places)].reset_index(drop=True)

    def to_pandas(self, split: str | None = None) -> pd.DataFrame:
        """Return the rows of the dataset, or of one of its splits, as a copy.

        Raises
        ------
        CxrbuildError
            The dataset has no such split.
        """
        return (self if split is None else self.select(split)).rows.copy()

    def select(self, split: str) -> Dataset:
        """Return one split of the dataset.

        Raises
        ------
        CxrbuildError
            The dataset has no such split.
        """
        if split not in self.splits:
            raise CxrbuildError(
                f"the dataset has no split {split!r}", where=self.artifact.folder,
                expected=f"one of {', '.join(self.splits)}",
            )  # fmt: skip
        return replace(self, split=split)

    def __len__(self) -> int:
        """Return the number of images whose pixels are available."""
        return len(self.rows)

    def __getitem__(self, index: int) -> Example:
        """Return an image and its row.

        Raises
        ------
        IndexError
            There are fewer images.
        """
        row = self.rows.iloc[index]
        return Example(self.read_image(row["image_id"]), row)

    def __iter__(self) -> Iterator[Example]:
        """Yield each image with its row, one at a time."""
        if isinstance(self.artifact, Build):
            yield from (self[i] for i in range(len(self)))
            return
        for path in self._shards:
            with _open(path) as shard:
                for batch in shard.iter_batches(_BATCH, columns=["image_id", "image"]):
                    for entry in batch.to_pylist():
                        row = self.rows.iloc[self._numbers[entry["image_id"]]]
                        yield Example(_decode(entry["image"]["bytes"], path), row)

    def read_image(self, image_id: str) -> Image:
        """Return the pixels of an image: 8-bit, one channel.

        Raises
        ------
        CxrbuildError
            The dataset has no such image, its pixels are withheld, or its file is missing or damaged.
        """
        data, where = self._bytes(image_id)
        return _decode(data, where)

    def read_bytes(self, image_id: str) -> bytes:
        """Return the JPEG file of an image.

        Raises
        ------
        CxrbuildError
            The dataset has no such image, its pixels are withheld, or its file is missing.
        """
        return self._bytes(image_id)[0]

    def to_dict(self) -> dict[str, object]:
        """Return name, version, folder, classes and the number of images by split."""
        sizes = self.rows["split"].value_counts()
        return {
            "name": self.name,
            "version": self.version,
            "folder": str(self.artifact.folder),
            "classes": self.classes,
            "images": {split: int(sizes.get(split, 0)) for split in self.splits},
        }

    def _repr_html_(self) -> str:
        return self.artifact._repr_html_()

    @property
    def _shards(self) -> list[Path]:
        folder = self.artifact.folder / names.PARQUET
        splits = self.splits if self.split is None else [self.split]
        return [path for split in splits for path in sorted(folder.glob(f"{split}-*.parquet"))]

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {name: number for number, name in enumerate(self.rows["image_id"])}

    @cached_property
    def _places(self) -> dict[str, _Place]:
        places: dict[str, _Place] = {}
        for path in self._shards:
            with _open(path) as shard:
                for group in range(shard.num_row_groups):
                    found = shard.read_row_group(group, columns=["image_id"]).column("image_id").to_pylist()
                    places |= {name: _Place(path, group, row) for row, name in enumerate(found)}
        return places

    def _bytes(self, image_id: str) -> tuple[bytes, Path]:
        if isinstance(self.artifact, Build):
            return self._build_bytes(image_id)
        place = self._places.get(image_id)
        if place is None:
            raise self._absent(image_id)
        opened = self._open_groups.get(place.shard)
        if opened is None or opened[0] != place.group:
            with _open(place.shard) as shard:
                images = shard.read_row_group(place.group, columns=["image"]).column("image")
            opened = place.group, [image["bytes"] for image in images.to_pylist()]
            # One row group is kept, so that neighbours are read once and memory stays bounded.
            self._open_groups.clear()
            self._open_groups[place.shard] = opened
        return opened[1][place.row], place.shard

    def _build_bytes(self, image_id: str) -> tuple[bytes, Path]:
        if image_id not in self._numbers:
            raise self._absent(image_id)
        path = self.artifact.folder / self.rows["jpeg_path"].iloc[self._numbers[image_id]]
        try:
            return path.read_bytes(), path
        except FileNotFoundError:
            raise CxrbuildError(
                "the image is missing from the build", where=path,
                todo="Run `cxrbuild curate` again: it converts what is missing",
            ) from None  # fmt: skip

    def _absent(self, image_id: str) -> CxrbuildError:
        manifest = self.artifact.manifest
        row = manifest[manifest["image_id"] == image_id]
        if row.empty:
            known = name_some(manifest["image_id"], 3)
            return CxrbuildError(f"the dataset has no image {image_id!r}", expected=f"one of {known}")
        if self.split is not None and row["split"].iloc[0] != self.split:
            return CxrbuildError(f"the image {image_id} is in the split {row['split'].iloc[0]}")
        return CxrbuildError(
            f"the release withholds the pixels of {image_id}", where=self.artifact.folder,
            found=row["withheld"].iloc[0], todo="Build the dataset with `cxrbuild curate` to have them",
        )  # fmt: skip


def load(path: str | Path) -> Dataset:
    """Open a build or a release as a dataset.

    Nothing but ``build.json`` is read until rows or images are asked for.

    Parameters
    ----------
    path
        The folder of a build or release.

    Raises
    ------
    CxrbuildError
        The folder holds neither a build nor a release.
    """
    return Dataset(open_artifact(Path(path)))


def _open(path: Path) -> pq.ParquetFile:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path, memory_map=True)
    except (pa.ArrowException, OSError) as error:
        raise CxrbuildError(
            "the shard cannot be read",
            where=path,
            found=error,
            todo="Check the folder with `cxrbuild verify`",
        ) from error


def _decode(data: bytes, where: Path) -> Image:
    import PIL.Image

    try:
        image = PIL.Image.open(BytesIO(data))
        image.load()
    except (OSError, SyntaxError, ValueError) as error:
        raise CxrbuildError(
            "the image cannot be decoded", where=where, found=error,
            todo="Check the folder with `cxrbuild verify`",
        ) from error  # fmt: skip
    return image
