"""Read an image as a person sees it, for mark detection and review: in colour, upright and reduced."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cxrbuild import convert
from cxrbuild.errors import CxrbuildError

if TYPE_CHECKING:
    from PIL.Image import Image


def read_film(path: Path, side: int) -> Image:
    """Read a PNG, JPEG or DICOM file as RGB, upright, transparency over black, and reduce it.

    Unlike the conversion to a training image this keeps colour, since drawn marks often are coloured.

    Parameters
    ----------
    path
        The image file.
    side
        The most pixels that width or height may have; smaller images keep their size.

    Raises
    ------
    CxrbuildError
        The file is missing, or cannot be read as an image.
    """
    try:
        return convert.read_image(path, max_side=side, color=True)
    except OSError as error:
        raise CxrbuildError(
            "an image cannot be read", where=path, found=error.strerror, todo="Fetch or curate again"
        ) from error
    except convert.NotConvertible as error:
        raise CxrbuildError("not an image that can be read", where=path, found=error) from error
