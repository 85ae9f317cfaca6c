"""The regions of an image that attribution is shared between: the lungs, the border, and the rest."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
# The border is an eighth of each side wide, as in the audit's probe of the border.
_BORDER = 8


def border_mask(side: int) -> Mask:
    """Return which pixels are within an eighth of the side from an edge, shape (side, side)."""
    mask = np.ones((side, side), bool)
    width = max(side // _BORDER, 1)
    mask[width:-width, width:-width] = False
    return mask


def share_out(maps: NDArray[np.floating], lungs: Mask | None, border: Mask) -> NDArray[np.float32]:
    """Return the shares of maps in the lungs, in the border outside the lungs, and elsewhere.

    Parameters
    ----------
    maps
        Not negative, shape (n, side, side).
    lungs
        Shape (n, side, side) or (side, side), ``None`` where the lungs are not known.
    border
        Shape (side, side).

    Returns
    -------
    numpy.ndarray
        Shape (n, 3). A row adds up to 1. The lungs are ``nan`` where they are not known, and the row of a map
        that is 0 everywhere is ``nan``.
    """
    inside = np.zeros(maps.shape, bool) if lungs is None else np.broadcast_to(lungs, maps.shape)
    values = maps.astype(np.float64)
    parts = [inside, border & ~inside, ~border & ~inside]
    sums = np.stack([np.where(part, values, 0).sum(axis=(1, 2)) for part in parts], axis=1)
    with np.errstate(invalid="ignore"):  # 0 / 0 is nan
        shares = sums / sums.sum(axis=1, keepdims=True)
    if lungs is None:
        shares[:, 0] = np.nan
    return np.asarray(shares, np.float32)
