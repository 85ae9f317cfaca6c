"""Check ``ro-crate-metadata.json`` of a release that another version made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from cxrbuild.artifact.names import RO_CRATE, SUMS
from cxrbuild.checks import Finding
from cxrbuild.documents.ro_crate import is_data
from cxrbuild.parsing import parse_json


def ro_crate_findings(folder: Path, hashes: Mapping[str, str]) -> Iterator[Finding]:
    """Find files that the document lacks or describes wrongly.

    Parameters
    ----------
    folder
        The release.
    hashes
        The SHA-256 of each file.
    """
    path = folder / RO_CRATE
    if not path.is_file():
        # Versions before it wrote none.
        return
    try:
        document = parse_json(path.read_text(encoding="utf-8"))
        entities = {entity["@id"]: entity for entity in document["@graph"]}
        parts = {part["@id"] for part in entities["./"]["hasPart"]}
        described = {
            name: (entities[name]["sha256"], entities[name]["contentSize"]) for name in parts if is_data(name)
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        yield Finding(f"is not RO-Crate: {error!r}", RO_CRATE)
        return
    files = {name: digest for name, digest in hashes.items() if name not in (RO_CRATE, SUMS)}
    for name in sorted(parts - set(files)):
        yield Finding("there is no such file", RO_CRATE, name)
    for name in sorted(set(files) - parts):
        yield Finding("the file is not described", RO_CRATE, name)
    for name in sorted(set(described) & set(files)):
        expected = files[name], str((folder / name).stat().st_size)
        for key, found, wanted in zip(("sha256", "contentSize"), described[name], expected, strict=True):
            if found != wanted:
                yield Finding(f"{key} is {found}, the file's is {wanted}", RO_CRATE, name)
