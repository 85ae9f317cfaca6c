"""Croissant 1.1: the files, the meaning of their columns, and what to know before use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cxrbuild.artifact import names
from cxrbuild.contents import Contents
from cxrbuild.documents.lineage import (
    creators,
    derived_from,
    grants,
    related_works,
    software,
    usage_conditions,
)
from cxrbuild.records import COLUMNS, written_columns
from cxrbuild.shards import shard_columns

CONFORMS_TO = "http://mlcommons.org/croissant/1.1"
# As the specification gives it: https://docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html
_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "prov": "http://www.w3.org/ns/prov#",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "sdVersion": "cr:sdVersion",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
_TYPES = {"text": "sc:Text", "integer": "sc:Integer", "number": "sc:Float", "boolean": "sc:Boolean"}
_FORMATS = {".parquet": "application/x-parquet", ".csv": "text/csv", ".json": "application/json"}
# The files that it lists in addition to the shards, in this order.
_TABLES = (names.MANIFEST, names.LEDGER, names.ATTRIBUTION, names.IMAGE_LIST)


def croissant(folder: Path, contents: Contents, hashes: Mapping[str, str]) -> dict[str, Any]:
    """Return ``croissant.json``.

    Parameters
    ----------
    folder
        The release.
    contents
        Its content.
    hashes
        The SHA-256 of its files by name.
    """
    recipe, sheet = contents.recipe, contents.recipe.datasheet
    shards = sorted(name for name in hashes if name.startswith(("data/", "tfds/", "sizes/")))
    files = [*shards, *(name for name in _TABLES if name in hashes)]
    splits = [split for split in contents.splits if any(name.startswith(f"data/{split}-") for name in shards)]
    # `None` are the images' own sizes.
    sizes: list[int | None] = [None, *contents.document.sizes] if splits else []
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS_TO,
        "name": contents.name,
        "description": contents.description,
        "version": contents.version,
        # The metadata follow from the release alone.
        "sdVersion": contents.version,
        "license": licenses(contents),
        "url": sheet.homepage or f"urn:dataset:{contents.name}:{contents.version}",
        "creator": creators(contents),
        "datePublished": contents.document.date,
        "citeAs": recipe.citation or recipe.title,
        "keywords": sheet.keywords or [contents.name],
        "isLiveDataset": False,
        **_lineage(contents),
        **_responsible(contents),
        "distribution": [
            *(_file(folder, name, hashes[name]) for name in files),
            *(_file_set(splits, size) for size in sizes),
        ],
        "recordSet": [
            *_enumerations(recipe.classes, splits),
            *(_images(splits, size) for size in sizes),
            _manifest(contents),
        ],
    }


def licenses(contents: Contents) -> list[str]:
    """Return the licences of the included pixels, as URLs or ``LicenseRef``."""
    names = sorted(set(contents.embedded["license"]))
    return [_license(name) for name in names] or ["NOASSERTION"]


def _license(name: str) -> str:
    if name == "unknown":
        return "NOASSERTION"
    return name if name.startswith("LicenseRef-") else f"https://spdx.org/licenses/{name}"


def _lineage(contents: Contents) -> dict[str, Any]:
    """Return provenance and conditions of use, as the specification recommends; funding and related works."""
    program = software(contents)
    activity = {
        "@type": "prov:Activity",
        "prov:label": "cxrbuild curate, cxrbuild release",
        "prov:wasAssociatedWith": {
            "@type": "prov:SoftwareAgent",
            "prov:label": f"{program['name']} {program['version']}",
        },
    }
    sources = [
        {"@type": "prov:Entity", "prov:label": source["name"]}
        | {key: source[key] for key in ("@id", "version", "license") if key in source}
        for source in derived_from(contents)
    ]
    fields = {
        "prov:wasDerivedFrom": sources,
        "prov:wasGeneratedBy": activity,
        "usageInfo": usage_conditions(contents),
        "funding": grants(contents),
        "citation": related_works(contents),
    }
    return {key: value for key, value in fields.items() if value}


def _responsible(contents: Contents) -> dict[str, Any]:
    """Return the fields of the RAI vocabulary: https://docs.mlcommons.org/croissant/docs/croissant-rai-spec.html."""
    sheet = contents.recipe.datasheet
    rules = [
        f"{step.name}: {step.images:,} excluded. {step.sentence or step.reason}" for step in contents.steps()
    ]
    raw = [
        f"{name}: {source.title}" + (f", {source.homepage}" if source.homepage else "")
        for name, source in contents.sources.items()
    ]
    withheld = [f"{reason}: {images:,}" for reason, images in contents.count_withheld().items()]
    missing = [f"{title}: {text}" for title, text in contents.notices.items()]
    missing += ["Pixels withheld, " + ", ".join(withheld)] if withheld else []
    fields = {
        "rai:dataCollection": sheet.collection.strip(),
        "rai:dataCollectionRawData": "; ".join(raw),
        "rai:dataCollectionMissingData": " ".join(missing),
        "rai:dataPreprocessingProtocol": [
            *rules,
            f"Converted to 8-bit grey JPEG, quality {contents.recipe.conversion.quality}.",
        ],
        "rai:dataAnnotationProtocol": [sheet.annotation.strip()] if sheet.annotation else [],
        "rai:dataBiases": [
            *sheet.biases,
            *contents.confounded(),
            *contents.rare_classes(),
            *contents.measured_biases,
        ],
        "rai:dataLimitations": [*sheet.limitations, *contents.audit_notes],
        "rai:dataUseCases": [*sheet.uses, *(f"Not for: {text}" for text in sheet.misuses)],
        "rai:dataSocialImpact": sheet.social_impact.strip(),
        "rai:personalSensitiveInformation": [sheet.sensitive.strip()] if sheet.sensitive else [],
        "rai:dataReleaseMaintenancePlan": sheet.maintenance.strip(),
    }
    return {key: value for key, value in fields.items() if value}


def _file(folder: Path, name: str, digest: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "contentUrl": name,
        "contentSize": f"{(folder / name).stat().st_size} B",
        "encodingFormat": _FORMATS.get(Path(name).suffix, "application/octet-stream"),
        "sha256": digest,
    }


def _file_set(splits: Sequence[str], size: int | None) -> dict[str, Any]:
    folder = names.PARQUET if size is None else names.sized_folder(size)
    name = "shards" if size is None else f"shards-{size}"
    words = "Pixels, labels and the columns that training needs."
    return {
        "@type": "cr:FileSet",
        "@id": name,
        "name": name,
        "description": words if size is None else f"{words} Images of {size} x {size} pixels.",
        "encodingFormat": "application/x-parquet",
        "includes": [f"{folder}/{split}-*.parquet" for split in splits],
    }


def _enumerations(classes: Sequence[str], splits: Sequence[str]) -> list[dict[str, Any]]:
    def field(record_set: str, name: str, kind: str, words: str) -> dict[str, Any]:
        return {
            "@type": "cr:Field",
            "@id": f"{record_set}/{name}",
            "name": name,
            "description": words,
            "dataType": kind,
        }

    labels = [{"classes/number": i, "classes/name": label} for i, label in enumerate(classes)]
    sets = [
        {
            "@type": "cr:RecordSet",
            "@id": "classes",
            "name": "classes",
            "description": "The classes and their numbers.",
            "key": {"@id": "classes/number"},
            "field": [
                field("classes", "number", "sc:Integer", "The value of `label`."),
                field("classes", "name", "sc:Text", "The class."),
            ],
            "data": labels,
        }
    ]
    if splits:
        sets.append({
            "@type": "cr:RecordSet",
            "@id": "splits",
            "name": "splits",
            "dataType": "cr:Split",
            "description": "The splits that have pixels in this release.",
            "key": {"@id": "splits/name"},
            "field": [field("splits", "name", "sc:Text", "The split.")],
            "data": [{"splits/name": split} for split in splits],
        })  # fmt: skip
    return sets


def _images(splits: Sequence[str], size: int | None) -> dict[str, Any]:
    columns = {column.name: column for column in COLUMNS}
    ending = "" if size is None else f"-{size}"
    folder = names.PARQUET if size is None else names.sized_folder(size)

    def field(name: str, kind: str, words: str, extract: dict[str, Any], **more: Any) -> dict[str, Any]:
        source = {"fileSet": {"@id": f"shards{ending}"}, "extract": extract}
        source |= {"transform": more.pop("transform")} if "transform" in more else {}
        return {
            "@type": "cr:Field",
            "@id": f"images{ending}/{name}",
            "name": name,
            "description": words,
            "dataType": kind,
            "source": source,
            **more,
        }

    image_words = "The image, an 8-bit JPEG of one channel."
    if size is not None:
        image_words = f"The image, resized once to {size} x {size} pixels (Pillow, bicubic), as PNG."
    split = field(
        "split",
        "sc:Text",
        "The split.",
        {"fileProperty": "fullpath"},
        # mlcroissant applies the expression again to its first result.
        transform={"regex": f"^(?:{folder}/)?({'|'.join(splits)})(?:-.+[.]parquet)?$"},
        references={"field": {"@id": "splits/name"}},
    )
    image = field(
        "image", "sc:ImageObject", image_words, {"column": "image"}, transform={"jsonPath": "bytes"},
    )  # fmt: skip
    label = field("label", "sc:Integer", "The number of the class: see `classes`.", {"column": "label"})
    rest = [
        field(name, _TYPES[columns[name].kind], columns[name].description, {"column": name})
        for name in shard_columns()
    ]
    return {
        "@type": "cr:RecordSet",
        "@id": f"images{ending}",
        "name": f"images{ending}",
        "description": "A record for every image whose pixels are in this release.",
        "field": [split, image, label, *rest],
    }


def _manifest(contents: Contents) -> dict[str, Any]:
    written = written_columns(contents.kept)
    return {
        "@type": "cr:RecordSet",
        "@id": "manifest",
        "name": "manifest",
        "description": "A record for every image of the dataset, with or without pixels in this release.",
        "key": {"@id": "manifest/image_id"},
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"manifest/{column.name}",
                "name": column.name,
                "description": column.description,
                "dataType": _TYPES[column.kind],
                "source": {"fileObject": {"@id": names.MANIFEST}, "extract": {"column": column.name}},
            }
            for column in COLUMNS
            if column.name in written
        ],
    }
