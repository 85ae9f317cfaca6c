"""Read the keypoints of all images, and whiten their DCT coefficients.

Whitened coefficients are uncorrelated, so that what all chests have in common has little weight.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxrbuild.auditing.descriptors import COEFFICIENTS, MIRROR, Floats
from cxrbuild.auditing.store import DescriptorTable

Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]
Sides = NDArray[np.uint8]

_WHITENING_SAMPLE = 40_000


@dataclass(frozen=True)
class Keypoints:
    """Keypoints of all images: the whole frames, or all others.

    Attributes
    ----------
    table
        The images' descriptors.
    slots
        The numbers of the keypoints within an image.
    sides
        Where two datasets are compared: for each image 1, 2, or 3 if it is in the first, the second or both.
        An image of one is compared with images of the other only. ``None`` compares all images.
    """

    table: DescriptorTable
    slots: range
    sides: Sides | None = None

    def read(self, images: Integers | slice, slots: Integers | None = None) -> tuple[Floats, Floats]:
        """Return positions and DCT coefficients of all keypoints of images, or of one of each.

        Parameters
        ----------
        images
            The numbers of the images.
        slots
            The number of a keypoint of each image.
        """
        return self.read_positions(images, slots), self.read_coefficients(images, slots)

    def read_positions(self, images: Integers | slice, slots: Integers | None = None) -> Floats:
        """Return the positions that `read` returns; the coefficients of many images are gigabytes."""
        return self._read("keypoints", images, slots)

    def read_coefficients(self, images: Integers | slice, slots: Integers | None = None) -> Floats:
        """Return the DCT coefficients that `read` returns."""
        return self._read("dct_coefficients", images, slots)

    def _read(self, column: str, images: Integers | slice, slots: Integers | None) -> Floats:
        chosen = slice(self.slots.start, self.slots.stop) if slots is None else slots + self.slots.start
        values: Floats = self.table.read(column, images, chosen).astype(np.float32)
        return values


@dataclass(frozen=True)
class Whitening:
    """A linear map after which the DCT coefficients of keypoints are uncorrelated."""

    mean: Floats
    axes: Floats

    def apply(self, coefficients: Floats, mirrored: Flags | None = None) -> Floats:
        """Return coefficients whitened and of length 1.

        Parameters
        ----------
        coefficients
            ``(..., COEFFICIENTS)``.
        mirrored
            Which of them to mirror first; none if not given.
        """
        if mirrored is not None:
            coefficients = np.where(mirrored[..., None], coefficients * MIRROR, coefficients)
        whitened: Floats = (coefficients - self.mean) @ self.axes
        whitened /= np.maximum(np.linalg.norm(whitened, axis=-1, keepdims=True), 1e-6)
        return whitened


def fit_whitening(keypoints: Keypoints) -> Whitening:
    """Fit the whitening to a sample of keypoints and to the same keypoints mirrored.

    Parameters
    ----------
    keypoints
        All keypoints.
    """
    images = np.arange(0, len(keypoints.table), -(-len(keypoints.table) * 4 // _WHITENING_SAMPLE))
    positions, coefficients = keypoints.read(images)
    sample = coefficients[positions[..., 2] > 0]
    sample = sample[:: max(1, -(-len(sample) // _WHITENING_SAMPLE))]
    if len(sample) < 2:
        return Whitening(np.zeros(COEFFICIENTS, np.float32), np.eye(COEFFICIENTS, dtype=np.float32))
    sample = np.concatenate([sample, sample * MIRROR])
    mean = sample.mean(0)
    variances, axes = np.linalg.eigh(np.cov((sample - mean).T))
    # Part of the mean variance is added to each axis, so that no axis is only noise.
    axes = axes / np.sqrt(np.maximum(variances, 0) + 0.1 * variances.mean() + 1e-9)
    return Whitening(mean, axes.astype(np.float32))
