"""Compute the descriptors of an image: keypoints with DCT coefficients, a thumbnail, a histogram.

Keypoints are extrema of a difference of Gaussians at six scales of the image. Local mean and contrast are
normalized first, so that brightness and contrast have no influence. The patch around each keypoint is
described by its lowest DCT coefficients. A copy of the image has the same keypoints in the patient, even
where it was cropped. The whole frame is one more patch: it matches images that were scaled in one direction.
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

# Counts changes of what follows. Descriptors of another version are computed again.
VERSION = 1

THUMBNAIL_SIDE, THUMBNAIL_STEPS = 128, 32
# The side of the frame that the probes see, and the bins of their histogram.
FRAME_SIDE, HISTOGRAM_BINS = 32, 64
# The first values of `ImageDescriptors.encoder` are of the image's size, the others of the file's settings.
SIZES = 3
# The longer side of the image at each scale, in pixels, and the keypoints of each scale.
_SCALES = (96, 77, 61, 49, 39, 31)
_KEYPOINTS = 10
# Odd, so that a mirrored patch has the same centre.
_PATCH = 17
_FREQUENCIES = 6
# The range of grey levels within which a row or column counts as a margin. JPEG adds ringing next to an edge.
_MARGIN_RANGE = 16
# Variance of three grey levels of noise: a patch with less has no contrast.
_NOISE_VARIANCE = 9
# The whole frame is one more.
MOST_KEYPOINTS = 1 + len(_SCALES) * _KEYPOINTS
COEFFICIENTS = _FREQUENCIES * _FREQUENCIES - 1
# The sign of each coefficient of the mirrored patch: it changes where the horizontal frequency is odd.
MIRROR = np.where(np.arange(1, COEFFICIENTS + 1) % _FREQUENCIES % 2, -1, 1).astype(np.float32)


@dataclass(frozen=True)
class ImageDescriptors:
    """What the audit computes from an image.

    Attributes
    ----------
    thumbnail
        The image without margins, resized to a square and normalized, ``(THUMBNAIL_SIDE, THUMBNAIL_SIDE)``,
        in steps of 1 / THUMBNAIL_STEPS.
    keypoints
        For each keypoint the centre and the half sides of its patch, as shares of width and height:
        ``(n, 4)``: x, y, half width, half height. The first is the whole frame.
    dct_coefficients
        For each keypoint the lowest DCT coefficients of its patch, of length 1: ``(n, COEFFICIENTS)``.
    frame
        The image with its margins, resized to a square, ``(FRAME_SIDE, FRAME_SIDE)``.
    histogram
        The share of pixels in each of ``HISTOGRAM_BINS`` bins of grey levels.
    encoder
        Properties of the file: width, height, aspect ratio, bytes per pixel, sum and first value of the
        quantization table, 1 where it is progressive, dots per inch: ``(8,)``.
    """

    thumbnail: NDArray[np.int8]
    keypoints: NDArray[np.float16]
    dct_coefficients: NDArray[np.float16]
    frame: NDArray[np.uint8]
    histogram: NDArray[np.float32]
    encoder: NDArray[np.float32]


def read_descriptors(data: bytes) -> ImageDescriptors:
    """Read a JPEG of a build, and compute its descriptors.

    Parameters
    ----------
    data
        The bytes of the file.

    Raises
    ------
    OSError, NotConvertible
        The bytes are not an image that can be read.
    """
    from PIL import Image

    # The decoder can halve at once; twice the size remains, so that the mean still includes all pixels.
    image = read_image(data, min_side=2 * THUMBNAIL_SIDE)
    with Image.open(io.BytesIO(data)) as opened:
        encoder = _read_encoder(opened, len(data))
    return compute_descriptors(image, encoder)


def _read_encoder(image: Image, size: int) -> NDArray[np.float32]:
    (width, height), table = image.size, getattr(image, "quantization", {}).get(0) or [0]
    progressive, dots = "progressive" in image.info, image.info.get("dpi", (0, 0))[0]
    values = width, height, width / height, size / (width * height), sum(table), table[0], progressive, dots
    return np.asarray(values, np.float32)


def without_margins(image: Image) -> Image:
    """Return an image without margins of one grey level, at most a third of the image on each side."""
    pixels = np.asarray(image)
    rows, columns = (np.ptp(pixels, axis=axis) > _MARGIN_RANGE for axis in (1, 0))
    (top, bottom), (left, right) = _find_content(rows), _find_content(columns)
    return image.crop((left, top, right, bottom))


def _find_content(varies: NDArray[np.bool_]) -> tuple[int, int]:
    third = len(varies) // 3
    first = int(varies[:third].argmax()) if varies[:third].any() else third
    last = int(varies[::-1][:third].argmax()) if varies[::-1][:third].any() else third
    return first, len(varies) - last


def compute_descriptors(image: Image, encoder: NDArray[np.float32]) -> ImageDescriptors:
    """Compute the descriptors of an image.

    Parameters
    ----------
    image
        The image, 8 bits, one channel.
    encoder
        Properties of its file, see `ImageDescriptors`.
    """
    from PIL.Image import Resampling
    from scipy.fft import dctn

    frame = np.asarray(image.resize((FRAME_SIDE, FRAME_SIDE), Resampling.BOX))
    counts = np.asarray(image.histogram(), np.float32).reshape(HISTOGRAM_BINS, -1).sum(1)
    content = without_margins(image)
    square = normalized(_resized(content, THUMBNAIL_SIDE, THUMBNAIL_SIDE), 10)
    thumbnail = np.clip(np.rint(square * THUMBNAIL_STEPS), -127, 127).astype(np.int8)
    whole = normalized(_resized(content, _PATCH * 3, _PATCH * 3), 8)
    patches = [whole.reshape(_PATCH, 3, _PATCH, 3).mean((1, 3))[None]]
    keypoints = [np.full((1, 4), 0.5, np.float32)]
    for scale in _SCALES:
        width, height = (max(_PATCH + 3, round(scale * n / max(content.size))) for n in content.size)
        pixels = normalized(_resized(content, width, height), 6)
        x, y = _find_extrema(gaussian_filter(pixels, 1.5) - gaussian_filter(pixels, 3.0))
        patches.append(_extract_patches(gaussian_filter(pixels, 0.7), x, y))
        half = np.full(len(x), _PATCH / 2)
        positions = (x + 0.5) / width, (y + 0.5) / height, half / width, half / height
        keypoints.append(np.stack(positions, 1).astype(np.float32))
    spectrum = dctn(np.concatenate(patches), axes=(1, 2))
    coefficients = spectrum[:, :_FREQUENCIES, :_FREQUENCIES].reshape(len(spectrum), -1)[:, 1:]
    length = np.linalg.norm(coefficients, axis=1, keepdims=True)
    return ImageDescriptors(
        thumbnail,
        np.concatenate(keypoints).astype(np.float16),
        (coefficients / np.maximum(length, 1e-6)).astype(np.float16),
        frame,
        counts / counts.sum(),
        encoder,
    )


def _resized(image: Image, width: int, height: int) -> Floats:
    from PIL.Image import Resampling

    return np.asarray(image.resize((width, height), Resampling.BOX), np.float32)


def normalized(pixels: Floats, sigma: float) -> Floats:
    """Return pixels with local mean 0 and the same local contrast everywhere.

    Parameters
    ----------
    pixels
        Grey levels, ``(height, width)``.
    sigma
        Standard deviation of the neighbourhood, in pixels.
    """
    centred = pixels - gaussian_filter(pixels, sigma)
    flat: Floats = centred / np.sqrt(gaussian_filter(centred * centred, sigma) + _NOISE_VARIANCE)
    return flat


def gaussian_filter(pixels: Floats, sigma: float) -> Floats:
    """Return pixels smoothed by a Gaussian; the border is continued by its own pixels.

    Parameters
    ----------
    pixels
        ``(height, width)``.
    sigma
        Standard deviation, in pixels.
    """
    height, width = pixels.shape
    smooth: Floats = _smoothing(height, sigma) @ pixels @ _smoothing(width, sigma).T
    return smooth


@lru_cache(maxsize=512)
def _smoothing(n: int, sigma: float) -> Floats:
    """Return the matrix of a Gaussian filter: the filter is linear, and a product with it is much faster."""
    from scipy.ndimage import gaussian_filter1d

    matrix: Floats = gaussian_filter1d(np.eye(n, dtype=np.float32), sigma, axis=0, mode="nearest", truncate=3)
    return matrix


def _find_extrema(response: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return x and y of the strongest extrema whose patch is within the frame."""
    from scipy.ndimage import maximum_filter

    half = _PATCH // 2
    strength = np.abs(response)
    inner = (slice(half, -half), slice(half, -half))
    y, x = np.nonzero((strength == maximum_filter(strength, 3))[inner])
    strongest = np.argsort(-strength[inner][y, x], kind="stable")[:_KEYPOINTS]
    return x[strongest] + half, y[strongest] + half


def _extract_patches(pixels: Floats, x: NDArray[np.intp], y: NDArray[np.intp]) -> Floats:
    step = np.arange(_PATCH) - _PATCH // 2
    patches: Floats = pixels[y[:, None, None] + step[:, None], x[:, None, None] + step]
    return patches
