"""The checks of a list against a dataset: membership, split, patients and class of the images of both."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from cxrbuild.errors import name_some
from cxrbuild.lists.class_words import class_words, label_of_word
from cxrbuild.lists.context import ListCheck, ListContext, ListedDataset, ListFinding

if TYPE_CHECKING:
    import pandas as pd


def find_rows_not_in_dataset(context: ListContext) -> Iterator[ListFinding]:
    """Find listed files that the dataset excludes or does not have, or whose name is ambiguous."""
    dataset = _dataset(context)
    excluded = dataset.rows[dataset.rows["exclusion"].notna()]
    exclusions = {
        number: (image, exclusion, f"{exclusion} ({detail})" if isinstance(detail, str) else exclusion)
        for number, image, exclusion, detail in excluded[
            ["image_id", "exclusion", "exclusion_detail"]
        ].itertuples(name=None)
    }
    members = dataset.rows["source"] + "/" + dataset.rows["source_path"]
    file_of = dict(zip(dataset.rows["image_id"], members, strict=True))
    columns = ["path", "source", "member", "candidates", "unknown", "other_source", "place"]
    rows = context.rows[columns].assign(found=context.rows["member"].notna())
    for row in rows[~rows["unknown"]].itertuples(index=False):
        path, place = str(row.path), [str(row.place)]
        if isinstance(row.candidates, str):
            ids = row.candidates.split(", ")
            several = len(ids) > 1
            files = [file_of[one] for one in ids[:4]]
            message = f"{path} can be {name_some(files, 3)}; " + (
                "its folder or a column with its source would show which"
                if several
                else "it has another suffix there, and the list states no source"
            )
            kind = "with a name of several images" if several else "with another suffix, and without a source"
            yield ListFinding(message, rows=place, kind=kind, images=ids)
        elif row.found:
            if row.member in exclusions:
                image, exclusion, reason = exclusions[row.member]
                kind = f"excluded by {exclusion}"
                yield ListFinding(f"{path} is excluded by {reason}", rows=place, kind=kind, images=[image])
        elif row.other_source:
            kind = f"of the source {row.source}, of which the dataset has no file"
            yield ListFinding(f"{path} is not in the dataset", rows=place, kind=kind)
        elif dataset.has_ledger:
            yield ListFinding(f"{path} is not in the dataset", rows=place, kind="not in the dataset")
        else:
            kind = "not in the dataset, whose manifest does not list excluded images"
            yield ListFinding(f"{path} is not in the dataset", rows=place, kind=kind)


def find_other_splits(context: ListContext) -> Iterator[ListFinding]:
    """Find images that are in one split of the lists and in another of the dataset."""
    rows = rows_in_both(context)
    for row in rows[rows["split"] != rows["member_split"]].itertuples(index=False):
        kind = f"in {row.split} of the list and in {row.member_split} of the dataset"
        yield ListFinding(
            f"{row.path} is {kind}", rows=[str(row.place)], kind=kind, images=[str(row.image_id)]
        )


def find_leakage(context: ListContext) -> Iterator[ListFinding]:
    """Find patients, with those linked to them, in one split of the lists and in another of the dataset."""
    dataset = _dataset(context)
    rows = context.rows[context.rows["member"].notna()]
    rows = rows.assign(group=dataset.rows["group"][rows["member"].astype("int64")].array)
    kept = dataset.kept
    splits = kept["split"].groupby(kept["group"]).agg(set)
    of_group = kept.groupby("group")
    for group, found in rows[rows["group"].isin(set(splits.index))].groupby("group"):
        pairs = {(split, other) for split in set(found["split"]) for other in splits[group]}
        crossing = sorted((split, other) for split, other in pairs if split != other)
        if crossing:
            named, others = (" and ".join(sorted(set(side))) for side in zip(*crossing, strict=True))
            there = of_group.get_group(group)
            kind = f"in {named} of the list and in {others} of the dataset"
            yield ListFinding(
                f"images of {group} are {kind}",
                rows=found.loc[found["split"].isin({split for split, _ in crossing}), "place"].tolist(),
                kind=kind,
                images=there.loc[there["split"].isin({other for _, other in crossing}), "image_id"].tolist(),
            )


def find_other_classes(context: ListContext) -> Iterator[ListFinding]:
    """Find images that have one class in the lists and another in the dataset."""
    rows = rows_in_both(context)
    label = rows["label"].map(label_of_word(class_words(context)))
    for label_here, row in zip(label, rows.itertuples(index=False), strict=True):
        if isinstance(label_here, str) and label_here != row.member_label:
            kind = f"{row.label} in the list and {row.member_label} in the dataset"
            yield ListFinding(
                f"{row.path} is {kind}", rows=[str(row.place)], kind=kind, images=[str(row.image_id)]
            )


def rows_in_both(context: ListContext) -> pd.DataFrame:
    """Return the rows whose image the dataset has, with ``image_id``, ``member_split``, ``member_label``."""
    kept = _dataset(context).kept
    rows = context.rows[context.rows["member"].isin(kept.index)]
    images = kept.loc[rows["member"].astype("int64")]
    return rows.assign(
        image_id=images["image_id"].array,
        member_split=images["split"].array,
        member_label=images["label"].array,
    )


def _dataset(context: ListContext) -> ListedDataset:
    assert context.dataset is not None
    return context.dataset


def _of_known(context: ListContext) -> pd.Series:
    return ~context.rows["unknown"]


def _of_both(context: ListContext) -> pd.Series:
    return context.rows["member"].isin(_dataset(context).kept.index)


def _of_groups(context: ListContext) -> pd.Series:
    grouped = _dataset(context).rows["group"].dropna().index
    return context.rows["member"].isin(grouped)


def _of_mapped(context: ListContext) -> pd.Series:
    words = label_of_word(class_words(context))
    return _of_both(context) & context.rows["label"].isin(set(words))


def _without_patients(context: ListContext) -> str | None:
    if _dataset(context).rows["group"].notna().any():
        return None
    return (
        "the manifest of the dataset states no patients; name its build, release or plan, or fetch its "
        "sources and name their folder with --data"
    )


_EXCLUDE = (
    "Before a model that is trained on one is tested on the other, exclude these images and patients; --out "
    "FILE.csv and --json list them"
)

CHECKS = (
    ListCheck(
        "in_dataset", "The dataset has every listed file.", find_rows_not_in_dataset, needs="dataset",
        looks_at=_of_known, lacks="a file whose name the public release states",
    ),
    ListCheck(
        "same_split", "No image is in one split of the list and in another of the dataset.",
        find_other_splits, needs="dataset", looks_at=_of_both, lacks="an image in the dataset",
        next_step=_EXCLUDE,
    ),
    ListCheck(
        "leakage", "No patient is in one split of the list and in another of the dataset.", find_leakage,
        needs="dataset", looks_at=_of_groups, lacks="an image whose patient the dataset states",
        unless=_without_patients, next_step=_EXCLUDE,
    ),
    ListCheck(
        "same_class", "No image has one class in the list and another in the dataset.", find_other_classes,
        needs="dataset", looks_at=_of_mapped, lacks="an image in the dataset or a class of it",
    ),
)  # fmt: skip
