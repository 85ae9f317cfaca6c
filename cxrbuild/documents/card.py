"""The dataset card: YAML that the Hugging Face Hub reads, and text."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from cxrbuild.artifact import names
from cxrbuild.artifact import names as artifact_names
from cxrbuild.artifact.correction import shown
from cxrbuild.catalog.class_name import READ_AS_MISSING
from cxrbuild.contents import Contents
from cxrbuild.documents.license_table import describe_attribution, list_licenses
from cxrbuild.documents.rebuild import added_reviews, is_shipped, rebuild_commands
from cxrbuild.exactness import exactness_table
from cxrbuild.policy import MOST_AGE, WITHHELD, count_unreviewed
from cxrbuild.records import COLUMNS, written_columns
from cxrbuild.shards import shard_columns
from cxrbuild.templates import markdown_environment

# How many corrections the card lists.
_MOST_CORRECTIONS = 20
# Hugging Face's types.
_DTYPES = {"text": "string", "integer": "int64", "number": "float64", "boolean": "bool"}
# https://huggingface.co/docs/hub/repositories-licenses; others are `other` there.
_HUB_LICENSES = frozenset({
    "cc0-1.0", "pddl", "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0",
    "cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0",
    "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0", "cc-by-nd-4.0", "apache-2.0", "mit",
})  # fmt: skip
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def card(
    contents: Contents,
    *,
    splits: Mapping[str, Mapping[str, int]],
    download_size: int,
    tfds: str | None,
    results: Collection[str],
) -> str:
    """Return ``README.md``.

    The YAML is that of https://github.com/huggingface/hub-docs/blob/main/datasetcard.md.

    Parameters
    ----------
    contents
        The content of the release.
    splits
        The num_examples and num_bytes of each split of the Parquet shards.
    download_size
        Size of the Parquet shards in bytes.
    tfds
        Folder of the TFRecord shards within the release, ``None`` without TFRecord.
    results
        Which of ``audit``, ``baseline`` and ``explanation`` it has.
    """
    import yaml

    front = _front_matter(contents, splits, download_size)
    text = (
        markdown_environment("cxrbuild.documents")
        .get_template("card.md.j2")
        .render(
            front_matter=yaml.safe_dump(front, sort_keys=False, allow_unicode=True, width=1000),
            c=contents,
            sheet=contents.recipe.datasheet,
            old_ages=MOST_AGE if _has_old_ages(contents) else None,
            exactness=_exactness(contents),
            all=contents.count(contents.kept),
            embedded=contents.count(contents.embedded),
            by_source=contents.count_by("source", contents.kept),
            conversions=contents.kept["conversion"].value_counts().to_dict(),
            counted=[*contents.confounded(), *contents.rare_classes()],
            licenses=list_licenses(contents.kept, contents.embedded),
            reasons=WITHHELD,
            split_text=_split_text(contents),
            unviewed=_unviewed(contents),
            read_as_missing=[label for label in contents.recipe.classes if label in READ_AS_MISSING],
            libraries=", ".join(f"{name} {version}" for name, version in contents.document.libraries.items()),
            tfds=tfds,
            rebuild=rebuild_commands(contents),
            shipped=is_shipped(contents.recipe),
            reviews=added_reviews(contents),
            corrections=contents.document.corrections,
            most_corrections=_MOST_CORRECTIONS,
            shown=shown,
            corrected_texts=_corrected_texts(contents),
            attributed=describe_attribution(contents),
            cited=[name for name, source in contents.sources.items() if source.citation],
            verified=[name for name in contents.sources if name not in contents.document.unpinned],
            closed=[name for name, one in contents.document.declared_sources.items() if not one.public],
            unreviewed=count_unreviewed(contents.embedded),
            named=int(contents.kept["review"].eq("identifier").sum()),
            results=results,
            repository=_repository(contents),
            n=lambda number: f"{number:,}",
        )
    )
    # What a recipe does not say leaves blank lines and blanks at the end of lines.
    return re.sub(r"\n{3,}", "\n\n", re.sub(r"[ \t]+\n", "\n", text)).rstrip("\n") + "\n"


def _exactness(contents: Contents) -> list[list[str]]:
    """Return the rows of the table of exact images, the header first; none where nothing is recorded."""
    header, rows = exactness_table(contents.document.exactness)
    return [header, *([name, *(f"{n:,}" for n in row)] for name, *row in rows)] if rows else []


def _corrected_texts(contents: Contents) -> list[str]:
    """Return the columns with what the sources say instead of the corrected values."""
    corrected = dict.fromkeys(
        f"{column}_text" for by in contents.document.corrections.counts.values() for column in by
    )
    written = written_columns(contents.kept)
    return [f"`{name}`" for name in corrected if name in written and contents.kept[name].notna().any()]


def _repository(contents: Contents) -> str | None:
    """Return the OWNER/NAME of the dataset on the Hub, if the recipe's homepage is there.

    A release that must not be published is nowhere on the Hub: ``None``.
    """
    if contents.policy == "private" or contents.notices:
        return None
    homepage = contents.recipe.datasheet.homepage or ""
    found = re.fullmatch(r"https://huggingface\.co/datasets/([\w.-]+/[\w.-]+)/?", homepage)
    return found[1] if found else f"OWNER/{contents.name}"


def _license(contents: Contents) -> dict[str, str]:
    """Return the licence as the Hub has it: one of its identifiers if all images have one licence."""
    found = contents.kept["license"].unique()
    if len(found) == 1 and (name := str(found[0]).lower()) in _HUB_LICENSES:
        return {"license": name}
    return {"license": "other", "license_name": "per-image", "license_link": names.ATTRIBUTION}


def _front_matter(
    contents: Contents, splits: Mapping[str, Mapping[str, int]], download_size: int
) -> dict[str, Any]:
    kinds = {column.name: _DTYPES[column.kind] for column in COLUMNS}
    names = {str(i): label for i, label in enumerate(contents.recipe.classes)}
    features: list[dict[str, Any]] = [
        {"name": "image", "dtype": "image"},
        {"name": "label", "dtype": {"class_label": {"names": names}}},
    ]
    features += [{"name": name, "dtype": kinds[name]} for name in shard_columns()]
    images = sum(split["num_examples"] for split in splits.values())
    return {
        "pretty_name": contents.recipe.title,
        **_license(contents),
        "task_categories": ["image-classification"],
        "tags": _tags(contents),
        "size_categories": [next((category for most, category in _SIZES if images < most), "n>1M")],
        "configs": [
            {
                "config_name": name,
                "data_files": [{"split": split, "path": f"{folder}/{split}-*.parquet"} for split in splits],
            }
            for name, folder in _configurations(contents).items()
        ],
        "dataset_info": _dataset_info(contents, features, splits, download_size),
    }


def _configurations(contents: Contents) -> dict[str, str]:
    """Return the folder of each configuration of the Hub: the default, and one for each ready size."""
    sizes = {str(size): artifact_names.sized_folder(size) for size in contents.document.sizes}
    return {"default": artifact_names.PARQUET} | sizes


def _dataset_info(
    contents: Contents,
    features: list[dict[str, Any]],
    splits: Mapping[str, Mapping[str, int]],
    download_size: int,
) -> dict[str, Any] | list[dict[str, Any]]:
    default = {
        "features": features,
        "splits": [{"name": split, **numbers} for split, numbers in splits.items()],
        "download_size": download_size,
        "dataset_size": sum(split["num_bytes"] for split in splits.values()),
    }
    sizes = [{"config_name": str(size), "features": features} for size in contents.document.sizes]
    return [{"config_name": "default", **default}, *sizes] if sizes else default


def _tags(contents: Contents) -> list[str]:
    """Return tags as the Hub has them, in lower case with hyphens."""
    keywords = [keyword.lower().replace(" ", "-") for keyword in contents.recipe.datasheet.keywords]
    classes = [label.lower().replace(" ", "-") for label in contents.recipe.classes]
    return list(dict.fromkeys(["medical", "radiology", "x-ray", "chest-x-ray", *keywords, *classes]))


def _unviewed(contents: Contents) -> str:
    """Return the number of images of unknown view by class, as text."""
    unknown = contents.kept[contents.kept["view_position"].isna()]
    sizes = {label: int((unknown["label"] == label).sum()) for label in contents.recipe.classes}
    return ", ".join(f"{n:,} of {label}" for label, n in sizes.items() if n)


def _split_text(contents: Contents) -> str:
    split = contents.recipe.split
    if split.published is not None:
        return f"The published list {Path(split.published.list).stem} gives each image's class and split."
    sentences = [
        f"{declared.source} declares its splits ("
        + ", ".join(f"{theirs} is {ours}" for theirs, ours in declared.map.items())
        + ")."
        for declared in split.declared
    ]
    if contents.document.previous is not None:
        sentences.append(
            f"Patients with an image in {contents.document.previous.name} keep the split that they had "
            "there; a hash assigns the others alone."
        )
    others = " of the other sources" if split.declared else ""
    for name in ("test", "validation"):
        size = getattr(split, name)
        if size is None:
            continue
        if size.count is not None:
            sizes = ", ".join(f"{count} of {label}" for label, count in size.count.items())
            sentences.append(f"A hash assigns whole patients{others} to {name}: {sizes}.")
        else:
            sentences.append(f"A hash assigns a share of {size.share:g} of the patients{others} to {name}.")
    return " ".join(sentences)


def _has_old_ages(contents: Contents) -> bool:
    kept = contents.kept
    return bool((kept["source"].isin(list(contents.unlisted)) & kept["patient_age"].eq(MOST_AGE)).any())
