"""Write the shards of every format in one pass: a JPEG is read once, and a file hashed as it is written."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from cxrbuild.artifact import names
from cxrbuild.artifact.build import FileEntry
from cxrbuild.errors import name_some
from cxrbuild.files import json_bytes, write_bytes
from cxrbuild.progress import Bar, Progress, silent
from cxrbuild.shards.hashed_file import hashing
from cxrbuild.shards.images import ImageGroup, read_groups
from cxrbuild.shards.layout import Shard
from cxrbuild.shards.parquet import parquet_writer
from cxrbuild.shards.record import ShardRecord, content_of
from cxrbuild.shards.record_file import FRAME_BYTES
from cxrbuild.shards.tfrecord import Description, SplitInfo, dataset_info, features, write_records

_logger = logging.getLogger(__name__)


def write_shards(
    shards: Sequence[Shard],
    build: Path,
    classes: Sequence[str],
    formats: Collection[str],
    dataset: Description,
    *,
    progress: Progress = silent,
    out: Path | None = None,
    record: ShardRecord | None = None,
) -> dict[str, FileEntry]:
    """Write ``data/`` and ``tfds/<name>/<version>/``; the JPEGs' bytes are unchanged.

    Parameters
    ----------
    shards
        The shards.
    build
        The build's folder; ``jpeg_path`` is relative to it.
    classes
        The classes in the order of their numbers.
    formats
        ``parquet``, ``tfrecord`` or both.
    dataset
        What ``dataset_info.json`` says about the dataset.
    progress
        Opens a progress bar, in images.
    out
        The folder to write to; default the build.
    record
        The finished shards of a former run: those with the same content are kept, no image of them is read.

    Returns
    -------
    dict of str to FileEntry
        The size and hash of each file, by its path in the folder.

    Raises
    ------
    CxrbuildError
        A JPEG has another size than its row.
    OSError
        A file cannot be written.
    """
    root = out or build
    entries: dict[str, FileEntry] = {}
    again: list[str] = []
    with progress("writing shards", sum(len(shard.rows) for shard in shards), "image") as bar:
        for shard in shards:
            content = "" if record is None else content_of(shard, classes)
            paths = {form: _path(form, shard, dataset) for form in sorted(formats)}
            kept = {} if record is None else record.find(content, paths.values())
            todo = {form: path for form, path in paths.items() if path not in kept}
            written = _write_shard(shard, build, root, classes, todo, bar) if todo else {}
            if record is not None and written:
                record.add(content, written)
            entries |= kept | written
            again += written
            if not todo:
                bar.update(len(shard.rows))
    _logger.info(
        "shards: %d files written, %d unchanged, %d bytes",
        len(again), len(entries) - len(again), sum(entry.bytes for entry in entries.values()),
    )  # fmt: skip
    if again and len(again) < len(entries):
        progress.note(f"Written again: {name_some(again)}. The other shards are unchanged.")
    # A release whose pixels are all withheld has no shards for `tfds` to describe.
    if "tfrecord" in formats and shards:
        entries |= _write_metadata(shards, entries, root, classes, dataset)
    return entries


def _write_shard(
    shard: Shard, build: Path, root: Path, classes: Sequence[str], paths: Mapping[str, str], bar: Bar
) -> dict[str, FileEntry]:
    """Write a shard in the formats that are the keys of ``paths``."""
    with ExitStack() as stack:
        files = {form: stack.enter_context(hashing(root / path)) for form, path in paths.items()}
        writers: list[Callable[[ImageGroup], None]] = []
        if "parquet" in files:
            writers.append(stack.enter_context(parquet_writer(files["parquet"], classes)))
        if "tfrecord" in files:
            writers.append(partial(write_records, file=files["tfrecord"], classes=classes))
        # Entered last: its exit waits for what is still written, and then the files are closed.
        threads = stack.enter_context(ThreadPoolExecutor(len(writers)))
        for group in read_groups(shard.rows, build):
            # The formats are written at the same time.
            for written in [threads.submit(writer, group) for writer in writers]:
                written.result()
            bar.update(len(group.rows))
    return {paths[form]: file.entry() for form, file in files.items()}


def _path(form: str, shard: Shard, dataset: Description) -> str:
    if form == "parquet":
        return names.parquet_shard(shard.split, shard.number, shard.of)
    return names.tfrecord_shard(dataset.name, dataset.version, shard.split, shard.number, shard.of)


def _write_metadata(
    shards: Sequence[Shard],
    entries: dict[str, FileEntry],
    root: Path,
    classes: Sequence[str],
    dataset: Description,
) -> dict[str, FileEntry]:
    splits: dict[str, SplitInfo] = {}
    for shard in shards:
        split = splits.setdefault(shard.split, SplitInfo())
        split.record_bytes += entries[_path("tfrecord", shard, dataset)].bytes - FRAME_BYTES * len(shard.rows)
        split.lengths.append(len(shard.rows))
    documents = {
        "features.json": json_bytes(features(len(classes))),
        "label.labels.txt": "".join(f"{label}\n" for label in classes).encode(),
        names.TFDS_INFO: json_bytes(dataset_info(splits, dataset)),
    }
    folder = names.tfrecord_folder(dataset.name, dataset.version)
    for name, content in documents.items():
        write_bytes(root / folder / name, content)
    return {
        f"{folder}/{name}": FileEntry(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
        for name, content in documents.items()
    }
