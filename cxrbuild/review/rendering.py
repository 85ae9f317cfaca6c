"""Read the images of a review page in a worker process, which imports this module alone."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from cxrbuild.convert import NotConvertible, read_image
from cxrbuild.marks import MAX_SIDE, ProposedMark, propose_marks

if TYPE_CHECKING:
    from PIL.Image import Image

_THUMBNAIL_SIDE = 128
_THUMBNAIL_QUALITY = 50
_LARGE_QUALITY = 60


@dataclass(frozen=True)
class Rendered:
    """An image as the page has it.

    Attributes
    ----------
    file
        The file that was read.
    thumbnail, large
        WebP files; ``large`` is empty if the page links the images.
    width, height
        The size of the large image in pixels.
    proposals
        The marks that the search proposes.
    problem
        Why the image cannot be read; empty if it was.
    """

    file: Path
    thumbnail: bytes
    large: bytes
    width: int
    height: int
    proposals: list[ProposedMark]
    problem: str = ""


def render(listed: tuple[str, tuple[Path, ...]], *, propose: bool, embed: bool, max_pixels: int) -> Rendered:
    """Read and encode an image, and search it for marks.

    Parameters
    ----------
    listed
        The image id, and the files that can hold the image: the first that can be read is taken.
    propose
        Search for marks.
    embed
        Encode the large image too.
    max_pixels
        The most pixels of an image.
    """
    from PIL.Image import Resampling

    _, paths = listed
    try:
        path, image = _read_first(paths, max_pixels)
    except (NotConvertible, OSError) as error:
        problem = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return Rendered(paths[0], b"", b"", 0, 0, [], problem)
    thumbnail = image.copy()
    thumbnail.thumbnail((_THUMBNAIL_SIDE, _THUMBNAIL_SIDE), Resampling.BOX)
    return Rendered(
        file=path,
        thumbnail=_encode_webp(thumbnail, _THUMBNAIL_QUALITY),
        large=_encode_webp(image, _LARGE_QUALITY) if embed else b"",
        width=image.width,
        height=image.height,
        proposals=propose_marks(image) if propose else [],
    )


def _read_first(paths: tuple[Path, ...], max_pixels: int) -> tuple[Path, Image]:
    """Read the first file that can be read; if none can, raise the error of the first."""
    errors: list[NotConvertible | OSError] = []
    for path in paths:
        try:
            return path, read_image(path, max_side=MAX_SIDE, color=True, max_pixels=max_pixels)
        except (NotConvertible, OSError) as error:
            errors.append(error)
    raise errors[0]


def _encode_webp(image: Image, quality: int) -> bytes:
    stream = BytesIO()
    image.save(stream, "WEBP", quality=quality, method=2)
    return stream.getvalue()
