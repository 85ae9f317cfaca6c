"""The images of a dataset for PyTorch. Only this module and `xray_images` import torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import from_numpy
from torch.utils.data import Dataset as TorchDataset

from cxrbuild.loading.resizing import Resampling, resize

if TYPE_CHECKING:
    from PIL.Image import Image

    from cxrbuild.loading.dataset import Dataset


class TorchImages(TorchDataset):
    """A map-style dataset of pairs of image and class number, see `Dataset.torch`.

    Attributes
    ----------
    dataset
        The dataset; ``dataset.rows`` has the row of each element.
    classes
        The classes, in the order of their numbers.
    class_to_idx
        The number of each class, as in torchvision.
    targets
        The class number of each element, shape (n,).
    transform
        Takes an image of Pillow; ``None`` makes it a tensor.
    """

    def __init__(
        self,
        dataset: Dataset,
        size: int | None,
        resampling: Resampling,
        transform: Callable[[Image], Any] | None,
    ) -> None:
        self.dataset = dataset
        self.classes = dataset.classes
        self.class_to_idx = {name: number for number, name in enumerate(dataset.classes)}
        self.targets = dataset.targets
        self.transform = transform
        self._size = size
        self._resampling = resampling
        self._ids = dataset.rows["image_id"].to_numpy()

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._ids)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        """Return an image and the number of its class.

        Raises
        ------
        IndexError
            There are fewer images.
        """
        image = resize(self.dataset.read_image(self._ids[index]), self._size, self._resampling)
        if self.transform is not None:
            return self.transform(image), int(self.targets[index])
        return from_numpy(np.asarray(image, np.float32)[None] / 255), int(self.targets[index])
