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

# A reader that wants one image reads a row group: keep it, and our own memory, small.
_ROW_GROUP_BYTES = 16 * 1024 * 1024
# Arrow asks whether a page has its megabyte only after so many values: with its 1,024 a page would be a whole
# row group of films, and the page index of no use.
_PAGE_CHECK = 16


def write_parquet(
    shards: Sequence[Shard],
    build: Path,
    classes: Sequence[str],
    progress: Progress = silent,
    *,
    out: Path | None = None,
) -> list[Path]:
    """Write ``data/<split>-00000-of-0000N.parquet``; the JPEGs' bytes go in as they are.

    The layout is what ``datasets`` itself writes: an image is a struct of bytes and path, the features stand
    in the schema's metadata under ``huggingface``, and image bytes are neither compressed nor put into a
    dictionary. https://huggingface.co/docs/datasets/about_dataset_features

    Parameters
    ----------
    shards
        What to write where.
    build
        The build's folder, from which ``jpeg_path`` starts.
    classes
        The classes in the order of their numbers.
    progress
        Told how many images are written.
    out
        The folder to write in, unless it is the build's.

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
    """Yield a row group after the other; while one is written the next one is read."""

    def read(piece: pd.DataFrame) -> pa.RecordBatch:
        return _batch(piece, build, arrow, classes)

    number = (rows["jpeg_bytes"].cumsum() - rows["jpeg_bytes"]) // _ROW_GROUP_BYTES
    with ThreadPoolExecutor(1) as reader:
        pending: deque[Future[pa.RecordBatch]] = deque()
        for _, piece in rows.groupby(number):
            pending.append(reader.submit(read, piece))
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
    """Read the JPEGs into one buffer: an array made of many bytes objects would copy each several times."""
    import numpy as np
    import pyarrow as pa

    ends = np.cumsum([0, *rows["jpeg_bytes"]], dtype=np.int32)
    buffer = pa.allocate_buffer(int(ends[-1]))
    into = memoryview(buffer)
    for path, (start, end) in zip(rows["jpeg_path"], pairwise(ends.tolist()), strict=True):
        # Unbuffered, and not by way of `Path`: together they cost as much as the reading.
        with open(f"{build}/{path}", "rb", buffering=0) as stream:
            at = start
            # The system may give less than was asked for.
            while at < end and (count := stream.readinto(into[at:end])):
                at += count
            if at != end or stream.read(1):
                raise CxrbuildError(
                    "a JPEG changed while the dataset was packed", where=build / path,
                    expected=f"{end - start:,} bytes", todo="Run again, and let nothing else write there",
                )  # fmt: skip
    return pa.Array.from_buffers(pa.binary(), len(rows), [None, pa.py_buffer(ends), buffer])
