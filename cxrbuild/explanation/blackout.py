"""Blackout tests: what a model predicts from parts of the images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cxrbuild.explanation.regions import Mask

Grey = NDArray[np.uint8]


def black_out_lungs(grey: Grey, lungs: Mask) -> dict[str, Grey]:
    """Return images without their lungs, in two ways, and with nothing but their lungs, by the test's name.

    Parameters
    ----------
    grey
        Shape (n, side, side).
    lungs
        Shape (n, side, side) or (side, side).
    """
    black = np.uint8(0)
    outside = np.broadcast_to(~lungs, grey.shape)
    # Lungs that cover the whole image become black.
    area = np.maximum(outside.sum(axis=(1, 2), keepdims=True), 1)
    mean = np.where(outside, grey, black).sum(axis=(1, 2), keepdims=True) / area
    return {
        "without_lungs": np.where(lungs, black, grey),
        "grey_lungs": np.where(lungs, mean.round().astype(np.uint8), grey),
        "only_lungs": np.where(lungs, grey, black),
    }


def black_out_inside(grey: Grey, border: Mask) -> Grey:
    """Return images with nothing but their border.

    Parameters
    ----------
    grey
        Shape (n, side, side).
    border
        Shape (side, side).
    """
    return np.where(border, grey, np.uint8(0))


def mean_greys(grey: Grey) -> Grey:
    """Return the mean grey of each image, shape (n,)."""
    return np.asarray(grey.mean(axis=(1, 2)).round(), np.uint8)


class MeanImage:
    """The mean image of all classes, each class with the same weight, so that it shows none of them.

    Parameters
    ----------
    classes
        Number of classes.
    side
        Side in pixels.
    """

    def __init__(self, classes: int, side: int) -> None:
        self._sums = np.zeros((classes, side, side), np.int64)
        self._counts = np.zeros(classes, np.int64)

    def add(self, grey: Grey, labels: NDArray[np.integer]) -> None:
        """Add images of shape (n, side, side) with their class numbers."""
        for number in np.unique(labels):
            of_class = grey[labels == number]
            self._sums[number] += of_class.sum(axis=0, dtype=np.int64)
            self._counts[number] += len(of_class)

    def image(self) -> Grey:
        """Return the mean image, shape (side, side)."""
        there = self._counts > 0
        means = self._sums[there] / self._counts[there, np.newaxis, np.newaxis]
        return np.asarray(means.mean(axis=0).round(), np.uint8)
