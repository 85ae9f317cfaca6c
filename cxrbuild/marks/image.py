"""A film as a person would see it: in colour, upright, no larger than asked for."""

from __future__ import annotations

import warnings
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from cxrbuild import convert
from cxrbuild.errors import CxrbuildError

if TYPE_CHECKING:
    from PIL.Image import Image

_SETTINGS = convert.Settings(quality=95, max_pixels=100_000_000)


def read_film(path: Path, side: int) -> Image:
    """Read a PNG, JPEG or DICOM film as RGB, upright, transparency over black, and make it smaller.

    Unlike the conversion to a training image this keeps colour, since drawn marks often are coloured.

    Parameters
    ----------
    path
        The film's file.
    side
        The most pixels that width or height may have; smaller films stay as they are.

    Raises
    ------
    CxrbuildError
        The file is not there, or is no film that can be read.
    """
    from PIL import Image as Images

    try:
        data = path.read_bytes()
    except OSError as error:
        raise CxrbuildError(
            "a film cannot be read", where=path, found=error.strerror, todo="Fetch or curate again"
        ) from error
    try:
        with warnings.catch_warnings():
            # What Pillow warns of lies in headers that are not used, or is the size of a large film.
            warnings.simplefilter("ignore")
            if data.startswith((b"\xff\xd8", b"\x89PNG")):
                return _small(Images.open(BytesIO(data)), side)
            return _small(Images.open(BytesIO(convert.to_jpeg(data, _SETTINGS).data)), side)
    except convert.NotConvertible as error:
        raise CxrbuildError("not a film that can be read", where=path, found=error) from error
    except (OSError, ValueError, SyntaxError) as error:
        raise CxrbuildError("not a whole film", where=path, found=error) from error


def _small(image: Image, side: int) -> Image:
    import numpy as np
    from PIL import Image as Images
    from PIL import ImageOps

    if image.format == "JPEG" and max(image.size) > 2 * side:
        # The decoder can halve at once; twice the size is left, so that the mean below still sees all pixels.
        image.draft(image.mode, (2 * side, 2 * side))
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        image = Images.fromarray((np.asarray(image) // 257).astype(np.uint8))
    if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        film = image.convert("RGBA")
        image = Images.new("RGBA", film.size, (0, 0, 0, 255))
        image.alpha_composite(film)
    image = image.convert("RGB")
    if max(image.size) > side:
        image.thumbnail((side, side), Images.Resampling.BOX, reducing_gap=None)
    return image
