"""Check the Parquet shards: their columns, their rows and their pixels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cxrbuild.artifact import names
from cxrbuild.checks import Finding, NotApplicable
from cxrbuild.errors import is_of_memory
from cxrbuild.records import schema
from cxrbuild.shards import shard_columns
from cxrbuild.verification.context import Context, class_names
from cxrbuild.verification.shards import BATCH, RowCheck, expected_shards, split_of

PARQUET = "checking Parquet"


def check_parquet(context: Context) -> Iterator[Finding]:
    """Find shards with other columns or classes, and rows that are not the manifest's with its pixels."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not (context.folder / names.PARQUET).is_dir():
        raise NotApplicable("there are no Parquet shards")
    order = {shard.parquet: shard.images for shard in expected_shards(context)}
    rows = RowCheck(context.embedded, context.classes, order)
    with context.progress(PARQUET, len(context.embedded), "image") as bar:
        for path in context.parquet_paths:
            name = f"{names.PARQUET}/{path.name}"
            split = split_of(path.name, r"-\d{5}-of-\d{5}\.parquet")
            if split is None:
                yield Finding("its name has no split", name)
            try:
                with pq.ParquetFile(path) as file:
                    named = class_names(file.schema_arrow)
                    if named != context.classes:
                        yield Finding(f"the class names are {named}, not {context.classes}", name, "label")
                    if columns := list(_column_findings(name, file.schema_arrow)):
                        yield from columns
                        continue
                    for batch in file.iter_batches(BATCH):
                        yield from rows.check(name, split, batch.to_pylist())
                        bar.update(batch.num_rows)
            except (pa.ArrowException, OSError) as error:
                if is_of_memory(error):
                    raise
                rows.unreadable.add(name)
                yield Finding(f"cannot be read: {error}", name)
    yield from rows.absent(names.PARQUET)


def _column_findings(name: str, arrow: Any) -> Iterator[Finding]:
    """Find columns of another type than shards have."""
    expected = {"image": "struct<bytes: binary, path: string>", "label": "int64"}
    expected |= {column: str(schema().field(column).type) for column in shard_columns()}
    found = {field.name: str(field.type) for field in arrow}
    for column, kind in expected.items():
        if found.get(column) != kind:
            yield Finding(f"is of type {found.get(column, 'none')}, not {kind}", name, column)
