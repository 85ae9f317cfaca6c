"""Fill the label of each image from its findings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cxrbuild.catalog import Recipe, Source
from cxrbuild.errors import DeclarationError, name_some

if TYPE_CHECKING:
    import pandas as pd


def add_labels(records: pd.DataFrame, recipe: Recipe, sources: Sequence[Source]) -> pd.DataFrame:
    """Fill ``label`` from ``finding``, in excluded rows too.

    Several findings of one row (``COVID-19, ARDS``) are separated as the source declares. A row with findings
    of two classes gets no label but the exclusion ``ambiguous_finding``.

    Raises
    ------
    DeclarationError
        The recipe labels findings of a source that it does not use.
    """
    names = [source.name for source in sources]
    unknown = sorted({name for findings in recipe.labels.values() for name in findings} - set(names))
    if unknown:
        raise DeclarationError(
            f"labels: {name_some(unknown)} is no source of the recipe {recipe.name}",
            expected=name_some(names),
        )
    records = records.copy()
    for source in sources:
        classes = {
            finding: label
            for label, findings in recipe.labels.items()
            for finding in findings.get(source.name, [])
        }
        findings = records.loc[records["source"] == source.name, "finding"].dropna()
        if source.finding_separator:
            findings = findings.str.split(source.finding_separator).explode().str.strip()
        found = findings.map(classes).dropna()
        found = found[~found.reset_index().duplicated().to_numpy()]
        ambiguous = found.index.duplicated(keep=False)
        records.loc[found.index[~ambiguous], "label"] = found[~ambiguous]
        excluded = records.index.isin(found.index[ambiguous]) & records["exclusion"].isna()
        records.loc[excluded, "exclusion"] = "ambiguous_finding"
    return records
