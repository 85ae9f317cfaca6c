"""Check the corrections of metadata that ``build.json`` records against recipe and ledger."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Mapping
from typing import Any

from cxrbuild.artifact import DatasetDocument, ReleaseDocument, names
from cxrbuild.artifact.correction import CorrectedValue, is_same_age, shown
from cxrbuild.catalog.correction import CORRECTABLE
from cxrbuild.checks import Finding
from cxrbuild.errors import count_of
from cxrbuild.policy import listed_corrections, unlisted_sources
from cxrbuild.verification.context import Context
from cxrbuild.verification.tables import text_of


def check_corrections(context: Context) -> Iterator[Finding]:
    """Find corrections that recipe, counts and ledger do not have, and what a public release omits of them.

    The old value, the reason and the reader are in no other file, so they cannot be compared.
    """
    document = context.document
    files, declared = [file.name for file in document.corrections.files], document.recipe.corrections
    if files != declared:
        message = f"are {', '.join(files) or 'none'}, the recipe has {', '.join(declared) or 'none'}"
        yield Finding(message, names.BUILD, "corrections.files")
    yield from _check_counts(document)
    values = document.corrections.values
    if not values:
        return
    ledger = context.ledger
    corrected = ledger[ledger["image_id"].isin([one.image_id for one in values])]
    rows = corrected.drop_duplicates("image_id").set_index("image_id")
    public = document.corrections
    if isinstance(document, ReleaseDocument):
        public = listed_corrections(document, document.policy, ledger)
    as_public = {(one.image_id, one.column): one for one in public.values}
    for one in values:
        if one.image_id not in rows.index:
            message = "the ledger has no such image"
        elif one.file not in files:
            message = f"is in {one.file}, which is no file of corrections of the recipe"
        else:
            message = _compare(one, rows.loc[one.image_id].to_dict())
        if not message and one != as_public[one.image_id, one.column]:
            message = "has the old value, reason or reader, which a public release omits of this image"
        if message:
            yield Finding(message, names.BUILD, f"corrections {one.image_id} {one.column}")


def _check_counts(document: DatasetDocument) -> Iterator[Finding]:
    corrections = document.corrections
    listed = Counter((one.source, one.column) for one in corrections.values)
    counts = {(name, column): n for name, of in corrections.counts.items() for column, n in of.items()}
    # A public release counts the corrections of images that it does not list.
    unlisted = unlisted_sources(document)
    for source, column in sorted({*counts, *listed}):
        found, expected = counts.get((source, column), 0), listed[source, column]
        if found < expected or (found > expected and source not in unlisted):
            message = f"counts {count_of(found, 'value')}, {expected:,} listed"
            yield Finding(message, names.BUILD, f"corrections.counts {source} {column}")


def _compare(one: CorrectedValue, row: Mapping[Hashable, Any]) -> str:
    """Report how a correction differs from the row of its image; empty where it does not."""
    if one.source != row["source"]:
        return f"is of {one.source}, in the ledger the image is of {row['source']}"
    if one.column not in CORRECTABLE:
        return "a correction cannot name this column"
    if not _is_new(one, row[one.column]):
        return f"is corrected to {shown(one.new)}, the ledger has {text_of(row[one.column])}"
    return ""


def _is_new(one: CorrectedValue, cell: Any) -> bool:
    import pandas as pd

    if one.new is None or pd.isna(cell):
        return one.new is None and bool(pd.isna(cell))
    if isinstance(cell, str):
        return cell == one.new
    try:
        return is_same_age(float(one.new), cell)
    except ValueError:
        return False
