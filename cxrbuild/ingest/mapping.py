"""From upstream's words to our columns, whole columns at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from cxrbuild.catalog.source import Column, Source
from cxrbuild.errors import CxrbuildError, name_some
from cxrbuild.records import conform

if TYPE_CHECKING:
    import pandas as pd

# Columns beside which upstream's own word is kept, as `<column>_text`.
_KEPT = ("patient_id", "modality", "view_position", "patient_age", "license")
# DICOM's age strings, PS3.5 6.2: three digits and a unit, in years.
_AGE_UNITS = {"": 1.0, "Y": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}


def map_words(source: Source, columns: Mapping[str, Column], words: pd.DataFrame) -> pd.DataFrame:
    """Map upstream's words onto the table's columns.

    Parameters
    ----------
    source
        The source.
    columns
        How each of our columns comes from upstream's.
    words
        Upstream's columns as text, indexed by (place, path); a column ``exclusion`` is taken as it is.

    Raises
    ------
    CxrbuildError
        A declared column is not there, or a word is not in its map: all of them at once, with their places.
    """
    import pandas as pd

    places = words.index.get_level_values("place")
    records = conform(pd.DataFrame({"source_path": words.index.get_level_values("path")}))
    words = words.reset_index(drop=True).apply(lambda column: column.str.strip())
    faults: list[str] = []
    for name, column in columns.items():
        absent = [origin for origin in column.origins if origin not in words.columns]
        if absent:
            faults.append(
                f"columns.{name} comes from {name_some(absent)}; there is only {name_some(words.columns, 60)}"
            )
            continue
        upstream = _first_word(column, words)
        ours, wrong = _map_column(column, upstream)
        faults += [
            f"{places[i]}, column {' or '.join(column.origins)}: {upstream[i]!r} is unknown to columns.{name}"
            for i in wrong.index[wrong]
        ]
        records[name] = _years(ours) if name == "patient_age" else ours
        if name in _KEPT and column.origins:
            records[f"{name}_text"] = upstream.where(upstream != "")
    if faults:
        raise CxrbuildError(
            "metadata that its declaration does not know\n  " + "\n  ".join(faults[:20])
            + (f"\n  and {len(faults) - 20} more" if len(faults) > 20 else ""),
            where=f"source {source.name}",
            todo="Fetch the pinned source, or declare the new words in a source file of your own",
        )  # fmt: skip
    if "exclusion" in words:
        records["exclusion"] = words["exclusion"].where(words["exclusion"] != "")
    records["license"] = records["license"].fillna(source.license)
    return records


def _first_word(column: Column, words: pd.DataFrame) -> pd.Series:
    import pandas as pd

    if column.value is not None:
        return pd.Series(column.value, index=words.index, dtype="str")
    first = words[column.origins[0]]
    for origin in column.origins[1:]:
        first = first.where(~first.isin(column.blank), words[origin])
    return first


def _map_column(column: Column, upstream: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Return our words, and a mask of upstream's words that are not known."""
    known = ~upstream.isin(column.blank)
    ours = upstream.where(known)
    if column.pattern is not None:
        ours = ours.str.extract(column.pattern, expand=False)
    if column.map is not None:
        ours = ours.map(column.map).astype("str")
    return ours, known & ours.isna()


def _years(words: pd.Series) -> pd.Series:
    import pandas as pd

    parts = words.str.extract(r"^(\d+(?:\.\d+)?)([YMWD]?)$")
    return (pd.to_numeric(parts[0]) * parts[1].map(_AGE_UNITS)).astype("Float64")
