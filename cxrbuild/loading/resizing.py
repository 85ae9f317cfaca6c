"""Resize images to a square, in one way for every loader and export."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

from cxrbuild.errors import CxrbuildError, instead_of

if TYPE_CHECKING:
    from PIL.Image import Image

# Pillow's filters. Where an image shrinks, each averages all pixels that a new pixel covers.
Resampling = Literal["box", "bilinear", "bicubic", "lanczos"]
RESAMPLINGS: tuple[Resampling, ...] = get_args(Resampling)
LARGEST_SIZE = 8192


def require_size(size: int | None, resampling: str = "bicubic") -> None:
    """Require that a side is ``None`` or a number of pixels that an image can have, and a known filter.

    Raises
    ------
    CxrbuildError
        The side is less than 1 or more than 8192, or there is no such filter.
    """
    if resampling not in RESAMPLINGS:
        raise CxrbuildError(
            "no such filter", expected=instead_of(resampling, RESAMPLINGS, "filter"), found=repr(resampling),
            todo=f"Name one of {', '.join(RESAMPLINGS)} as `resampling`",
        )  # fmt: skip
    if size is not None and not 1 <= size <= LARGEST_SIZE:
        raise CxrbuildError(
            "images cannot have this size", expected=f"a side of 1 to {LARGEST_SIZE} pixels", found=size,
            todo="Name a size such as 224, or none for the images' own sizes",
        )  # fmt: skip


def resize(image: Image, size: int | None, resampling: Resampling = "bicubic") -> Image:
    """Resize an image to a square of ``size`` by ``size`` pixels, whatever its aspect ratio.

    Parameters
    ----------
    image
        8-bit, one channel.
    size
        The side in pixels; ``None`` returns the image as it is.
    resampling
        Pillow's filter.
    """
    from PIL import Image as Images

    if size is None or image.size == (size, size):
        return image
    return image.resize((size, size), Images.Resampling[resampling.upper()])
