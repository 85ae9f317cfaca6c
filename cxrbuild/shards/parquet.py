"""Parquet with pixels, as Hugging Face ``datasets`` opens it: images as images, classes by name."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cxrbuild.errors import CxrbuildError
from cxrbuild.files import replacing
from cxrbuild.progress import Progress, silent
from cxrbuild.records import schema
from cxrbuild.shards.layout import Shard, shard_columns

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

# Reading one image means reading its row group: small groups keep readers and this program small.
_ROW_GROUP_BYTES = 16 * 1024 * 1024
# Arrow checks the size of a page after this many values. With its default of 1,024 a page would be a whole
# row group of images, and the page index useless.
_PAGE_CHECK = 16


def write_parquet(
    shards: Sequence[Shard],
    build: Path,
    classes: Sequence[str],
    progress: Progress = silent,
    *,
    out: Path | None = None,
) -> list[Path]:
    """Write ``data/<split>-00000-of-0000N.parquet``; the JPEGs' bytes are unchanged.

    The layout is that of ``datasets``: an image is a struct of bytes and path, the features are in the
    schema's metadata under ``huggingface``, and image bytes are neither compressed nor dictionary-encoded. https://huggingface.co/docs/datasets/about_dataset_features

    Parameters
    ----------
    shards
        The shards.
    build
        The build's folder; ``jpeg_path`` is relative to it.
    classes
        The classes in the order of their numbers.
    progress
        Opens a progress bar, in images.
    out
        The folder to write to; default the build.

    Returns
    -------
    list of Path
        The files.
    """
    import pyarrow.parquet as pq

    arrow = _schema(classes)
    small = [name for name in arrow.names if name != "image"]
    paths = []
    with progress("writing Parquet", sum(len(shard.rows) for shard in shards), "image") as bar:
        for shard in shards:
            path = (out or build) / "data" / f"{shard.split}-{shard.number:05d}-of-{shard.of:05d}.parquet"
            with (
                replacing(path) as temporary,
                pq.ParquetWriter(
                    temporary,
                    arrow,
                    compression=dict.fromkeys(small, "zstd") | {"image.bytes": "none", "image.path": "zstd"},
                    use_dictionary=small,
                    write_statistics=small,
                    write_page_index=True,
                    write_batch_size=_PAGE_CHECK,
                ) as writer,
            ):
                for batch in _batches(shard.rows, build, arrow, classes):
                    writer.write_batch(batch)
                    bar.update(batch.num_rows)
            paths.append(path)
    return paths


def _schema(classes: Sequence[str]) -> pa.Schema:
    import pyarrow as pa

    image = pa.struct([pa.field("bytes", pa.binary()), pa.field("path", pa.string())])
    fields = [schema().field(name) for name in shard_columns()]
    features: dict[str, Any] = {
        "image": {"_type": "Image"},
        "label": {"names": list(classes), "_type": "ClassLabel"},
    }
    dtypes = {pa.string(): "string", pa.float64(): "float64"}
    features |= {field.name: {"dtype": dtypes[field.type], "_type": "Value"} for field in fields}
    return pa.schema(
        [pa.field("image", image), pa.field("label", pa.int64()), *fields],
        metadata={"huggingface": json.dumps({"info": {"features": features}})},
    )


def _batches(
    rows: pd.DataFrame, build: Path, arrow: pa.Schema, classes: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    """Yield row groups; the next one is read while one is written."""

    def read(group: pd.DataFrame) -> pa.RecordBatch:
        return _batch(group, build, arrow, classes)

    number = (rows["jpeg_bytes"].cumsum() - rows["jpeg_bytes"]) // _ROW_GROUP_BYTES
    with ThreadPoolExecutor(1) as reader:
        pending: deque[Future[pa.RecordBatch]] = deque()
        for _, group in rows.groupby(number):
            pending.append(reader.submit(read, group))
            if len(pending) > 1:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def _batch(rows: pd.DataFrame, build: Path, arrow: pa.Schema, classes: Sequence[str]) -> pa.RecordBatch:
    import pyarrow as pa

    images = [
        _jpegs(rows, build),
        pa.array([f"{name}.jpg" for name in rows["image_id"]], pa.string()),
    ]
    columns = [
        pa.StructArray.from_arrays(images, fields=list(arrow.field("image").type)),
        pa.array(rows["label"].map(list(classes).index), pa.int64()),
        *(pa.array(rows[name], arrow.field(name).type, from_pandas=True) for name in shard_columns()),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=arrow)


def _jpegs(rows: pd.DataFrame, build: Path) -> pa.Array:
    """Read the JPEGs into one buffer: an array of many bytes objects would copy each several times."""
    import numpy as np
    import pyarrow as pa

    ends = np.cumsum([0, *rows["jpeg_bytes"]], dtype=np.int32)
    buffer = pa.allocate_buffer(int(ends[-1]))
    into = memoryview(buffer)
    for path, (start, end) in zip(rows["jpeg_path"], pairwise(ends.tolist()), strict=True):
        # Buffering and `Path` together take as long as reading the file.
        with open(f"{build}/{path}", "rb", buffering=0) as stream:
            at = start
            # The operating system may return less than requested.
            while at < end and (count := stream.readinto(into[at:end])):
                at += count
            if at != end or stream.read(1):
                raise CxrbuildError(
                    "a JPEG changed while the shards were written", where=build / path,
                    expected=f"{end - start:,} bytes",
                    todo="Run the command again while no other program writes to the build",
                )  # fmt: skip
    return pa.Array.from_buffers(pa.binary(), len(rows), [None, pa.py_buffer(ends), buffer])
