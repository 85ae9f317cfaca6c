"""Check that a JPEG decodes and is the one that its row describes."""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

COLUMNS = ("jpeg_sha256", "jpeg_bytes", "width", "height")
"""The columns of a row that a JPEG is compared with."""


def jpeg_problems(data: bytes, row: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with a JPEG.

    Parameters
    ----------
    data
        Its bytes.
    row
        The image's row; ``jpeg_sha256``, ``jpeg_bytes``, ``width`` and ``height`` are checked where known.
    """
    import pandas as pd
    from PIL import Image

    row = {name: row[name] for name in COLUMNS if name in row and not pd.isna(row[name])}
    if "jpeg_sha256" in row and (digest := hashlib.sha256(data).hexdigest()) != row["jpeg_sha256"]:
        yield f"its bytes are not the manifest's: jpeg_sha256 is {row['jpeg_sha256']}, found {digest}"
    if "jpeg_bytes" in row and len(data) != row["jpeg_bytes"]:
        yield f"jpeg_bytes is {row['jpeg_bytes']}, found {len(data)}"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
                image.load()
                mode, size = image.mode, image.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        yield f"does not decode: {error}"
        return
    if mode != "L":
        yield f"is of mode {mode}, not 8-bit with one channel"
    if "width" in row and "height" in row and size != (row["width"], row["height"]):
        yield f"has {size[0]} x {size[1]} pixels, its row has {row['width']} x {row['height']}"
