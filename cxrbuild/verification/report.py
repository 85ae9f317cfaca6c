"""Check ``report.html``: generate it again, and compare text, figures and small images."""

from __future__ import annotations

import base64
import binascii
import io
import re
import warnings
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from cxrbuild.artifact import names
from cxrbuild.checks import Finding, NotApplicable
from cxrbuild.errors import CheckError
from cxrbuild.report import DATA_URL, THUMBNAIL_SIDE, generate_report, read_thumbnail
from cxrbuild.verification.context import Context
from cxrbuild.verification.difference import line_differences
from cxrbuild.verification.documents import can_generate

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_IMAGE = re.compile(rf"{re.escape(DATA_URL)}[A-Za-z0-9+/=]*")
# Other versions of the JPEG library give grey values that differ by this much, on average, at most.
_MOST_DIFFERENCE = 4.0


def check_report(context: Context) -> Iterator[Finding]:
    """Find lines of the report, and small images on it, that are not those of the data."""
    if not can_generate(context):
        raise NotApplicable("another version of cxrbuild made the release, or its data cannot be read")
    found = context.read_text(names.REPORT)
    if found is None:
        yield Finding("is missing", names.REPORT)
        return
    shown: list[str] = []

    def thumbnail(jpeg_path: str) -> str:
        shown.append(PurePosixPath(jpeg_path).stem)
        return DATA_URL

    results = context.results
    try:
        expected = generate_report(context.contents, results, thumbnail)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        # Tables, build.json or a result are damaged; the checks of them report how.
        yield Finding(f"cannot be generated from the data: {error!r}", names.REPORT)
        return
    differences = list(line_differences(expected, _IMAGE.sub(DATA_URL, found)))
    for row, message in differences:
        yield Finding(message, names.REPORT, row)
    if not differences:
        yield from _image_findings(context, shown, _IMAGE.findall(found))


def _image_findings(context: Context, shown: list[str], found: list[str]) -> Iterator[Finding]:
    jpegs = _read_jpegs(context, set(shown))
    for image, address in zip(shown, found, strict=True):
        if image not in jpegs:
            continue  # in no Parquet shard, which the check of the shards reports
        try:
            expected = read_thumbnail(jpegs[image])
        except CheckError:
            continue  # does not decode, which the check of the shards reports
        if address != expected and not _look_similar(address, expected):
            yield Finding("shows another image", names.REPORT, image)


def _read_jpegs(context: Context, images: set[str]) -> dict[str, bytes]:
    """Return the JPEG of some images from the Parquet shards."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    jpegs: dict[str, bytes] = {}
    for path in context.parquet_paths:
        try:
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(64, columns=["image_id", "image"]):
                    rows = batch.filter(pc.is_in(batch["image_id"], pa.array(sorted(images))))
                    for row in rows.to_pylist():
                        jpegs[row["image_id"]] = (row["image"] or {}).get("bytes") or b""
        except (pa.ArrowException, OSError, LookupError):
            continue  # reported by the check of the shards
    return jpegs


def _look_similar(a: str, b: str) -> bool:
    import numpy as np

    first, second = _pixels(a), _pixels(b)
    if first is None or second is None or first.shape != second.shape:
        return False
    return float(np.abs(first - second).mean()) <= _MOST_DIFFERENCE


def _pixels(address: str) -> npt.NDArray[np.float64] | None:
    """Return the grey values of a small image, ``None`` where it does not decode or is not small."""
    import numpy as np
    from PIL import Image

    try:
        data = base64.b64decode(address.removeprefix(DATA_URL), validate=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
                if max(image.size) > THUMBNAIL_SIDE:  # not of a small image
                    return None
                return np.asarray(image.convert("L"), dtype=np.float64)
    except (OSError, ValueError, SyntaxError, binascii.Error, Image.DecompressionBombError):
        return None
