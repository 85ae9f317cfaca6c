"""Check the TFRecord shards: their lengths, their classes, their rows and their pixels."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from cxrbuild.artifact import names
from cxrbuild.checks import Finding, NotApplicable
from cxrbuild.errors import CxrbuildError
from cxrbuild.files import read_json
from cxrbuild.records import COLUMNS
from cxrbuild.shards import NO_INTEGER, Description, SplitInfo, dataset_info, features, shard_columns
from cxrbuild.shards.example import ExampleError, read_example
from cxrbuild.shards.record_file import FRAME_BYTES, RecordError, read_records
from cxrbuild.verification.context import Context
from cxrbuild.verification.difference import json_differences
from cxrbuild.verification.shards import BATCH, Row, RowCheck, expected_shards, split_of

TFRECORD = "checking TFRecord"

_NUMBERS = {column.name for column in COLUMNS if column.kind == "number"}
_INTEGERS = {column.name for column in COLUMNS if column.kind == "integer"}


def check_tfrecord(context: Context) -> Iterator[Finding]:
    """Find shards with other lengths or classes, and rows that are not the manifest's with its pixels."""
    if not (context.folder / names.TFRECORD).is_dir():
        raise NotApplicable("there are no TFRecord shards")
    for info in sorted((context.folder / names.TFRECORD).glob(f"*/*/{names.TFDS_INFO}")):
        yield from _check_dataset(context, info)


def check_tfrecord_metadata(context: Context) -> Iterator[Finding]:
    """Find keys of the TFRecord shards' JSON that do not follow from the data."""
    if not (context.folder / names.TFRECORD).is_dir():
        raise NotApplicable("there are no TFRecord shards")
    if not context.made_here:
        raise NotApplicable("another version of cxrbuild wrote the shards")
    dataset, recipe = context.document.dataset, context.document.recipe
    folder = names.tfrecord_folder(dataset.name, dataset.version)
    splits: dict[str, SplitInfo] = {}
    for shard in context.shards:
        split = splits.setdefault(shard.split, SplitInfo())
        split.lengths.append(len(shard.images))
        if shard.tfrecord in context.files:
            size = context.files[shard.tfrecord].stat().st_size
            split.record_bytes += size - FRAME_BYTES * len(shard.images)
    released = context.kind == "release"
    documents = {
        "features.json": features(len(context.classes)),
        names.TFDS_INFO: dataset_info(
            splits,
            Description(
                dataset.name,
                dataset.version,
                context.contents.description if released else recipe.description.strip(),
                recipe.citation or "",
            ),
        ),
    }
    for name, expected in documents.items():
        try:
            found = read_json(context.folder / folder / name)
        except (CxrbuildError, OSError) as error:
            yield Finding(f"cannot be read: {error}", f"{folder}/{name}")
            continue
        for key, message in json_differences(expected, found):
            yield Finding(message, f"{folder}/{name}", key or None)


def _check_dataset(context: Context, info: Path) -> Iterator[Finding]:
    name = info.parent.relative_to(context.folder).as_posix()
    lengths: dict[str, int] = {}
    try:
        dataset, lengths = _read_info(info)
    except (CxrbuildError, LookupError, TypeError, ValueError, AttributeError) as error:
        yield Finding(f"is not as TensorFlow Datasets reads it: {error!r}", f"{name}/{info.name}")
    else:
        if dataset != (info.parent.parent.name, info.parent.name):
            yield Finding("is of another name or version than its folder", f"{name}/{info.name}")
    labels = info.with_name("label.labels.txt")
    if not labels.is_file() or labels.read_text(encoding="utf-8").splitlines() != context.classes:
        yield Finding(f"does not list the classes, {', '.join(context.classes)}", f"{name}/label.labels.txt")
    order = {shard.tfrecord: shard.images for shard in expected_shards(context)}
    rows = RowCheck(context.embedded, context.classes, order)
    with context.progress(TFRECORD, len(context.embedded), "image") as bar:
        for path in sorted(info.parent.glob("*.tfrecord-*")):
            file = f"{name}/{path.name}"
            split = split_of(path.name, r"\.tfrecord-\d{5}-of-\d{5}")
            if split is None:
                yield Finding("its name has no split", file)
            count = 0
            try:
                examples = map(read_example, read_records(path))
                while batch := list(islice(examples, BATCH)):
                    yield from _feature_findings(file, batch, count)
                    yield from rows.check(file, split, [_row(example) for example in batch])
                    count += len(batch)
                    bar.update(len(batch))
            except (RecordError, ExampleError, OSError) as error:
                rows.unreadable.add(file)
                yield Finding(f"cannot be read: {error}", file)
            if lengths.pop(path.name, count) != count and file not in rows.unreadable:
                yield Finding(f"the file has {count} rows", f"{name}/{names.TFDS_INFO}", path.name)
    for file in sorted(lengths):
        yield Finding("is missing", f"{name}/{file}")
    yield from rows.absent(name)


def _read_info(info: Path) -> tuple[tuple[str, str], dict[str, int]]:
    """Return the name and version in ``dataset_info.json``, and its number of rows for each file."""
    document = read_json(info)
    name, version = document["name"], document["version"]
    lengths = {}
    for split in document["splits"]:
        of = len(split["shardLengths"])
        for i, length in enumerate(split["shardLengths"]):
            lengths[f"{name}-{split['name']}.tfrecord-{i:05d}-of-{of:05d}"] = int(length)
    return (name, version), lengths


def _feature_findings(file: str, examples: list[Row], start: int) -> Iterator[Finding]:
    """Find records with other features than ``features.json`` declares."""
    expected = {"image", "label", *shard_columns()}
    for i, example in enumerate(examples, start):
        if different := sorted(expected ^ set(example)):
            yield Finding(
                f"the features {', '.join(different)} are missing or not declared", file, f"record {i}"
            )


def _row(example: Row) -> Row:
    """Return an Example as a row of Parquet has it."""
    row: Row = {
        name: value.decode(errors="replace") or None
        for name, value in example.items()
        if isinstance(value, bytes) and name != "image"
    }
    row |= {name: value for name, value in example.items() if not isinstance(value, bytes)}
    row |= {name: None for name in _NUMBERS if isinstance(row.get(name), float) and math.isnan(row[name])}
    row |= {name: None for name in _INTEGERS if row.get(name) == NO_INTEGER}
    image = example.get("image")
    return row | {"image": {"bytes": image if isinstance(image, bytes) else b""}}
