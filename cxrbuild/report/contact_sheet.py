"""A contact sheet: small copies of some films of a class."""

from __future__ import annotations

import base64
import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cxrbuild.convert import NotConvertible, read_image
from cxrbuild.errors import CheckError

if TYPE_CHECKING:
    import pandas as pd

_SIDE, _QUALITY = 112, 70


@dataclass(frozen=True)
class Film:
    """A small copy of a film, and whom it is owed to."""

    image_id: str
    source: str
    split: str
    credit: str
    address: str


def contact_sheet(rows: pd.DataFrame, build: Path, most: int) -> list[Film]:
    """Return small copies of some films, each source by turns, drawn by the hash of their ids.

    Parameters
    ----------
    rows
        Rows whose pixels may be shown; a film on which a name or birth date was seen is never taken.
    build
        The build that has the JPEGs.
    most
        How many films.

    Raises
    ------
    CheckError
        A JPEG of the build is not there or does not decode.
    """
    rows = rows[rows["review"].ne("identifier").fillna(value=True)]
    digest = rows["image_id"].map(lambda name: hashlib.sha256(f"sheet/{name}".encode()).hexdigest())
    rows = rows.assign(digest=digest).sort_values("digest")
    rows = rows.assign(turn=rows.groupby("source").cumcount()).sort_values(["turn", "source"]).head(most)
    return [
        Film(
            image_id=row["image_id"],
            source=row["source"],
            split=row["split"],
            credit=f"{row['license']}, {row['attribution']}",
            address=_small(build / row["jpeg_path"]),
        )
        for row in rows.to_dict("records")
    ]


def _small(path: Path) -> str:
    """Return a square copy of a film's middle as a data address."""
    from PIL import ImageOps
    from PIL.Image import Resampling

    try:
        image = read_image(path, min_side=2 * _SIDE)
    except (OSError, NotConvertible) as error:
        raise CheckError(
            "an image of the build cannot be read", where=path, found=error,
            todo="Run `cxrbuild curate` again: it makes anew what is not as it was",
        ) from error  # fmt: skip
    small = ImageOps.fit(image, (_SIDE, _SIDE), Resampling.LANCZOS)
    out = io.BytesIO()
    small.save(out, "JPEG", quality=_QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()
