"""Check ``croissant.json`` of a release that another version made.

``mlcroissant validate`` accepts missing required fields and wrong hashes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from cxrbuild.artifact import names
from cxrbuild.artifact.names import CROISSANT
from cxrbuild.artifact.stored_images import list_shards
from cxrbuild.checks import Finding
from cxrbuild.contents import Contents
from cxrbuild.documents.croissant import CONFORMS_TO, licenses
from cxrbuild.parsing import parse_json
from cxrbuild.records import SPLITS

# https://docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html#required
REQUIRED = (
    "@context", "@type", "conformsTo", "name", "description", "license", "url", "creator", "datePublished",
)  # fmt: skip


def croissant_findings(
    folder: Path, contents: Contents | None, hashes: Mapping[str, str]
) -> Iterator[Finding]:
    """Find what Croissant requires and ``croissant.json`` lacks, and what differs from the data and files.

    Parameters
    ----------
    folder
        The release.
    contents
        What its tables say it holds; ``None`` where they cannot be read.
    hashes
        The SHA-256 of each file.
    """
    path = folder / CROISSANT
    if not path.is_file():
        yield Finding("is missing", CROISSANT)
        return
    try:
        document = parse_json(path.read_text(encoding="utf-8"))
        if contents is not None:
            yield from _field_findings(document, contents)
            yield from _record_set_findings(folder, document, contents)
        yield from _file_findings(folder, document, hashes)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        yield Finding(f"is not Croissant: {error!r}", CROISSANT)


def _field_findings(document: dict[str, Any], contents: Contents) -> Iterator[Finding]:
    for key in REQUIRED:
        if not document.get(key):
            yield Finding("is required", CROISSANT, key)
    missing = str(document.get("rai:dataCollectionMissingData"))
    for reason, n in contents.count_withheld().items():
        if not re.search(rf"\b{re.escape(reason)}: {n:,}(?!\d|,\d)", missing):
            yield Finding(f"lacks {reason}: {n:,}", CROISSANT, "rai:dataCollectionMissingData")
    for title in contents.notices:
        if f"{title}: " not in str(document.get("description")):
            yield Finding(f"lacks the notice {title}", CROISSANT, "description")
    expected = {
        "conformsTo": CONFORMS_TO,
        "name": contents.name,
        "version": contents.version,
        "datePublished": contents.document.date,
        "license": licenses(contents),
    }
    for key, value in expected.items():
        if document.get(key) not in (None, value):
            yield Finding(f"is {document[key]}, not {value}", CROISSANT, key)


def _file_findings(folder: Path, document: dict[str, Any], hashes: Mapping[str, str]) -> Iterator[Finding]:
    objects = [entry for entry in document["distribution"] if entry["@type"] == "cr:FileObject"]
    named = {entry["contentUrl"]: entry for entry in objects}
    for name, entry in sorted(named.items()):
        if name not in hashes:
            yield Finding("there is no such file", CROISSANT, name)
            continue
        actual = {"sha256": hashes[name], "contentSize": f"{(folder / name).stat().st_size} B"}
        for key, value in actual.items():
            if entry.get(key) != value:
                yield Finding(f"{key} is {entry.get(key)}, the file's is {value}", CROISSANT, name)
    data = [name for name in hashes if name.endswith(".parquet") or name.startswith(f"{names.TFRECORD}/")]
    for name in sorted(set(data) - set(named)):
        yield Finding("is no FileObject", CROISSANT, name)
    patterns = [
        pattern
        for entry in document["distribution"]
        if entry["@type"] == "cr:FileSet"
        for pattern in _list(entry["includes"])
    ]
    shards = [name for name in hashes if name.startswith((f"{names.PARQUET}/", f"{names.SIZES}/"))]
    for name in shards:
        if not any(fnmatch(name, pattern) for pattern in patterns):
            yield Finding("is in no FileSet", CROISSANT, name)
    for pattern in patterns:
        if not any(fnmatch(name, pattern) for name in shards):
            yield Finding("the FileSet includes no file", CROISSANT, pattern)


def _record_set_findings(folder: Path, document: dict[str, Any], contents: Contents) -> Iterator[Finding]:
    sets = {entry["@id"]: entry for entry in document["recordSet"]}
    embedded = set(contents.embedded["split"])
    expected = {"classes": ("classes/name", contents.recipe.classes)}
    if embedded:
        expected["splits"] = ("splits/name", [split for split in SPLITS if split in embedded])
    for name, (key, values) in expected.items():
        found = [row.get(key) for row in sets.get(name, {}).get("data", [])]
        if found != values:
            yield Finding(f"is {found}, not {values}", CROISSANT, name)
    columns = {
        "images": next((_columns(path) for path in list_shards(folder)), []),
        "manifest": _columns(folder / names.MANIFEST),
    }
    for name, available in columns.items():
        fields = [
            field["source"]["extract"]["column"]
            for field in sets.get(name, {}).get("field", [])
            if "column" in field["source"]["extract"]
        ]
        for column in sorted(set(fields) ^ set(available)):
            message = "is no column of the files" if column in fields else "the column has no field"
            yield Finding(message, CROISSANT, f"{name}/{column}")


def _columns(path: Path) -> list[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return list(pq.read_schema(path).names)
    except (pa.ArrowException, OSError):
        return []  # reported by the check of the file


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
