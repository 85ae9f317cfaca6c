"""Check that the columns that rules look at have values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cxrbuild.catalog import Recipe, Source
from cxrbuild.catalog.rule import column_of
from cxrbuild.errors import DeclarationError, count_of
from cxrbuild.rules.labels import UNREAD

if TYPE_CHECKING:
    import pandas as pd


def require_values(records: pd.DataFrame, recipe: Recipe, sources: Sequence[Source]) -> None:
    """Refuse a rule on a column that no source declares and that no image has a value in.

    Such a rule excludes nothing or everything. A column that is declared may be empty: its values can come
    with the next version of the source.

    Parameters
    ----------
    records
        The table as ingested.
    recipe, sources
        The recipe and its sources.

    Raises
    ------
    DeclarationError
        There are such rules; each is listed.
    """
    problems = []
    for rule in recipe.rules:
        column = column_of(rule)
        asked = [source for source in sources if rule.sources is None or source.name in rule.sources]
        if column is None or any(_declares(source, column) for source in asked):
            continue
        rows = records[records["source"].isin([source.name for source in asked])]
        if rows[column].isna().all() and not rows["exclusion"].isin(UNREAD).any():
            names = ", ".join(source.name for source in asked)
            problems.append(
                f"rules.{rule.name}.column: no image of {names} has a value in {column!r}; declare "
                f"[columns.{column.removesuffix('_text')}] there, or remove the rule"
            )
    if problems:
        count = count_of(len(problems), "problem")
        raise DeclarationError(f"{count} in the recipe {recipe.name}\n  " + "\n  ".join(problems))


def _declares(source: Source, column: str) -> bool:
    fields = type(source.columns).model_fields
    name = column.removesuffix("_text")
    # Columns of other stages have no declaration.
    return name not in fields or getattr(source.columns, name) is not None
