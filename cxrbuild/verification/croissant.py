"""Whether ``croissant.json`` has what the specification asks for and agrees with the files.

``mlcroissant validate`` lets missing required fields and wrong hashes pass.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from cxrbuild.contents import Contents
from cxrbuild.documents.croissant import CONFORMS_TO, licenses
from cxrbuild.verification.finding import Finding

CROISSANT = "croissant.json"
# https://docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html#required
REQUIRED = (
    "@context", "@type", "conformsTo", "name", "description", "license", "url", "creator", "datePublished",
)  # fmt: skip


def check_croissant(
    folder: Path, contents: Contents | None, hashes: Mapping[str, str], faults: list[Finding]
) -> None:
    """Check ``croissant.json``, as any version of cxrbuild writes it.

    Parameters
    ----------
    folder
        The release.
    contents
        What its tables say it holds; ``None`` where they cannot be read.
    hashes
        The SHA-256 that each file has.
    faults
        Where faults go.
    """
    path = folder / CROISSANT
    if not path.is_file():
        faults.append(Finding(CROISSANT, None, "is missing"))
        return
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if contents is not None:
            _check_fields(document, contents, faults)
            _check_record_sets(folder, document, contents, faults)
        _check_files(folder, document, hashes, faults)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        faults.append(Finding(CROISSANT, None, f"is not Croissant: {error!r}"))


def _check_fields(document: dict[str, Any], contents: Contents, faults: list[Finding]) -> None:
    faults += [Finding(CROISSANT, key, "is required") for key in REQUIRED if not document.get(key)]
    due = {
        "conformsTo": CONFORMS_TO,
        "name": contents.name,
        "version": contents.version,
        "datePublished": contents.document.date,
        "license": licenses(contents),
    }
    missing = str(document.get("rai:dataCollectionMissingData"))
    faults += [
        Finding(CROISSANT, "rai:dataCollectionMissingData", f"does not say {reason}: {n:,}, and should")
        for reason, n in contents.count_withheld().items()
        if not re.search(rf"\b{re.escape(reason)}: {n:,}(?!\d|,\d)", missing)
    ]
    faults += [
        Finding(CROISSANT, "description", f"does not say {title}, and should")
        for title in contents.notices
        if f"{title}: " not in str(document.get("description"))
    ]
    for key, value in due.items():
        if document.get(key) not in (None, value):
            faults.append(Finding(CROISSANT, key, f"is {document[key]}, not {value}"))


def _check_files(
    folder: Path, document: dict[str, Any], hashes: Mapping[str, str], faults: list[Finding]
) -> None:
    objects = [entry for entry in document["distribution"] if entry["@type"] == "cr:FileObject"]
    named = {entry["contentUrl"]: entry for entry in objects}
    for name, entry in sorted(named.items()):
        if name not in hashes:
            faults.append(Finding(CROISSANT, name, "there is no such file"))
            continue
        if entry.get("sha256") != hashes[name]:
            faults.append(
                Finding(CROISSANT, name, f"sha256 is {entry.get('sha256')}, the file's is {hashes[name]}")
            )
        size = f"{(folder / name).stat().st_size} B"
        if entry.get("contentSize") != size:
            faults.append(
                Finding(CROISSANT, name, f"contentSize is {entry.get('contentSize')}, the file's is {size}")
            )
    data = [name for name in hashes if name.endswith(".parquet") or name.startswith("tfds/")]
    faults += [Finding(CROISSANT, name, "is no FileObject") for name in sorted(set(data) - set(named))]
    patterns = [
        pattern
        for entry in document["distribution"]
        if entry["@type"] == "cr:FileSet"
        for pattern in _list(entry["includes"])
    ]
    shards = [name for name in hashes if name.startswith("data/")]
    for name in shards:
        if not any(fnmatch(name, pattern) for pattern in patterns):
            faults.append(Finding(CROISSANT, name, "is in no FileSet"))
    for pattern in patterns:
        if not any(fnmatch(name, pattern) for name in shards):
            faults.append(Finding(CROISSANT, pattern, "the FileSet includes no file"))


def _check_record_sets(
    folder: Path, document: dict[str, Any], contents: Contents, faults: list[Finding]
) -> None:
    sets = {entry["@id"]: entry for entry in document["recordSet"]}
    embedded = set(contents.embedded["split"])
    due = {"classes": ("classes/name", contents.recipe.classes)}
    if embedded:
        due["splits"] = ("splits/name", [part for part in contents.parts if part in embedded])
    for name, (key, words) in due.items():
        told = [row.get(key) for row in sets.get(name, {}).get("data", [])]
        if told != words:
            faults.append(Finding(CROISSANT, name, f"is {told}, not {words}"))
    columns = {
        "images": next((_columns(path) for path in sorted((folder / "data").glob("*.parquet"))), []),
        "manifest": _columns(folder / "manifest.parquet"),
    }
    for name, there in columns.items():
        told = [
            field["source"]["extract"]["column"]
            for field in sets.get(name, {}).get("field", [])
            if "column" in field["source"]["extract"]
        ]
        for column in sorted(set(told) ^ set(there)):
            what = "is no column of the files" if column in told else "the column has no field"
            faults.append(Finding(CROISSANT, f"{name}/{column}", what))


def _columns(path: Path) -> list[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return list(pq.read_schema(path).names)
    except (pa.ArrowException, OSError):
        return []  # told where the file itself is checked


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
