"""What a film looks like in few numbers: windows around points that survive resizing, cutting and encoding.

A film is looked at in four sizes. Each has its local mean and contrast taken out, so that brightness and
contrast no longer matter. Where the difference of two blurs has an extremum, a window is cut out and its
lowest cosines are kept. Another copy of the film has its extrema at the same places of the patient, whatever
was cut off around them. The whole frame is one more window: it also finds films squeezed into a square.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cxrbuild.convert import read_image

if TYPE_CHECKING:
    from PIL.Image import Image

Floats = NDArray[np.floating[Any]]

SIDE, GREY = 128, 32
# The side of the whole frame as the probes see it, and the steps of their histogram.
FRAME, STEPS = 32, 64
_SIZES = (96, 77, 61, 49, 39, 31)
_POINTS = 10
# Odd, so that a mirrored window has the same middle.
_WINDOW = 17
_COSINES = 6
# Grey levels within which a row or column counts as of one grey; JPEG rings a little beside an edge.
_FLAT = 16
WIDTH = _COSINES * _COSINES - 1
# Cosines that are odd from left to right: a mirrored window has them with the other sign.
MIRROR = np.where(np.arange(1, WIDTH + 1) % _COSINES % 2, -1, 1).astype(np.float32)


@dataclass(frozen=True)
class Film:
    """A film in few numbers.

    Attributes
    ----------
    thumbnail
        The film squeezed into a square and flattened, ``(SIDE, SIDE)``, in steps of 1 / GREY.
    windows
        For each window its centre and half its sides as shares of the frame's width and height:
        ``(n, 4)``: x, y, half width, half height. The first is the whole frame.
    cosines
        For each window its lowest cosines, of length 1: ``(n, WIDTH)``.
    frame
        The film squeezed into a square as it is, margins and all, ``(FRAME, FRAME)``.
    histogram
        The share of its pixels in each of ``STEPS`` steps of grey.
    encoder
        What the file tells beside its pixels: width, height, width to height, bytes a pixel, the sum and the
        first of its quantisation table, whether it is progressive, dots an inch: ``(8,)``.
    """

    thumbnail: NDArray[np.int8]
    windows: Floats
    cosines: Floats
    frame: NDArray[np.uint8]
    histogram: NDArray[np.float32]
    encoder: NDArray[np.float32]


def read_film(data: bytes) -> Film:
    """Read a JPEG of a build in few numbers.

    Raises
    ------
    OSError, NotConvertible
        The bytes are no image.
    """
    from PIL import Image

    with Image.open(io.BytesIO(data)) as image:
        encoder = _encoder(image, len(data))
    # The decoder can halve at once; twice the size is left, so that the mean still sees all pixels.
    return describe(read_image(data, min_side=2 * SIDE), encoder)


def _encoder(image: Image, size: int) -> NDArray[np.float32]:
    """Return what a JPEG tells beside its pixels."""
    (width, height), table = image.size, getattr(image, "quantization", {}).get(0) or [0]
    progressive, dots = "progressive" in image.info, image.info.get("dpi", (0, 0))[0]
    facts = width, height, width / height, size / (width * height), sum(table), table[0], progressive, dots
    return np.asarray(facts, np.float32)


def trimmed(image: Image) -> Image:
    """Return a film without margins of one grey, at most a third of it on each side."""
    grey = np.asarray(image)
    rows, columns = (np.ptp(grey, axis=axis) > _FLAT for axis in (1, 0))
    (top, bottom), (left, right) = _between(rows), _between(columns)
    return image.crop((left, top, right, bottom))


def _between(lively: NDArray[np.bool_]) -> tuple[int, int]:
    third = len(lively) // 3
    first = int(lively[:third].argmax()) if lively[:third].any() else third
    last = int(lively[::-1][:third].argmax()) if lively[::-1][:third].any() else third
    return first, len(lively) - last


def describe(whole_frame: Image, encoder: NDArray[np.float32]) -> Film:
    """Return a film in few numbers.

    Parameters
    ----------
    whole_frame
        The film, 8 bits, one channel.
    encoder
        What its file tells beside its pixels.
    """
    from PIL.Image import Resampling

    frame = np.asarray(whole_frame.resize((FRAME, FRAME), Resampling.BOX))
    counts = np.asarray(whole_frame.histogram(), np.float32).reshape(STEPS, -1).sum(1)
    image = trimmed(whole_frame)
    square = flattened(np.asarray(image.resize((SIDE, SIDE), Resampling.BOX), np.float32), 10)
    thumbnail = np.clip(np.rint(square * GREY), -127, 127).astype(np.int8)
    small = image.resize((_WINDOW * 3, _WINDOW * 3), Resampling.BOX)
    whole = flattened(np.asarray(small, np.float32), 8)
    whole = whole.reshape(_WINDOW, 3, _WINDOW, 3).mean((1, 3))
    windows = [np.full((1, 4), 0.5, np.float32)]
    patches = [whole[None]]
    for size in _SIZES:
        width, height = (max(_WINDOW + 3, round(size * n / max(image.size))) for n in image.size)
        film = flattened(np.asarray(image.resize((width, height), Resampling.BOX), np.float32), 6)
        fine = blurred(film, 1.5)
        x, y = _extrema(fine - blurred(film, 3.0))
        patches.append(_cut(blurred(film, 0.7), x, y))
        half = _WINDOW / 2
        windows.append(
            np.stack(
                [
                    (x + 0.5) / width,
                    (y + 0.5) / height,
                    np.full_like(x, half) / width,
                    np.full_like(x, half) / height,
                ],
                1,
            ).astype(np.float32)
        )
    basis = _cosines()
    found = np.concatenate(patches)
    cosines = (basis @ found @ basis.T).reshape(len(found), -1)[:, 1:]
    length = np.linalg.norm(cosines, axis=1, keepdims=True)
    return Film(
        thumbnail,
        np.concatenate(windows),
        (cosines / np.maximum(length, 1e-6)).astype(np.float32),
        frame,
        counts / counts.sum(),
        encoder,
    )


def flattened(film: Floats, sigma: float) -> Floats:
    """Return a film with its local mean taken out and its local contrast made the same everywhere."""
    film = film - blurred(film, sigma)
    # Three grey levels of noise count as no contrast.
    flat: Floats = film / np.sqrt(blurred(film * film, sigma) + 9)
    return flat


def blurred(film: Floats, sigma: float) -> Floats:
    """Return a film blurred by a Gaussian; at the borders by the part of it that lies within."""
    height, width = film.shape
    blur: Floats = _gaussian(height, sigma) @ film @ _gaussian(width, sigma).T
    return blur


@lru_cache(maxsize=512)
def _gaussian(n: int, sigma: float) -> Floats:
    x = np.arange(n)
    weights = np.exp(-((x[:, None] - x) ** 2) / (2 * sigma * sigma))
    # Numbers below float32's normal range would make the products twenty times as slow.
    weights[weights < 1e-12] = 0
    weights /= weights.sum(1, keepdims=True)
    return weights.astype(np.float32)


@lru_cache(maxsize=1)
def _cosines() -> Floats:
    x = (np.arange(_WINDOW) + 0.5) / _WINDOW
    waves: Floats = np.cos(np.pi * np.arange(_COSINES)[:, None] * x).astype(np.float32)
    return waves


def _extrema(response: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return x and y of the strongest extrema whose window lies within the frame."""
    half = _WINDOW // 2
    strength = np.abs(response)
    inner = strength[half:-half, half:-half]
    peak = np.ones(inner.shape, bool)
    height, width = strength.shape
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            if dx or dy:
                peak &= inner >= strength[half + dy : height - half + dy, half + dx : width - half + dx]
    y, x = np.nonzero(peak)
    strongest = np.argsort(-inner[y, x], kind="stable")[:_POINTS]
    return x[strongest] + half, y[strongest] + half


def _cut(film: Floats, x: NDArray[np.intp], y: NDArray[np.intp]) -> Floats:
    step = np.arange(_WINDOW) - _WINDOW // 2
    windows: Floats = film[y[:, None, None] + step[:, None], x[:, None, None] + step]
    return windows
