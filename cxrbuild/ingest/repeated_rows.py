"""Refuse several rows of one image that differ in a mapped value: only the first would count."""

from __future__ import annotations

from collections.abc import Container
from typing import TYPE_CHECKING

from cxrbuild.catalog.source import Source
from cxrbuild.errors import CxrbuildError, count_of, name_some

if TYPE_CHECKING:
    import pandas as pd

_LISTED = 5


def require_equal_rows(
    source: Source, records: pd.DataFrame, places: pd.Index, files: Container[str]
) -> None:
    """Refuse an image whose rows differ in a mapped value, unless the source takes the first.

    Parameters
    ----------
    source
        The source, whose reader declares ``differing_rows``.
    records
        The rows, with mapped values; patients are hashed where the source hashes them.
    places
        Where each row is, for messages.
    files
        The paths of the source's files. Rows without a file, and those of withdrawn images, decide nothing.

    Raises
    ------
    CxrbuildError
        Rows of an image differ.
    """
    paths = records["source_path"]
    repeated = paths[paths.duplicated(keep=False)]
    if source.reader.differing_rows == "first" or repeated.empty:
        return
    columns = list(type(source.columns).model_fields)
    values = records.loc[repeated.index, columns].astype("str").fillna("")
    problems = []
    for path, rows in repeated.groupby(repeated, sort=False):
        if path not in files or path in source.withdrawals:
            continue
        differing = [name for name in columns if values.loc[rows.index, name].nunique() > 1]
        if differing:
            described = (_describe(values.loc[rows.index, name], name, places) for name in differing)
            problems.append(f"  {path}: {'; '.join(described)}")
    if problems:
        more = f"\n  and {len(problems) - _LISTED} more" if len(problems) > _LISTED else ""
        raise CxrbuildError(
            f"{count_of(len(problems), 'image')} with rows of metadata that differ\n"
            + "\n".join(problems[:_LISTED]) + more,
            where=f"source {source.name}",
            expected="one row for each image, or rows with equal values in all mapped columns",
            todo="Correct the metadata. Join several findings of an image into one cell, divided by "
            "`finding_separator` of the source. If the first row is right for every such image, declare "
            '`differing_rows = "first"` in the reader: the others are excluded as `listed_twice`',
        )  # fmt: skip


def _describe(values: pd.Series, name: str, places: pd.Index) -> str:
    """Return the different values of a column, each with the place of its first row."""
    first = values.drop_duplicates()
    shown = [
        f"{value!r} ({place})" if value else f"blank ({place})"
        for value, place in zip(first, places[first.index.to_numpy()], strict=True)
    ]
    return f"{name} {name_some(shown, _LISTED)}"
