"""Read the images and rows of a build or release, alone or with PyTorch, TensorFlow or TorchXRayVision."""

from cxrbuild.loading.absent_pixels import MissingPixelsWarning
from cxrbuild.loading.dataset import Dataset, Example
from cxrbuild.loading.opening import load, open_dataset
from cxrbuild.loading.resizing import RESAMPLINGS, Resampling, require_size, resize

__all__ = [
    "RESAMPLINGS",
    "Dataset",
    "Example",
    "MissingPixelsWarning",
    "Resampling",
    "load",
    "open_dataset",
    "require_size",
    "resize",
]
