"""Read the images and rows of a build or release, alone or with PyTorch, TensorFlow or TorchXRayVision."""

from cxrbuild.loading.dataset import Dataset, Example
from cxrbuild.loading.opening import load
from cxrbuild.loading.resizing import RESAMPLINGS, Resampling, require_size, resize

__all__ = ["RESAMPLINGS", "Dataset", "Example", "Resampling", "load", "require_size", "resize"]
