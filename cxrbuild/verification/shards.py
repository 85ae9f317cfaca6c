"""Whether the shards hold the manifest's rows with the manifest's pixels, row by row."""

from __future__ import annotations

import json
import math
import os
import re
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cxrbuild.errors import CxrbuildError
from cxrbuild.files import read_json
from cxrbuild.progress import Progress
from cxrbuild.records import COLUMNS, schema
from cxrbuild.shards import shard_columns
from cxrbuild.verification.finding import Finding
from cxrbuild.verification.jpeg import check_jpeg
from cxrbuild.verification.tfrecord import RecordError, read_examples

if TYPE_CHECKING:
    import pandas as pd

# Films in memory at once.
_BATCH = 64
_NUMBERS = {column.name for column in COLUMNS if column.kind == "number"}
_Record = dict[str, Any]


def check_parquet(
    folder: Path, embedded: pd.DataFrame, classes: list[str], progress: Progress, faults: list[Finding]
) -> dict[str, dict[str, int]]:
    """Check ``data/*.parquet``.

    Parameters
    ----------
    folder
        The release or build.
    embedded
        The rows of the manifest whose pixels should be there.
    classes
        The classes in the order of their numbers.
    progress
        Told how many films are read.
    faults
        Where faults go.

    Returns
    -------
    dict
        For each part the rows that are there and their uncompressed bytes, as the card tells them.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    splits: dict[str, dict[str, int]] = {}
    seen: set[str] = set()
    with progress("checking Parquet", len(embedded), "image") as bar:
        for path in sorted((folder / "data").glob("*.parquet")):
            name, part = (
                f"data/{path.name}",
                _part(path.name, r"-(\d{5})-of-(\d{5})\.parquet", faults, "data/"),
            )
            try:
                with pq.ParquetFile(path) as file:
                    if not _check_schema(name, file.schema_arrow, classes, faults):
                        continue
                    sizes = [file.metadata.row_group(i).total_byte_size for i in range(file.num_row_groups)]
                    split = splits.setdefault(part, {"num_bytes": 0, "num_examples": 0})
                    split["num_bytes"] += sum(sizes)
                    split["num_examples"] += file.metadata.num_rows
                    for batch in file.iter_batches(_BATCH):
                        _check_rows(name, part, batch.to_pylist(), embedded, classes, seen, faults)
                        bar.update(batch.num_rows)
            except (pa.ArrowException, OSError) as error:
                faults.append(Finding(name, None, f"cannot be read: {error}"))
    _check_seen("data", embedded, seen, faults)
    return splits


def classes_of_shards(folder: Path) -> list[str]:
    """Return the classes that the shards themselves name, in the order of their numbers."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    for path in sorted((folder / "data").glob("*.parquet")):
        try:
            if names := _class_names(pq.read_schema(path)):
                return names
        except (pa.ArrowException, OSError):
            continue  # told where the shard itself is checked
    for path in sorted((folder / "tfds").glob("*/*/label.labels.txt")):
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    return []


def _class_names(arrow: Any) -> list[str] | None:
    try:
        names: list[str] = json.loads(arrow.metadata[b"huggingface"])["info"]["features"]["label"]["names"]
    except (KeyError, TypeError, ValueError):
        return None
    return names


def check_tfrecord(
    folder: Path, embedded: pd.DataFrame, classes: list[str], progress: Progress, faults: list[Finding]
) -> None:
    """Check ``tfds/<name>/<version>/``: records, lengths of the shards, names of the classes."""
    for info in sorted((folder / "tfds").glob("*/*/dataset_info.json")):
        name = info.parent.relative_to(folder).as_posix()
        told = _told_lengths(folder, info, faults)
        labels = info.with_name("label.labels.txt")
        if not labels.is_file() or labels.read_text(encoding="utf-8").splitlines() != classes:
            faults.append(
                Finding(f"{name}/label.labels.txt", None, f"is not the classes, {', '.join(classes)}")
            )
        seen: set[str] = set()
        with progress("checking TFRecord", len(embedded), "image") as bar:
            for path in sorted(info.parent.glob("*.tfrecord-*")):
                part = _part(path.name, r"\.tfrecord-(\d{5})-of-(\d{5})", faults, f"{name}/")
                count = 0
                try:
                    examples = read_examples(path)
                    while records := list(islice(examples, _BATCH)):
                        rows = [_record(record) for record in records]
                        _check_rows(f"{name}/{path.name}", part, rows, embedded, classes, seen, faults)
                        count += len(rows)
                        bar.update(len(rows))
                except (RecordError, OSError) as error:
                    faults.append(Finding(f"{name}/{path.name}", None, f"cannot be read: {error}"))
                if told.pop(path.name, count) != count:
                    faults.append(
                        Finding(f"{name}/dataset_info.json", path.name, f"the file has {count} rows")
                    )
        faults += [Finding(f"{name}/{file}", None, "is missing") for file in sorted(told)]
        _check_seen(name, embedded, seen, faults)


def _told_lengths(folder: Path, info: Path, faults: list[Finding]) -> dict[str, int]:
    """Return the rows that ``dataset_info.json`` says each file has."""
    told = {}
    try:
        document = read_json(info)
        for split in document["splits"]:
            lengths = split["shardLengths"]
            for i, length in enumerate(lengths):
                file = f"{document['name']}-{split['name']}.tfrecord-{i:05d}-of-{len(lengths):05d}"
                told[file] = int(length)
        if document["version"] != info.parent.name or document["name"] != info.parent.parent.name:
            faults.append(
                Finding(info.relative_to(folder).as_posix(), None, "is not of this name and version")
            )
    except (CxrbuildError, KeyError, TypeError, ValueError) as error:
        faults.append(Finding(info.relative_to(folder).as_posix(), None, f"is not as expected: {error!r}"))
    return told


def _part(name: str, pattern: str, faults: list[Finding], folder: str) -> str:
    match = re.fullmatch(r"(?:.*-)?(train|validation|test)" + pattern, name)
    if match is None:
        faults.append(Finding(folder + name, None, "its name says no part"))
        return ""
    return match[1]


def _check_schema(name: str, arrow: Any, classes: list[str], faults: list[Finding]) -> bool:
    """Check that a shard has its columns, and that Hugging Face datasets finds images and classes in it."""
    due = {"image": "struct<bytes: binary, path: string>", "label": "int64"}
    due |= {column: str(schema().field(column).type) for column in shard_columns()}
    found = {field.name: str(field.type) for field in arrow}
    wrong = [column for column in due if found.get(column) != due[column]]
    faults += [
        Finding(name, column, f"is of type {found.get(column, 'none')}, not {due[column]}")
        for column in wrong
    ]
    told = _class_names(arrow)
    if told != classes:
        faults.append(Finding(name, "label", f"its class names are {told}, not {classes}"))
    return not wrong


def _record(example: _Record) -> _Record:
    """Return an Example as a row of Parquet has it."""
    row: _Record = {
        name: value.decode(errors="replace") or None
        for name, value in example.items()
        if isinstance(value, bytes) and name != "image"
    }
    row |= {name: value for name, value in example.items() if not isinstance(value, bytes)}
    row |= {name: None for name in _NUMBERS if isinstance(row.get(name), float) and math.isnan(row[name])}
    return row | {"image": {"bytes": example.get("image", b"")}}


def _check_rows(
    file: str, part: str, rows: list[_Record], embedded: pd.DataFrame, classes: list[str],
    seen: set[str], faults: list[Finding],
) -> None:  # fmt: skip
    """Check some rows of a shard against the manifest; ``embedded`` is indexed by image_id."""
    known: list[tuple[_Record, dict[str, Any]]] = []
    ids = [row.get("image_id") for row in rows]
    present = [image for image in dict.fromkeys(ids) if image in embedded.index]
    due_rows = embedded.loc[present].to_dict("index")
    for image, row in zip(ids, rows, strict=True):
        if image is None or image not in due_rows:
            faults.append(Finding(file, str(image), "is no row of the manifest with pixels here"))
            continue
        if image in seen:
            faults.append(Finding(file, image, "stands in the shards twice"))
        seen.add(image)
        due: dict[str, Any] = due_rows[image]  # type: ignore[assignment]
        if part and due["split"] != part:
            faults.append(Finding(file, image, f"stands in {part}, the manifest says {due['split']}"))
        number = row.get("label")
        label = classes[number] if isinstance(number, int) and 0 <= number < len(classes) else number
        if label != due["label"]:
            faults.append(Finding(file, image, f"label is {label}, the manifest says {due['label']}"))
        for column in shard_columns():
            wanted, found = due.get(column), row.get(column)
            if column != "image_id" and not _same(wanted, found):
                faults.append(Finding(file, image, f"{column} is {found}, the manifest says {wanted}"))
        known.append((row, due))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        checked = pool.map(lambda pair: check_jpeg(_pixels(pair[0]), pair[1]), known)
        for (row, _), wrong in zip(known, checked, strict=True):
            faults += [Finding(file, row["image_id"], what) for what in wrong]


def _pixels(row: _Record) -> bytes:
    image = row["image"]
    return (image["bytes"] if isinstance(image, dict) else None) or b""


def _same(wanted: Any, found: Any) -> bool:
    import pandas as pd

    if wanted is None or pd.isna(wanted):
        return found is None or found == "" or found != found
    if isinstance(found, float):
        # TFRecord has 32 bits for a number.
        return math.isclose(found, float(wanted), rel_tol=1e-6)
    return bool(wanted == found)


def _check_seen(folder: str, embedded: pd.DataFrame, seen: set[str], faults: list[Finding]) -> None:
    faults += [
        Finding(folder, str(image), "is in no shard; the manifest says that its pixels are here")
        for image in embedded.index
        if image not in seen
    ]
