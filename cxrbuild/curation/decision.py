"""Decide each row: corrections, label, exclusion, group, split and fold, in this order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from cxrbuild.curation.declared import Declared
from cxrbuild.curation.withdrawn_copies import withdraw_copies
from cxrbuild.errors import CxrbuildError, name_some
from cxrbuild.folds import add_folds
from cxrbuild.ingest import apply_corrections, withdraw_patients, without_withdrawn_values
from cxrbuild.lists import add_membership
from cxrbuild.progress import Progress, silent
from cxrbuild.rules import add_details, add_labels, add_reviews, apply_rules, require_values
from cxrbuild.split import split_records

if TYPE_CHECKING:
    import pandas as pd


def decide(declared: Declared, records: pd.DataFrame, listed: pd.DataFrame | None = None) -> pd.DataFrame:
    """Fill label, exclusion, group and split of ingested rows.

    Parameters
    ----------
    declared
        The recipe with everything that it names.
    records
        The rows of all its sources, as ingested, in the order of ``image_id``.
    listed
        The rows of its published list, where it has one.

    Raises
    ------
    CxrbuildError
        A correction, finding, rule or split of the recipe does not fit the rows.
    """
    return without_withdrawn_values(decide_rows(declared, records, listed, {}, silent))


def decide_rows(
    declared: Declared, records: pd.DataFrame, listed: pd.DataFrame | None,
    fetched: Mapping[str, Mapping[str, str]], progress: Progress,
) -> pd.DataFrame:  # fmt: skip
    """Return the rows as `decide` does, those of withdrawn images with all their values."""
    records = apply_corrections(records, declared.corrections, declared.recipe, declared.sources)
    records = withdraw_patients(records, declared.sources)
    records = withdraw_copies(records, declared.sources, declared.links, fetched, progress)
    records = add_reviews(records, declared.reviews)
    if declared.image_list is not None and listed is not None:
        records = add_membership(records, listed, declared.image_list, declared.recipe, declared.sources)
    else:
        records = add_labels(records, declared.recipe, declared.sources)
    require_values(records, declared.recipe, declared.sources)
    records = apply_rules(records, declared.recipe.rules, declared.links)
    records = add_details(records, declared.recipe.rules, declared.reviews, declared.links)
    if declared.previous is not None:
        records = records.assign(previous_split=declared.previous.splits_of(records))
        declared.previous.require_common(records)
    try:
        records = split_records(records, declared.recipe.split, declared.links, declared.namespaces)
        return add_folds(records, declared.recipe.split)
    except CxrbuildError as error:
        # A DICOM file has its class in its header: missing files explain why a class has too few images.
        unread = records.loc[records["exclusion"] == "missing_file", "source_path"]
        lost = records.loc[records["exclusion"] == "row_without_file", "source"].value_counts()
        # Where a former version is held, the error says what the draw lacks.
        if unread.empty and not lost.empty and declared.previous is None:
            rows = ", ".join(f"{name} {count:,}" for name, count in lost.items())
            error.todo = f"Rows that find no file: {rows}. Correct `reader.path` of the source"
        if not unread.empty:
            error.todo = f"First fetch the missing images: {name_some(unread)}"
        raise
