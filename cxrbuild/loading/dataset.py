"""The images and rows of a build or release, read as they are needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cxrbuild.arguments import checked
from cxrbuild.artifact import Artifact, Build, Release, names
from cxrbuild.errors import CxrbuildError, count_of
from cxrbuild.loading.absent_image import absent_image, without_pixels
from cxrbuild.loading.jpeg_files import decode_jpeg, read_jpeg
from cxrbuild.loading.libraries import importing
from cxrbuild.loading.resizing import Resampling, require_size
from cxrbuild.loading.selection import Selection, divide_folds, require_split
from cxrbuild.loading.shard_images import ShardImages
from cxrbuild.records import SPLITS

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import tensorflow as tf
    from numpy.typing import NDArray
    from PIL.Image import Image

    from cxrbuild.loading.torch_images import TorchImages
    from cxrbuild.loading.xray_images import XrayImages


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


@dataclass(frozen=True)
class Dataset:
    """The images of a build or release, or of one of its splits.

    Rows are in the order of ``to_pandas``. Images are read when they are asked for, from the JPEGs of a build
    or the Parquet shards of a release. Iterating reads each shard once. A dataset can be pickled.

    Attributes
    ----------
    artifact
        The build or release.
    split
        The split, ``None`` for all.
    folds
        The folds, ``None`` for all.

    Examples
    --------
    >>> import cxrbuild
    >>> test = cxrbuild.load("demo/build").select("test")
    >>> image, row = test[0]
    >>> image.mode, row["label"], len(test)
    ('L', 'COVID-19', 15)
    """

    artifact: Artifact
    split: str | None = None
    folds: tuple[int, ...] | None = None

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

        A public release withholds pixels; ``to_pandas(withheld=True)`` has those rows too.
        """
        rows = self._listed
        if isinstance(self.artifact, Build):
            return rows.reset_index(drop=True)
        # In the order of the shards, so that iterating reads each shard once.
        rows = rows.set_index("image_id", drop=False)
        return rows.loc[[name for name in self._shards.places if name in rows.index]].reset_index(drop=True)

    @property
    def _listed(self) -> pd.DataFrame:
        """The rows of the manifest, with or without pixels, of the split and the folds."""
        return self._selection.rows_of(self.artifact.manifest)

    @property
    def _selection(self) -> Selection:
        return Selection(self.artifact, self.split, self.folds)

    @cached_property
    def targets(self) -> NDArray[np.int64]:
        """The number of each row's class, shape (n,)."""
        return self.rows["label"].map(self.classes.index).to_numpy("int64")

    @checked
    def to_pandas(self, split: str | None = None, *, withheld: bool = False) -> pd.DataFrame:
        """Return the rows of the dataset, or of one of its splits, as a copy.

        Parameters
        ----------
        split
            The split; ``None`` for the rows of this dataset.
        withheld
            Whether to include images whose pixels a release withholds, in the order of the manifest.

        Raises
        ------
        CxrbuildError
            The dataset has no such split.
        """
        chosen = self if split is None else self.select(split)
        return chosen._listed.reset_index(drop=True) if withheld else chosen.rows.copy()

    @checked
    def select(self, split: str) -> Dataset:
        """Return one split of the dataset.

        Raises
        ------
        CxrbuildError
            The dataset has no such split.
        """
        require_split(self.artifact, self.splits, split)
        return replace(self, split=split)

    @checked
    def fold(self, number: int) -> tuple[Dataset, Dataset]:
        """Return the images outside a fold, to train on, and those in it, to validate with.

        Select a split first: without one the images of all splits are in the folds.

        Parameters
        ----------
        number
            The fold, from 0.

        Raises
        ------
        CxrbuildError
            The dataset has no such fold.
        """
        outside, inside = divide_folds(self.artifact, number)
        return replace(self, folds=outside), replace(self, folds=inside)

    def __len__(self) -> int:
        """Return the number of images whose pixels are available."""
        return len(self.rows)

    def __getitem__(self, index: int) -> Example:
        """Return an image and its row.

        Raises
        ------
        IndexError
            There are fewer images, or the release has the pixels of none.
        """
        if not -len(self) <= index < len(self):
            why = self._lacking_pixels() or f"the dataset has {count_of(len(self), 'image')}"
            raise IndexError(f"the index {index} is out of range: {why}")
        row = self.rows.iloc[index]
        return Example(self.read_image(row["image_id"]), row)

    def __iter__(self) -> Iterator[Example]:
        """Yield each image with its row, one at a time.

        Raises
        ------
        CxrbuildError
            No image has pixels, or an image is missing or damaged.
        """
        self._require_pixels()
        for number, (data, where) in enumerate(self.iterate_bytes()):
            yield Example(decode_jpeg(data, where), self.rows.iloc[number])

    def iterate_bytes(self) -> Iterator[tuple[bytes, Path]]:
        """Yield the JPEG of each row and the file that it is from, one at a time."""
        if isinstance(self.artifact, Build):
            yield from map(self._build_bytes, self.rows["image_id"])
        else:
            for image_id, data, shard in self._shards:
                if image_id in self._numbers:
                    yield data, shard

    @checked
    def read_image(self, image_id: str) -> Image:
        """Return the pixels of an image: 8-bit, one channel.

        Raises
        ------
        CxrbuildError
            The dataset has no such image, its pixels are withheld, or its file is missing or damaged.
        """
        data, where = self._bytes(image_id)
        return decode_jpeg(data, where)

    @checked
    def read_bytes(self, image_id: str) -> bytes:
        """Return the JPEG file of an image.

        Raises
        ------
        CxrbuildError
            The dataset has no such image, its pixels are withheld, or its file is missing.
        """
        return self._bytes(image_id)[0]

    @checked
    def torch(
        self,
        split: str | None = None,
        *,
        size: int | None = None,
        resampling: Resampling = "bicubic",
        transform: Callable[[Image], Any] | None = None,
    ) -> TorchImages:
        """Return the images as a map-style dataset of PyTorch.

        An element is a pair of image and class number. The image is a float32 tensor of shape (1, height,
        width) with values from 0 to 1. The dataset can be pickled, and read by any number of workers.

        Parameters
        ----------
        split
            The split; ``None`` for the rows of this dataset.
        size
            The side of the images in pixels: each is resized to a square. ``None`` keeps the images' sizes;
            a ``DataLoader`` then needs ``batch_size=1`` or a ``collate_fn``.
        resampling
            Pillow's filter.
        transform
            Takes the resized image of Pillow and returns what is used instead of the tensor.

        Raises
        ------
        CxrbuildError
            No such split, no pixels, a size that is not valid, or PyTorch that cannot be imported.
        """
        chosen = self._chosen(split, size, resampling)
        with importing("torch"):
            from cxrbuild.loading.torch_images import TorchImages

        return TorchImages(chosen, size, resampling, transform)

    @checked
    def tensorflow(
        self, split: str | None = None, *, size: int | None = None, resampling: Resampling = "bicubic"
    ) -> tf.data.Dataset:
        """Return the images as a ``tf.data.Dataset``.

        An element is a pair of image and class number. The image is a uint8 tensor of shape (height, width,
        1). Elements are in the order of the rows.

        Parameters
        ----------
        split
            The split; ``None`` for the rows of this dataset.
        size
            The side of the images in pixels: each is resized to a square. ``None`` keeps the images' sizes.
        resampling
            Pillow's filter.

        Raises
        ------
        CxrbuildError
            No such split, no pixels, a size that is not valid, or TensorFlow that cannot be imported.
        """
        chosen = self._chosen(split, size, resampling)
        with importing("tensorflow"):
            from cxrbuild.loading.tensorflow_images import tensorflow_images

        return tensorflow_images(chosen, size, resampling)

    @checked
    def torchxrayvision(
        self,
        split: str | None = None,
        *,
        size: int | None = None,
        resampling: Resampling = "bicubic",
        transform: Callable[[NDArray[np.float32]], Any] | None = None,
    ) -> XrayImages:
        """Return the images as a dataset of TorchXRayVision, to use with its models and tools.

        An element has ``img``, a float32 array of shape (1, height, width) with values from -1024 to 1024,
        ``lab`` with 1 for the image's class and 0 for the others, and ``idx``. ``pathologies`` are the
        classes, ``csv`` the rows.

        Parameters
        ----------
        split
            The split; ``None`` for the rows of this dataset.
        size
            The side of the images in pixels: each is resized to a square. ``None`` keeps the images' sizes.
        resampling
            Pillow's filter.
        transform
            Takes and returns ``img``.

        Raises
        ------
        CxrbuildError
            No such split, no pixels, a size that is not valid, or TorchXRayVision that cannot be imported.
        """
        chosen = self._chosen(split, size, resampling)
        with importing("torchxrayvision"):
            from cxrbuild.loading.xray_images import XrayImages

        return XrayImages(chosen, size, resampling, transform)

    def to_dict(self) -> dict[str, object]:
        """Return name, version, folder, classes, what is selected, and the number of images by split.

        Images are those whose pixels are available, of the selected split and folds.
        """
        sizes = self.rows["split"].value_counts()
        chosen = self.splits if self.split is None else [self.split]
        return {
            "name": self.name,
            "version": self.version,
            "folder": str(self.artifact.folder),
            "classes": self.classes,
            "split": self.split,
            "folds": None if self.folds is None else list(self.folds),
            "images": {split: int(sizes.get(split, 0)) for split in chosen},
        }

    def __repr__(self) -> str:
        return self._selection.describe()

    def _repr_html_(self) -> str:
        return self._selection.to_html()

    def _chosen(self, split: str | None, size: int | None, resampling: str) -> Dataset:
        require_size(size, resampling)
        chosen = self if split is None else self.select(split)
        chosen._require_pixels()
        return chosen

    def _require_pixels(self) -> None:
        if error := self._lacking_pixels():
            raise error

    def _lacking_pixels(self) -> CxrbuildError | None:
        """Return the error that no image has pixels, although the dataset has images."""
        if len(self) or not isinstance(self.artifact, Release):
            return None
        rows = self._listed
        return None if rows.empty else without_pixels(self.artifact.folder, self.split, rows["withheld"])

    @cached_property
    def _shards(self) -> ShardImages:
        folder = self.artifact.folder / names.PARQUET
        splits = self.splits if self.split is None else [self.split]
        return ShardImages([path for split in splits for path in sorted(folder.glob(f"{split}-*.parquet"))])

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {name: number for number, name in enumerate(self.rows["image_id"])}

    def _bytes(self, image_id: str) -> tuple[bytes, Path]:
        if image_id not in self._numbers:
            raise absent_image(self.artifact, self.split, self.folds, image_id)
        return (
            self._build_bytes(image_id) if isinstance(self.artifact, Build) else self._shards.read(image_id)
        )

    def _build_bytes(self, image_id: str) -> tuple[bytes, Path]:
        path = self.artifact.folder / self.rows["jpeg_path"].iloc[self._numbers[image_id]]
        return read_jpeg(path), path
