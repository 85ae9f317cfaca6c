"""Check the rows of the ledger and the manifest, and that both agree."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from cxrbuild.artifact import names
from cxrbuild.artifact.build import DatasetDocument
from cxrbuild.checks import Finding, Result
from cxrbuild.errors import count_of, name_some
from cxrbuild.patients import patient_names
from cxrbuild.policy import unlisted_sources
from cxrbuild.records import SPLITS, differs
from cxrbuild.split import groups_in_several_splits
from cxrbuild.verification.context import Context

# Columns that every image of a dataset has.
_FILLED = ("source", "source_path", "group", "jpeg_sha256", "jpeg_bytes", "width", "height")


def describe_leakage(context: Context, checks: Iterable[Result]) -> str:
    """Return in sentences which patients and groups are in several splits, and what could not be checked."""
    manifest, document = context.manifest, context.document
    numbered = manifest["patient_id"].notna()
    patients = patient_names(manifest[numbered], document.namespaces).nunique()
    of = f"{count_of(patients, 'patient')}, {count_of(manifest['group'].nunique(), 'group')}"
    if several := len(groups_in_several_splits(manifest)):
        # The check of patient_leakage accepts no others.
        assigned = "list assigns" if document.recipe.split.published else "sources assign"
        found = f"{count_of(several, 'group')} in two splits, as the {assigned} them, of {of}"
    else:
        found = f"No patient and no group in two splits: {of}"
    sentences = [f"{found}."]
    if unknown := int((~numbered).sum()):
        sentences.append(f"Of {count_of(unknown, 'image')} the patient is not known.")
    if unlisted := sorted(unlisted_sources(document) & set(manifest["source"])):
        sentences.append(
            f"T{describe_unlisted(document)[1:]}: whether their groups and splits follow from the recipe was "
            "not checked."
        )
    sentences += [
        f"The check `{check.id}` does not apply: {check.message}."
        for check in checks
        if check.id in ("groups", "splits")
        and check.status == "not applicable"
        # The sentence above says so.
        and not (unlisted and check.message == describe_unlisted(document))
    ]
    return " ".join(sentences)


def describe_unlisted(document: DatasetDocument) -> str:
    """Return in a clause of which sources a release does not name the files."""
    return f"the release does not name the files of {name_some(sorted(unlisted_sources(document)))}"


def text_of(value: Any) -> str:
    """Return a cell's value as messages show it."""
    import pandas as pd

    return "null" if pd.isna(value) else str(value)


def check_columns(context: Context) -> Iterator[Finding]:
    """Find tables that cannot be read or have other columns than declared."""
    yield from context.ledger_read.findings
    yield from context.manifest_read.findings


def check_unique_ids(context: Context) -> Iterator[Finding]:
    """Find image ids that occur twice in a table."""
    for read in (context.ledger_read, context.manifest_read):
        if read.value is not None:
            for image in read.value.loc[read.value["image_id"].duplicated(), "image_id"]:
                yield Finding("occurs twice", read.name, image)


def check_rows(context: Context) -> Iterator[Finding]:
    """Find images of the dataset without the values that each has: class, split, path, size and hash."""
    manifest = context.manifest
    for column, known in (("label", context.classes), ("split", list(SPLITS))):
        wrong = manifest[~manifest[column].isin(known)]
        for image, value in zip(wrong["image_id"], wrong[column], strict=True):
            yield Finding(f"{column} is {text_of(value)}, not {' or '.join(known)}", names.MANIFEST, image)
    # Not of all columns: groups are copies.
    parts = manifest[["split", "label", "image_id", "jpeg_path"]].groupby(["split", "label"], dropna=False)
    for (split, label), rows in parts:
        before, after = names.jpeg_path(str(split), str(label), "\0").split("\0")
        differ = rows["jpeg_path"].isna() | differs(rows["jpeg_path"], before + rows["image_id"] + after)
        for image, path in zip(rows.loc[differ, "image_id"], rows.loc[differ, "jpeg_path"], strict=True):
            message = f"jpeg_path is {text_of(path)}, which is not of its split, class and image_id"
            yield Finding(message, names.MANIFEST, image)
    for column in _FILLED:
        for image in manifest.loc[manifest[column].isna(), "image_id"]:
            yield Finding(f"{column} is null", names.MANIFEST, image)
    for image in manifest.loc[manifest["exclusion"].notna(), "image_id"]:
        yield Finding("has an exclusion", names.MANIFEST, image)


def check_agreement(context: Context) -> Iterator[Finding]:
    """Find rows of the manifest that are not the kept rows of the ledger, cell by cell."""
    if context.manifest_is_kept:
        return
    ledger, rows = context.ledger, context.rows
    kept = ledger[ledger["exclusion"].isna()].drop_duplicates("image_id").set_index("image_id", drop=False)
    for image in kept.index.difference(rows.index):
        yield Finding("is missing; the ledger keeps it", names.MANIFEST, str(image))
    for image in rows.index.difference(kept.index):
        yield Finding("is not kept; the manifest has it", names.LEDGER, str(image))
    both = rows.index.intersection(kept.index)
    for column in rows.columns:
        a, b = rows.loc[both, column], kept.loc[both, column]
        for image in both[differs(a, b).to_numpy()]:
            message = f"{column} is {text_of(a[image])}, in the ledger {text_of(b[image])}"
            yield Finding(message, names.MANIFEST, str(image))


def check_patient_leakage(context: Context) -> Iterator[Finding]:
    """Find groups of patients in several splits, except where upstream assigns them so."""
    manifest = context.manifest
    known = context.document.groups_in_several_splits
    pairs = manifest[["group", "split"]].fillna({"split": "none"}).drop_duplicates()
    groups = set(pairs.loc[pairs["group"].duplicated(), "group"].dropna()) - set(known)
    for group, rows in manifest[manifest["group"].isin(groups)].groupby("group"):
        found = sorted(set(rows["split"].fillna("none")))
        message = f"is in {' and '.join(found)}: {', '.join(rows['image_id'])}"
        yield Finding(message, names.MANIFEST, str(group))
