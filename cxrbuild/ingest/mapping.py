"""From upstream's values to our columns, whole columns at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from cxrbuild.catalog.column import Column
from cxrbuild.catalog.source import Source
from cxrbuild.errors import CxrbuildError, name_some
from cxrbuild.records import conform

if TYPE_CHECKING:
    import pandas as pd

# Columns next to which upstream's own text is kept, as `<column>_text`.
_KEPT = ("patient_id", "modality", "view_position", "patient_age", "license")
# DICOM's age strings, PS3.5 6.2: three digits and a unit, in years.
_AGE_UNITS = {"": 1.0, "Y": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}


def map_columns(source: Source, columns: Mapping[str, Column], values: pd.DataFrame) -> pd.DataFrame:
    """Map upstream's values onto the table's columns.

    Parameters
    ----------
    source
        The source.
    columns
        How each of our columns comes from upstream's.
    values
        What the reader read, see `Reader.read`.

    Raises
    ------
    CxrbuildError
        A declared column is missing, or a value is not in its map: all of them at once, with their places.
    """
    import pandas as pd

    places = values.index.get_level_values("place")
    records = conform(pd.DataFrame({"source_path": values.index.get_level_values("path")}))
    values = values.reset_index(drop=True).apply(lambda column: column.str.strip())
    problems: list[str] = []
    for name, column in columns.items():
        absent = [origin for origin in column.origins if origin not in values.columns]
        if absent:
            there = name_some(values.columns, 60)
            problems.append(f"columns.{name} comes from {name_some(absent)}; there is only {there}")
            continue
        upstream = _first_value(column, values)
        ours, wrong = _map_column(column, upstream)
        problems += [
            f"{places[i]}, column {' or '.join(column.origins)}: {upstream[i]!r} is unknown to columns.{name}"
            for i in wrong.index[wrong]
        ]
        records[name] = _years(ours) if name == "patient_age" else ours
        if name in _KEPT and column.origins:
            records[f"{name}_text"] = upstream.where(upstream != "")
    if problems:
        raise CxrbuildError(
            "metadata that its declaration does not know\n  " + "\n  ".join(problems[:20])
            + (f"\n  and {len(problems) - 20} more" if len(problems) > 20 else ""),
            where=f"source {source.name}",
            todo="Fetch the pinned source, or declare the new values in a source file of your own",
        )  # fmt: skip
    if "exclusion" in values:
        records["exclusion"] = values["exclusion"].where(values["exclusion"] != "")
    records["license"] = records["license"].fillna(source.license)
    return records


def _first_value(column: Column, values: pd.DataFrame) -> pd.Series:
    import pandas as pd

    if column.value is not None:
        return pd.Series(column.value, index=values.index, dtype="str")
    first = values[column.origins[0]]
    for origin in column.origins[1:]:
        first = first.where(~first.isin(column.blank), values[origin])
    return first


def _map_column(column: Column, upstream: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Return our values, and a mask of upstream's values that are not known."""
    known = ~upstream.isin(column.blank)
    ours = upstream.where(known)
    if column.pattern is not None:
        ours = ours.str.extract(column.pattern, expand=False)
    if column.map is not None:
        ours = ours.map(column.map).astype("str")
    return ours, known & ours.isna()


def _years(values: pd.Series) -> pd.Series:
    import pandas as pd

    parts = values.str.extract(r"^(\d+(?:\.\d+)?)([YMWD]?)$")
    return (pd.to_numeric(parts[0]) * parts[1].map(_AGE_UNITS)).astype("Float64")
