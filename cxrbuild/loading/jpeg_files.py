"""Read the JPEG files of a build, and decode a JPEG wherever it is from."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from cxrbuild.errors import CxrbuildError

if TYPE_CHECKING:
    from PIL.Image import Image


def read_jpeg(path: Path) -> bytes:
    """Return the bytes of an image file of a build, and its path.

    Raises
    ------
    CxrbuildError
        The file is missing.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise CxrbuildError(
            "the image is missing from the build", where=path,
            todo="Run `cxrbuild curate` again: it converts what is missing",
        ) from None  # fmt: skip


def decode_jpeg(data: bytes, where: Path) -> Image:
    """Return the pixels of a JPEG.

    Parameters
    ----------
    data
        Its bytes.
    where
        The file that it is from: an image file, or a shard.

    Raises
    ------
    CxrbuildError
        It cannot be decoded.
    """
    import PIL.Image

    try:
        image = PIL.Image.open(BytesIO(data))
        image.load()
    except (OSError, SyntaxError, ValueError) as error:
        raise CxrbuildError(
            "the image cannot be decoded", where=where, found=error,
            todo="Check the folder with `cxrbuild verify`",
        ) from error  # fmt: skip
    return image
