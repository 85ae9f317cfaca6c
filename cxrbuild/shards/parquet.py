"""Parquet with pixels, as Hugging Face ``datasets`` opens it: images as images, classes by name."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from cxrbuild.records import schema
from cxrbuild.shards.hashed_file import HashedFile
from cxrbuild.shards.images import ImageGroup
from cxrbuild.shards.layout import shard_columns

if TYPE_CHECKING:
    import pyarrow as pa

# Arrow checks the size of a page after this many values. With its default of 1,024 a page would be a whole
# row group of images, and the page index useless.
_PAGE_CHECK = 16


@contextmanager
def parquet_writer(
    file: HashedFile, classes: Sequence[str], *, suffix: str = ".jpg"
) -> Iterator[Callable[[ImageGroup], None]]:
    """Write ``data/<split>-00000-of-0000N.parquet``; give the function that writes a row group.

    The layout is that of ``datasets``: an image is a struct of bytes and path, the features are in the
    schema's metadata under ``huggingface``, and image bytes are neither compressed nor dictionary-encoded. https://huggingface.co/docs/datasets/about_dataset_features

    Parameters
    ----------
    file
        Where to write.
    classes
        The classes in the order of their numbers.
    suffix
        The suffix of the images' names.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrow = _schema(classes)
    small = [name for name in arrow.names if name != "image"]
    with pq.ParquetWriter(
        pa.PythonFile(file, "w"),
        arrow,
        compression=dict.fromkeys(small, "zstd") | {"image.bytes": "none", "image.path": "zstd"},
        use_dictionary=small,
        write_statistics=small,
        write_page_index=True,
        write_batch_size=_PAGE_CHECK,
    ) as writer:
        yield lambda group: writer.write_batch(_batch(group, arrow, classes, suffix))


def _schema(classes: Sequence[str]) -> pa.Schema:
    import pyarrow as pa

    image = pa.struct([pa.field("bytes", pa.binary()), pa.field("path", pa.string())])
    fields = [schema().field(name) for name in shard_columns()]
    features: dict[str, Any] = {
        "image": {"_type": "Image"},
        "label": {"names": list(classes), "_type": "ClassLabel"},
    }
    dtypes = {pa.string(): "string", pa.float64(): "float64", pa.int64(): "int64"}
    features |= {field.name: {"dtype": dtypes[field.type], "_type": "Value"} for field in fields}
    return pa.schema(
        [pa.field("image", image), pa.field("label", pa.int64()), *fields],
        metadata={"huggingface": json.dumps({"info": {"features": features}})},
    )


def _batch(group: ImageGroup, arrow: pa.Schema, classes: Sequence[str], suffix: str) -> pa.RecordBatch:
    import pyarrow as pa

    rows = group.rows
    images = [group.jpegs, pa.array([f"{name}{suffix}" for name in rows["image_id"]], pa.string())]
    columns = [
        pa.StructArray.from_arrays(images, fields=list(arrow.field("image").type)),
        pa.array(rows["label"].map(list(classes).index), pa.int64()),
        *(pa.array(rows[name], arrow.field(name).type, from_pandas=True) for name in shard_columns()),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=arrow)
