"""Find the keypoints of two images that agree: similar, and where a transform maps the one to the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from cxrbuild.auditing.descriptors import Floats
from cxrbuild.auditing.keypoints import Flags, Integers, Keypoints, Whitening

SIZE_BIN = 0.4
"""The most by which the sizes of patches that agree differ, as log 2."""

# The cosine similarity that is needed of keypoints that agree.
_SIMILAR = 0.87
# Coefficients of so many images are in memory at once.
_IMAGES_AT_ONCE = 256


@dataclass(frozen=True)
class Agreement:
    """The keypoints that agree of some pairs of images.

    Attributes
    ----------
    here, there
        The keypoints of both images, see `ImageDescriptors`: ``(n, keypoints, 4)``. Those of the second image
        are mirrored where it is.
    in_a, in_b
        Which keypoints of the first and of the second image have one in the other that agrees:
        ``(n, keypoints)``.
    """

    here: Floats
    there: Floats
    in_a: Flags
    in_b: Flags


def find_agreeing(
    keypoints: Keypoints,
    whitening: Whitening,
    a: Integers,
    b: Integers,
    mirrored: Flags,
    transforms: Floats,
    *,
    distance: float,
) -> Iterator[Agreement]:
    """Yield the keypoints that agree, for some pairs of images at a time, in order.

    Parameters
    ----------
    keypoints
        The keypoints of all images.
    whitening
        The whitening of their coefficients.
    a, b, mirrored, transforms
        The pairs, see `Candidates`.
    distance
        The distance, in shares of the frame, within which a keypoint is at the position of another.
    """
    for start in range(0, len(a), _IMAGES_AT_ONCE):
        batch = slice(start, start + _IMAGES_AT_ONCE)
        (here, of_a), (there, of_b) = keypoints.read(a[batch]), keypoints.read(b[batch])
        there[mirrored[batch], :, 0] = 1 - there[mirrored[batch], :, 0]
        of_a, of_b = whitening.apply(of_a), whitening.apply(of_b, mirrored[batch, None])
        similar = of_a @ of_b.swapaxes(1, 2) > _SIMILAR
        similar &= (here[:, :, None, 2] > 0) & (there[:, None, :, 2] > 0)
        pair, slot_a, slot_b = np.nonzero(similar)
        at_a, at_b, transform = here[pair, slot_a], there[pair, slot_b], transforms[batch][pair]
        away = np.abs(at_a[:, :2] * transform[:, :2] + transform[:, 2:] - at_b[:, :2])
        size = np.abs(np.log2(at_a[:, 2] * transform[:, 0] / at_b[:, 2]))
        hit = (away < distance).all(1) & (size < SIZE_BIN)
        in_a, in_b = np.zeros(similar.shape[:2], bool), np.zeros(similar.shape[::2], bool)
        in_a[pair[hit], slot_a[hit]] = True
        in_b[pair[hit], slot_b[hit]] = True
        yield Agreement(here, there, in_a, in_b)
