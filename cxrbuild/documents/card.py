"""The dataset card: YAML that Hugging Face reads, and prose for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cxrbuild.catalog.license import License, read_licenses
from cxrbuild.contents import Contents
from cxrbuild.documents.rebuild import added_reviews, is_shipped, rebuild_commands
from cxrbuild.policy import WITHHELD
from cxrbuild.records import COLUMNS
from cxrbuild.shards import shard_columns

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def card(
    contents: Contents,
    *,
    splits: Mapping[str, Mapping[str, int]],
    download_size: int,
    tfds: str | None,
    audit: bool,
    baseline: bool,
) -> str:
    """Return ``README.md``.

    The YAML is that of https://github.com/huggingface/hub-docs/blob/main/datasetcard.md.

    Parameters
    ----------
    contents
        What the release holds.
    splits
        For each part in the Parquet shards its num_examples and num_bytes.
    download_size
        Bytes of the Parquet shards.
    tfds
        Where the TFRecords are within the release, ``None`` where there are none.
    audit, baseline
        Whether the release has their outcome.
    """
    import yaml
    from jinja2 import Environment, PackageLoader, StrictUndefined

    front = _front_matter(contents, splits, download_size)
    environment = Environment(
        loader=PackageLoader("cxrbuild.documents", ""),
        trim_blocks=False,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701  Markdown
    )
    environment.filters["flat"] = lambda text: " ".join(text.split())
    return environment.get_template("card.md.j2").render(
        front_matter=yaml.safe_dump(front, sort_keys=False, allow_unicode=True, width=1000),
        c=contents,
        sheet=contents.recipe.datasheet,
        all=contents.count(contents.kept),
        embedded=contents.count(contents.embedded),
        by_source=contents.count_by("source", contents.kept),
        conversions=contents.kept["conversion"].value_counts().to_dict(),
        confounded=contents.confounded(),
        licenses=_licenses(contents),
        reasons=WITHHELD,
        split_words=_split_words(contents),
        unviewed=_unviewed(contents),
        libraries=", ".join(f"{name} {version}" for name, version in contents.document.libraries.items()),
        tfds=tfds,
        rebuild=rebuild_commands(contents),
        shipped=is_shipped(contents.recipe),
        reviews=added_reviews(contents),
        audit=audit,
        baseline=baseline,
        n=lambda number: f"{number:,}",
    )


def _front_matter(
    contents: Contents, splits: Mapping[str, Mapping[str, int]], download_size: int
) -> dict[str, Any]:
    kinds = {column.name: column.kind for column in COLUMNS}
    names = {str(i): label for i, label in enumerate(contents.recipe.classes)}
    features: list[dict[str, Any]] = [
        {"name": "image", "dtype": "image"},
        {"name": "label", "dtype": {"class_label": {"names": names}}},
    ]
    features += [
        {"name": name, "dtype": "float64" if kinds[name] == "number" else "string"}
        for name in shard_columns()
    ]
    images = sum(split["num_examples"] for split in splits.values())
    return {
        "pretty_name": contents.recipe.title,
        # Each image has its own.
        "license": "other",
        "license_name": "per-image",
        "license_link": "ATTRIBUTION.csv",
        "task_categories": ["image-classification"],
        "tags": ["medical", *contents.recipe.datasheet.keywords],
        "size_categories": [next((word for most, word in _SIZES if images < most), "n>1M")],
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": part, "path": f"data/{part}-*.parquet"} for part in splits],
            }
        ],
        "dataset_info": {
            "features": features,
            "splits": [{"name": part, **numbers} for part, numbers in splits.items()],
            "download_size": download_size,
            "dataset_size": sum(split["num_bytes"] for split in splits.values()),
        },
    }


def _licenses(contents: Contents) -> list[dict[str, Any]]:
    known = read_licenses()
    kept = contents.kept["license"].value_counts()
    embedded = contents.embedded["license"].value_counts()
    return [
        {
            "name": name,
            "images": int(images),
            "embedded": int(embedded.get(name, 0)),
            "conditions": _asks(known.get(str(name))),
        }
        for name, images in sorted(kept.items(), key=lambda item: (-item[1], str(item[0])))
    ]


def _asks(licence: License | None) -> str:
    if licence is None:
        return "not known"
    return ", ".join(licence.conditions) if licence.redistribution else "does not allow copies"


def _unviewed(contents: Contents) -> str:
    """Return in words how many films of each class have no known view."""
    unknown = contents.kept[contents.kept["view_position"].isna()]
    sizes = {label: int((unknown["label"] == label).sum()) for label in contents.recipe.classes}
    return ", ".join(f"{n:,} of {label}" for label, n in sizes.items() if n)


def _split_words(contents: Contents) -> str:
    split = contents.recipe.split
    words = [
        f"{declared.source} says its part itself ("
        + ", ".join(f"{theirs} is {ours}" for theirs, ours in declared.map.items())
        + ")."
        for declared in split.declared
    ]
    for name in ("test", "validation"):
        part = getattr(split, name)
        if part is None:
            continue
        if part.count is not None:
            sizes = ", ".join(f"{count} of {label}" for label, count in part.count.items())
            words.append(f"Of the others whole patients are drawn into {name} by a hash: {sizes}.")
        else:
            words.append(f"Of the others a share of {part.share:g} of the patients is drawn into {name}.")
    return " ".join(words)
