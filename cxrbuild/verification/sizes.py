"""Check the ready sizes of a release: the rows of its shards, with their images resized."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from cxrbuild.artifact import names
from cxrbuild.checks import Finding, NotApplicable
from cxrbuild.errors import is_of_memory, name_some
from cxrbuild.executors import default_workers, run_batches
from cxrbuild.loading.resizing import resize
from cxrbuild.verification.context import Context
from cxrbuild.verification.pool import image_executor
from cxrbuild.verification.shards import BATCH

SIZES = "checking sizes"

# A pixel may differ by so many grey levels: another version of Pillow may round otherwise.
_TOLERANCE = 1


class _Group(NamedTuple):
    """A row group of a shard, to compare at a ready size: a worker reads both from their files."""

    name: str
    whole: str
    sized: str
    size: int
    number: int


def check_sizes(context: Context) -> Iterator[Finding]:
    """Find shards of a ready size that are missing, or whose rows are not those of the Parquet shards."""
    sizes = context.sizes
    if not sizes:
        raise NotApplicable("the release has no ready sizes")
    groups: list[_Group] = []
    for size in sizes:
        for path in context.parquet_paths:
            # The workers of a cluster have another current folder.
            sized = context.folder.absolute() / names.sized_folder(size) / path.name
            name = f"{names.sized_folder(size)}/{path.name}"
            count, problem = _count_groups(path, sized)
            if problem is not None:
                yield Finding(problem, name)
            groups += [_Group(name, str(path.absolute()), str(sized), size, i) for i in range(count)]
    with (
        context.progress(SIZES, len(sizes) * len(context.embedded), "image") as bar,
        image_executor(context) as pool,
    ):
        found = run_batches(pool, _compare, groups, ahead=2 * default_workers(), in_order=True)
        for group, (rows, differences) in found:
            yield from (Finding(message, group.name, row or None) for row, message in differences)
            bar.update(rows)


def _count_groups(path: Path, sized: Path) -> tuple[int, str | None]:
    """Return how many row groups two shards have in common, or why they cannot be compared."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as whole, pq.ParquetFile(sized) as ready:
            if whole.schema_arrow != ready.schema_arrow:
                return 0, "has other columns than the shard in data"
            a, b = (
                [file.metadata.row_group(i).num_rows for i in range(file.metadata.num_row_groups)]
                for file in (whole, ready)
            )
    except FileNotFoundError:
        return 0, "is missing"
    except (pa.ArrowException, OSError) as error:
        if is_of_memory(error):
            raise
        return 0, f"cannot be read: {error}"
    if sum(a) != sum(b):
        return 0, f"has {sum(b):,} rows, not {sum(a):,}"
    if a != b:
        return 0, f"has row groups of {_listed(b)} rows, the shard in data of {_listed(a)}"
    return len(a), None


def _listed(numbers: list[int]) -> str:
    return name_some([f"{n:,}" for n in numbers], 5)


def _compare(group: _Group) -> tuple[int, list[tuple[str, str]]]:
    """Return the number of rows of a group, and the ids of those that differ, with how: runs on a worker."""
    import pyarrow.parquet as pq

    found: list[tuple[str, str]] = []
    count = 0
    try:
        with pq.ParquetFile(group.whole) as whole, pq.ParquetFile(group.sized) as ready:
            both = (file.iter_batches(BATCH, row_groups=[group.number]) for file in (whole, ready))
            for expected, sized in zip(*both, strict=True):
                for row, other in zip(expected.to_pylist(), sized.to_pylist(), strict=True):
                    if text := _difference(group.size, row, other):
                        found.append((row["image_id"], text))
                count += expected.num_rows
    except Exception as error:  # a damaged file can cause any error of a decoder
        if is_of_memory(error):
            raise
        found.append(("", f"cannot be read: {error}"))
    return count, found


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
