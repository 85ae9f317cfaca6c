"""Check the ready sizes of a release: the rows of its shards, with their images resized."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from cxrbuild.artifact import names
from cxrbuild.checks import Finding, NotApplicable
from cxrbuild.errors import is_of_memory
from cxrbuild.loading.resizing import resize
from cxrbuild.verification.context import Context
from cxrbuild.verification.shards import BATCH

SIZES = "checking sizes"

# A pixel may differ by so many grey levels: another version of Pillow may round otherwise.
_TOLERANCE = 1


def check_sizes(context: Context) -> Iterator[Finding]:
    """Find shards of a ready size that are missing, or whose rows are not those of the Parquet shards."""
    sizes = context.sizes
    if not sizes:
        raise NotApplicable("the release has no ready sizes")
    paths = context.parquet_paths
    with (
        context.progress(SIZES, len(sizes) * len(context.embedded), "image") as bar,
        ThreadPoolExecutor(os.cpu_count()) as pool,
    ):
        for size in sizes:
            for path in paths:
                name = f"{names.sized_folder(size)}/{path.name}"
                try:
                    for findings in _compare(path, context.folder / name, size, pool):
                        yield from (Finding(message, name, row) for row, message in findings)
                        bar.update(BATCH)
                except FileNotFoundError:
                    yield Finding("is missing", name)
                except Exception as error:  # a damaged file can cause any error of a decoder
                    if is_of_memory(error):
                        raise
                    yield Finding(f"cannot be read: {error}", name)


def _compare(path: Path, sized: Path, size: int, pool: ThreadPoolExecutor) -> Iterator[list[tuple[str, str]]]:
    """Yield for some rows at a time the ids of those that differ, and how."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as whole, pq.ParquetFile(sized) as ready:
        if whole.schema_arrow != ready.schema_arrow:
            yield [("", "has other columns than the shard in data")]
            return
        if whole.metadata.num_rows != ready.metadata.num_rows:
            yield [("", f"has {ready.metadata.num_rows:,} rows, not {whole.metadata.num_rows:,}")]
            return
        for expected, found in zip(whole.iter_batches(BATCH), ready.iter_batches(BATCH), strict=True):
            differences = pool.map(partial(_difference, size), expected.to_pylist(), found.to_pylist())
            ids = expected.column("image_id").to_pylist()
            yield [(name, text) for name, text in zip(ids, differences, strict=True) if text]


def _difference(size: int, expected: dict[str, Any], found: dict[str, Any]) -> str | None:
    import numpy as np
    from PIL import Image

    others = [key for key in expected if key != "image" and not _equal(expected[key], found[key])]
    if others:
        return f"another {others[0]} than in data"
    try:
        images = []
        for row in (expected, found):
            with Image.open(io.BytesIO(row["image"]["bytes"])) as image:
                image.load()
                images.append(image)
    except (OSError, SyntaxError, ValueError, TypeError):
        return "cannot be decoded"
    whole, ready = images
    if ready.format != "PNG" or ready.mode != "L" or ready.size != (size, size):
        return (
            f"is {ready.format} {ready.mode} of {ready.width} x {ready.height}, not PNG L of {size} x {size}"
        )
    pixels = [np.asarray(image, np.int16) for image in (resize(whole, size), ready)]
    if np.abs(pixels[0] - pixels[1]).max() > _TOLERANCE:
        return "has other pixels than the image in data"
    return None


def _equal(a: Any, b: Any) -> bool:
    return bool(a == b or (a != a and b != b))
