"""A contact sheet: thumbnails of some images of a class."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cxrbuild.convert import NotConvertible, read_image
from cxrbuild.errors import CheckError

if TYPE_CHECKING:
    import pandas as pd

_SIDE, _QUALITY = 112, 70
DATA_URL = "data:image/jpeg;base64,"
ThumbnailReader = Callable[[str], str]


@dataclass(frozen=True)
class Thumbnail:
    """A thumbnail of an image, with its attribution."""

    image_id: str
    source: str
    split: str
    credit: str
    address: str


def contact_sheet(rows: pd.DataFrame, read: ThumbnailReader, most: int) -> list[Thumbnail]:
    """Return thumbnails of some images, drawn by the hash of their ids, sources in turn.

    Parameters
    ----------
    rows
        Rows whose pixels may be shown; images that show a name or birth date are skipped.
    read
        Returns the thumbnail of an image as a data URL, by its ``jpeg_path``.
    most
        The number of images.
    """
    rows = rows[rows["review"].ne("identifier").fillna(value=True)]
    digest = rows["image_id"].map(lambda name: hashlib.sha256(f"sheet/{name}".encode()).hexdigest())
    rows = rows.assign(digest=digest).sort_values("digest")
    rows = rows.assign(turn=rows.groupby("source").cumcount()).sort_values(["turn", "source"]).head(most)
    return [
        Thumbnail(
            image_id=row["image_id"],
            source=row["source"],
            split=row["split"],
            credit=f"{row['license']}, {row['attribution']}",
            address=read(row["jpeg_path"]),
        )
        for row in rows.to_dict("records")
    ]


def read_thumbnail(source: Path | bytes) -> str:
    """Return the square centre of an image, given by its path or bytes, as a data URL.

    Raises
    ------
    CheckError
        The image is missing or cannot be decoded.
    """
    from PIL import ImageOps
    from PIL.Image import Resampling

    try:
        image = read_image(source, min_side=2 * _SIDE)
    except (OSError, NotConvertible) as error:
        raise CheckError(
            "an image of the build cannot be read", where=source if isinstance(source, Path) else None,
            found=error, todo="Run `cxrbuild curate` again: it converts again what changed",
        ) from error  # fmt: skip
    small = ImageOps.fit(image, (_SIDE, _SIDE), Resampling.LANCZOS)
    out = io.BytesIO()
    small.save(out, "JPEG", quality=_QUALITY, optimize=True)
    return DATA_URL + base64.b64encode(out.getvalue()).decode()
