"""Whether the ledger and the manifest are what they should be, and agree."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from cxrbuild.artifact import DatasetDocument, ReleaseDocument
from cxrbuild.catalog.published import published_manifest
from cxrbuild.comparison import CIRCUMSTANCES, KINDS, DatasetVersion, compare, read_version
from cxrbuild.errors import CxrbuildError
from cxrbuild.policy import withheld
from cxrbuild.records import SPLITS, conform, schema
from cxrbuild.verification.finding import Finding

if TYPE_CHECKING:
    import pandas as pd


def read_table(folder: Path, name: str, faults: list[Finding]) -> pd.DataFrame | None:
    """Read the ledger or the manifest, checking its schema; ``None`` where it cannot be read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = folder / name
    if not path.is_file():
        faults.append(Finding(name, None, "is missing"))
        return None
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        faults.append(Finding(name, None, f"cannot be read: {error}"))
        return None
    for field in schema():
        if field.name not in table.schema.names:
            faults.append(Finding(name, field.name, "the column is missing"))
        elif table.schema.field(field.name).type != field.type:
            found = table.schema.field(field.name).type
            faults.append(Finding(name, field.name, f"the column is of type {found}, not {field.type}"))
    extra = [column for column in table.schema.names if column not in schema().names]
    faults += [Finding(name, column, "is no column of this table") for column in extra]
    if any(fault.file == name for fault in faults if "column" in fault.what):
        return None
    return conform(table.to_pandas())


def check_tables(
    document: DatasetDocument | None, ledger: pd.DataFrame, manifest: pd.DataFrame, classes: list[str],
    faults: list[Finding],
) -> None:  # fmt: skip
    """Check the rows of both tables, that they agree, and that ``build.json`` counts them rightly.

    Parameters
    ----------
    document
        The content of ``build.json``; ``None`` where it cannot be read.
    ledger, manifest
        The tables.
    classes
        The classes in the order of their numbers.
    faults
        Where faults go.
    """
    for name, table in (("ledger.parquet", ledger), ("manifest.parquet", manifest)):
        twice = table.loc[table["image_id"].duplicated(), "image_id"]
        faults += [Finding(name, image, "stands here twice") for image in twice]
    _check_words(manifest, classes, faults)
    _check_agreement(ledger, manifest, faults)
    across = manifest.groupby("group")["split"].agg(lambda found: sorted(set(found.fillna("none"))))
    for group, parts in across[across.map(len) > 1].items():
        # What upstream itself declares apart is known, and said in the card.
        if document is not None and group not in document.groups_in_several_splits:
            images = manifest.loc[manifest["group"] == group, "image_id"]
            what = f"stands in {' and '.join(parts)}: {', '.join(images)}"
            faults.append(Finding("manifest.parquet", str(group), what))
    if document is not None:
        _check_counts(document, ledger, manifest, faults)


def _check_counts(
    document: DatasetDocument, ledger: pd.DataFrame, manifest: pd.DataFrame, faults: list[Finding]
) -> None:
    sizes: dict[Any, int] = manifest.groupby(["split", "label"]).size().to_dict()
    told = {(part, label): n for part, row in document.counts.items() for label, n in row.items()}
    for part, label in sorted(set(sizes) | {key for key, n in told.items() if n}):
        counted, said = sizes.get((part, label), 0), told.get((part, label), 0)
        if counted != said:
            what = f"counts {said:,} images, the manifest has {counted:,}"
            faults.append(Finding("build.json", f"{part} {label}", what))
    _check_funnel(document, ledger, faults)
    excluded = ledger.drop_duplicates("image_id").set_index("image_id")["exclusion"]
    for image, reason in document.missing.items():
        if excluded.get(image) != reason:
            what = f"missing says {reason}, the ledger {_word(excluded.get(image))}"
            faults.append(Finding("build.json", image, what))


def check_release(document: ReleaseDocument, manifest: pd.DataFrame, faults: list[Finding]) -> None:
    """Check that nothing is embedded that must not be, and that a published version has its rows."""
    policy = document.policy
    due = withheld(manifest, policy)
    for image, wrong, right in zip(manifest["image_id"], manifest["withheld"], due, strict=True):
        if (wrong if wrong == wrong else None) != (right if right == right else None):
            told = f"withheld is {_word(wrong)}, the {policy} policy says {_word(right)}"
            faults.append(Finding("manifest.parquet", image, told))
    name = f"{document.dataset.name}/{document.dataset.version}"
    if not published_manifest(name).is_file():
        return
    here = manifest.drop_duplicates("image_id")[["image_id", "source", "source_path", "label", "split"]]
    try:
        missing = document.missing
        found = compare(
            read_version(name),
            DatasetVersion("manifest.parquet", here, None, released=False, missing=missing),
        )
    except CxrbuildError as error:
        faults.append(Finding("manifest.parquet", None, str(error)))
        return
    for kind in (kind for kind in KINDS if kind not in CIRCUMSTANCES):
        for row in found.rows[kind].to_dict("records"):
            what = f"differs from {name} as published: {row['change'] or KINDS[kind]}"
            faults.append(Finding("manifest.parquet", row["image_id"], what))


def _word(value: object) -> str:
    return "null" if value != value or value is None else str(value)


def _check_words(manifest: pd.DataFrame, classes: list[str], faults: list[Finding]) -> None:
    name = "manifest.parquet"
    for column, known in (("label", classes), ("split", list(SPLITS))):
        wrong = manifest[~manifest[column].isin(known)]
        for image, word in zip(wrong["image_id"], wrong[column], strict=True):
            faults.append(Finding(name, image, f"{column} is {_word(word)}, not {' or '.join(known)}"))
    due = "images/" + manifest["split"] + "/" + manifest["label"] + "/" + manifest["image_id"] + ".jpg"
    wrong = manifest[~manifest["jpeg_path"].eq(due).fillna(value=False)]
    for image, path in zip(wrong["image_id"], wrong["jpeg_path"], strict=True):
        faults.append(Finding(name, image, f"jpeg_path is {_word(path)}, which is not its part and class"))
    for column in ("source", "source_path", "group", "jpeg_sha256", "jpeg_bytes", "width", "height"):
        unknown = manifest.loc[manifest[column].isna(), "image_id"]
        faults += [Finding(name, image, f"{column} is null") for image in unknown]
    excluded = manifest.loc[manifest["exclusion"].notna(), "image_id"]
    faults += [Finding(name, image, "is kept and has an exclusion") for image in excluded]


def _check_agreement(ledger: pd.DataFrame, manifest: pd.DataFrame, faults: list[Finding]) -> None:
    kept = ledger[ledger["exclusion"].isna()].drop_duplicates("image_id").set_index("image_id")
    rows = manifest.drop_duplicates("image_id").set_index("image_id")
    lost, stray = kept.index.difference(rows.index), rows.index.difference(kept.index)
    faults += [Finding("manifest.parquet", str(i), "is missing; the ledger keeps it") for i in lost]
    faults += [Finding("ledger.parquet", str(i), "is not kept; the manifest has it") for i in stray]
    both = rows.index.intersection(kept.index)
    for column in rows.columns:
        a, b = rows.loc[both, column], kept.loc[both, column]
        differs = ~((a == b).fillna(value=False).astype(bool) | (a.isna() & b.isna()))
        for image in both[differs.to_numpy()]:
            what = f"{column} is {_word(a[image])}, in the ledger {_word(b[image])}"
            faults.append(Finding("manifest.parquet", str(image), what))


def _check_funnel(document: DatasetDocument, ledger: pd.DataFrame, faults: list[Finding]) -> None:
    sizes: dict[Any, int] = ledger["exclusion"].fillna("kept").value_counts().to_dict()
    sizes["upstream"] = len(ledger)
    told = {row.step: row.images for row in document.funnel}
    for step in sorted(set(sizes) | {step for step, n in told.items() if n}):
        if sizes.get(step, 0) != told.get(step, 0):
            what = f"counts {told.get(step, 0):,} images, the ledger has {sizes.get(step, 0):,}"
            faults.append(Finding("build.json", f"funnel {step}", what))
