"""A contact sheet: small images of some images of a class, each with its row."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cxrbuild.catalog.review import shows_identity
from cxrbuild.convert import NotConvertible, read_image
from cxrbuild.errors import CheckError

if TYPE_CHECKING:
    import pandas as pd
    from PIL.Image import Image

# Large enough to be enlarged; the sheet shows a square of it.
THUMBNAIL_SIDE = 320
_QUALITY = 70
DATA_URL = "data:image/jpeg;base64,"
ThumbnailReader = Callable[[str], str]
_ROW = {
    "image": "image_id", "source": "source", "path in the source": "source_path", "class": "label",
    "split": "split", "patient": "patient_id", "finding": "finding", "view": "view_position",
    "sex": "patient_sex", "age": "patient_age", "review": "review", "licence": "license",
    "attribution": "attribution",
}  # fmt: skip


@dataclass(frozen=True)
class Thumbnail:
    """A thumbnail of an image, with the row of the image.

    Attributes
    ----------
    image_id, source, split
        Of the image.
    address
        The thumbnail as a data URL.
    row
        What the manifest says about the image, by title; what is unknown is omitted.
    """

    image_id: str
    source: str
    split: str
    address: str
    row: dict[str, str]


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
    rows = rows[~shows_identity(rows["review"])]
    digest = rows["image_id"].map(lambda name: hashlib.sha256(f"sheet/{name}".encode()).hexdigest())
    rows = rows.assign(digest=digest).sort_values("digest")
    rows = rows.assign(turn=rows.groupby("source").cumcount()).sort_values(["turn", "source"]).head(most)
    return [
        Thumbnail(
            image_id=row["image_id"],
            source=row["source"],
            split=row["split"],
            address=read(row["jpeg_path"]),
            row=describe_row(row),
        )
        for row in rows.to_dict("records")
    ]


def describe_row(row: Mapping[Hashable, Any]) -> dict[str, str]:
    """Return what the manifest says about an image, by title; what is unknown is omitted.

    Parameters
    ----------
    row
        The row of the image.
    """
    import pandas as pd

    def known(value: Any) -> bool:
        return not pd.isna(value) and value != ""

    described = {title: f"{row[column]:g}" if column == "patient_age" else str(row[column])
                 for title, column in _ROW.items() if known(row.get(column))}  # fmt: skip
    if known(row.get("width")):
        described["size"] = f"{row['width']:.0f} \N{MULTIPLICATION SIGN} {row['height']:.0f} pixels"
    return described


def read_thumbnail(source: Path | bytes) -> str:
    """Return an image, given by its path or bytes, with sides of at most `THUMBNAIL_SIDE`, as a data URL.

    Raises
    ------
    CheckError
        The image is missing or cannot be decoded.
    """
    from PIL.Image import Resampling

    try:
        image = read_image(source, min_side=THUMBNAIL_SIDE)
    except (OSError, NotConvertible) as error:
        raise CheckError(
            "an image of the build cannot be read", where=source if isinstance(source, Path) else None,
            found=error, todo="Run `cxrbuild curate` again: it converts again what changed",
        ) from error  # fmt: skip
    image.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Resampling.LANCZOS)
    return data_url(image, _QUALITY)


def data_url(image: Image, quality: int) -> str:
    """Return an image as the data URL of a JPEG."""
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality, optimize=True)
    return DATA_URL + base64.b64encode(out.getvalue()).decode()
