"""What worker processes do with pairs of images; each worker imports this module and little else."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cxrbuild.auditing.registration import Registration, register
from cxrbuild.convert import NotConvertible, read_image


@dataclass(frozen=True, eq=False)
class PairJob:
    """A pair of images to register.

    Attributes
    ----------
    pair
        The numbers of the images.
    is_first
        Whether this is the first transform of the pair.
    mirrored
        Whether the second image is mirrored.
    thumbnails
        The thumbnails of both, the second one mirrored if it is to be.
    transform
        The transform to begin with, ``(2, 3)``.
    """

    pair: tuple[int, int]
    is_first: bool
    mirrored: bool
    thumbnails: tuple[NDArray[np.int8], NDArray[np.int8]]
    transform: NDArray[np.float32]


def register_pairs(jobs: tuple[PairJob, ...]) -> list[Registration]:
    """Register the pairs of a batch."""
    return [register(*job.thumbnails, job.transform) for job in jobs]


def hash_images(images: tuple[tuple[int, Path], ...]) -> list[str | None]:
    """Return a hash of the pixels of each numbered image of a batch; ``None`` if it cannot be read."""
    return [_hash_pixels(path) for _, path in images]


def _hash_pixels(path: Path) -> str | None:
    try:
        image = read_image(path)
    except (OSError, NotConvertible):
        return None
    return hashlib.sha256(repr(image.size).encode() + image.tobytes()).hexdigest()
