"""RO-Crate 1.3: every file of a release, who made it, and what it was made from, as linked data.

https://www.researchobject.org/ro-crate/specification/1.3/
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cxrbuild.artifact import names
from cxrbuild.catalog.license import read_licenses
from cxrbuild.contents import Contents
from cxrbuild.documents.croissant import CONFORMS_TO, licenses
from cxrbuild.documents.lineage import (
    Entity,
    creators,
    derived_from,
    grants,
    related_works,
    software,
    usage_conditions,
)

_VERSION = "https://w3id.org/ro/crate/1.3"
# Media types: https://www.iana.org/assignments/media-types
_FORMATS = {
    ".bib": "application/x-bibtex",
    ".cff": "application/yaml",
    ".csv": "text/csv",
    ".html": "text/html",
    ".json": "application/json",
    ".md": "text/markdown",
    ".parquet": "application/vnd.apache.parquet",
    ".txt": "text/plain",
}
_DESCRIPTIONS = {
    names.ATTRIBUTION: "licence, author or DOI, and changes of each image",
    names.AUDIT: "result of the audit",
    names.BIBTEX: "how to cite the release, as BibTeX",
    names.BUILD: "recipe, pins, versions and counts",
    names.CARD: "dataset card",
    names.CHANGELOG: "what changed in each version",
    names.CITATION: "how to cite the release",
    names.CROISSANT: "description for machine learning: Croissant 1.1",
    names.IMAGE_LIST: "list of images for torchxrayvision",
    names.LEDGER: "a row for every upstream image, kept or excluded",
    names.MANIFEST: "a row for every image of the dataset",
    names.RELEASED_BASELINE: "result of the baseline",
    names.REPORT: "report for offline reading",
}


def ro_crate(folder: Path, contents: Contents, hashes: Mapping[str, str]) -> dict[str, Any]:
    """Return ``ro-crate-metadata.json``.

    Parameters
    ----------
    folder
        The release.
    contents
        Its content.
    hashes
        The SHA-256 of its files by name. ``SHA256SUMS`` and the document itself are not in it.
    """
    files = [name for name in sorted(hashes) if name not in (names.RO_CRATE, names.SUMS)]
    sheet = contents.recipe.datasheet
    sources = [_with_license(source) for source in derived_from(contents)]
    paid = grants(contents)
    root: Entity = {
        "@id": "./",
        "@type": "Dataset",
        "name": contents.recipe.title,
        "description": contents.description,
        "version": contents.version,
        "datePublished": contents.document.date,
        "license": _licenses(contents),
        "author": creators(contents),
        "keywords": sheet.keywords or [contents.name],
        "isBasedOn": sources,
        "funding": paid,
        "funder": [grant["funder"] for grant in paid],
        "citation": related_works(contents),
        "usageInfo": usage_conditions(contents),
        "mentions": _creation(contents, sources),
        "hasPart": [_file(folder, name, hashes[name], contents) for name in files],
    }
    if sheet.homepage:
        root["url"] = sheet.homepage
    descriptor: Entity = {
        "@id": names.RO_CRATE,
        "@type": "CreativeWork",
        "conformsTo": {"@id": _VERSION},
        "about": {"@id": "./"},
    }
    graph = _Graph()
    graph.add({key: value for key, value in root.items() if value})
    return {"@context": f"{_VERSION}/context", "@graph": [descriptor, *graph.entities.values()]}


class _Graph:
    """Entities in a flat list, each with an id, as RO-Crate requires."""

    def __init__(self) -> None:
        self.entities: dict[str, Entity] = {}

    def add(self, entity: Entity) -> Entity:
        """Add an entity with those in it; return a reference to it."""
        if set(entity) == {"@id"}:
            return entity
        name = entity.get("@id") or self._name(entity)
        # Its place is before those of the entities in it.
        self.entities.setdefault(name, {"@id": name})
        self.entities[name] |= {key: self._flat(value) for key, value in entity.items() if key != "@id"}
        return {"@id": name}

    def _flat(self, value: Any) -> Any:
        if isinstance(value, dict):
            return self.add(value)
        if isinstance(value, list):
            # The specification recommends one value instead of a list of one.
            return [self._flat(one) for one in value] if len(value) > 1 else self._flat(value[0])
        return value

    def _name(self, entity: Entity) -> str:
        """Return the id of an equal entity that is there, or a new one."""
        flat = {key: self._flat(value) for key, value in entity.items()}
        kind = f"#{str(entity['@type']).lower()}"
        same = [n for n, one in self.entities.items() if {k: v for k, v in one.items() if k != "@id"} == flat]
        if same:
            return same[0]
        return f"{kind}-{1 + sum(name.startswith(f'{kind}-') for name in self.entities)}"


def is_data(name: str) -> bool:
    """Return whether a file has data: RO-Crate has its size and hash. `SHA256SUMS` has those of all files."""
    return name.endswith(".parquet") or name.startswith(f"{names.TFRECORD}/")


def _file(folder: Path, name: str, digest: str, contents: Contents) -> Entity:
    entity: Entity = {
        "@id": name,
        "@type": "File",
        "name": name,
        "description": _describe(name, contents),
        "encodingFormat": _FORMATS.get(Path(name).suffix, "application/octet-stream"),
    }
    if is_data(name):
        entity |= {"contentSize": str((folder / name).stat().st_size), "sha256": digest}
    if name == names.CROISSANT:
        entity["conformsTo"] = {"@id": CONFORMS_TO, "@type": "CreativeWork", "name": "Croissant 1.1"}
    return entity


def _describe(name: str, contents: Contents) -> str:
    text = _DESCRIPTIONS.get(name) or _describe_shard(name)
    if name == names.LEDGER and contents.unlisted:
        text += f"; of {', '.join(sorted(contents.unlisted))}, for every kept image alone"
    return text


def _describe_shard(name: str) -> str:
    if name.startswith(f"{names.TFRECORD}/"):
        return "images and labels for TensorFlow Datasets"
    if name.startswith(f"{names.SIZES}/"):
        return f"images of {name.split('/')[1]} x {name.split('/')[1]} pixels and labels"
    if name.startswith(f"{names.PARQUET}/"):
        return "images and labels for Hugging Face datasets"
    return "file of the release"


def _licenses(contents: Contents) -> list[Entity]:
    """Return the licences of the images whose pixels are included; `ATTRIBUTION.csv` has that of each."""
    return [_license(address) for address in licenses(contents)]


def _license(address: str) -> Entity:
    name = address.rpartition("/")[2]
    known = read_licenses().get(name)
    title = "No licence is stated" if name == "NOASSERTION" else name
    return {
        "@id": address if "/" in address else f"#{address}", "@type": "CreativeWork",
        "name": title if known is None else known.title, "description": f"See {names.ATTRIBUTION}.",
    }  # fmt: skip


def _with_license(source: Entity) -> Entity:
    return source | ({"license": _license(source["license"])} if "license" in source else {})


def _creation(contents: Contents, sources: list[Entity]) -> Entity:
    return {
        "@id": "#creation",
        "@type": "CreateAction",
        "name": "cxrbuild curate, cxrbuild release",
        "instrument": software(contents),
        "object": [{"@id": source["@id"]} for source in sources],
        "result": {"@id": "./"},
    }
