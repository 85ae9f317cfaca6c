"""The images of a dataset for TorchXRayVision."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from torchxrayvision.datasets import Dataset as XrayDataset
from torchxrayvision.utils import normalize

from cxrbuild.loading.resizing import Resampling, resize

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cxrbuild.loading.dataset import Dataset


class XrayImages(XrayDataset):
    """A dataset of TorchXRayVision, see `Dataset.torchxrayvision`.

    Attributes
    ----------
    pathologies
        The classes, in the order of their numbers.
    labels
        1 for the class of an image and 0 for the others, shape (n, classes), float32.
    csv
        The rows, with TorchXRayVision's columns ``patientid`` and ``view`` in addition.
    """

    def __init__(
        self,
        dataset: Dataset,
        size: int | None,
        resampling: Resampling,
        transform: Callable[[NDArray[np.float32]], Any] | None,
    ) -> None:
        super().__init__()
        self.pathologies = dataset.classes
        self.labels = np.eye(len(dataset.classes), dtype=np.float32)[dataset.targets]
        self.csv = dataset.rows.assign(
            patientid=dataset.rows["group"], view=dataset.rows["view_position"].fillna("UNKNOWN")
        )
        self.transform = transform
        self._dataset = dataset
        self._size = size
        self._resampling = resampling

    def string(self) -> str:
        """Return name, version and number of images."""
        return f"{self._dataset.name} {self._dataset.version} num_samples={len(self)}"

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return an image with its labels.

        Raises
        ------
        IndexError
            There are fewer images.
        """
        image = self._dataset.read_image(self.csv["image_id"].iloc[index])
        pixels = normalize(np.asarray(resize(image, self._size, self._resampling)), 255, reshape=True)
        return {
            "img": pixels if self.transform is None else self.transform(pixels),
            "lab": self.labels[index],
            "idx": index,
        }
