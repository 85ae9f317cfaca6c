"""From upstream's values to our columns, whole columns at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cxrbuild.catalog.column import AgeColumn, Column, FindingColumn
from cxrbuild.catalog.source import Source
from cxrbuild.errors import CxrbuildError, count_of, name_some, nearest, verb_of
from cxrbuild.ingest import header
from cxrbuild.ingest.age import FORMS, parse_ages
from cxrbuild.ingest.header import Headers
from cxrbuild.ingest.patient_numbers import count_named_files, reconcile_patients
from cxrbuild.ingest.withdrawn_patients import mark_patients
from cxrbuild.patient_key import hash_identifier, read_key
from cxrbuild.progress import Progress, silent
from cxrbuild.records import conform

if TYPE_CHECKING:
    import pandas as pd

# Columns next to which upstream's own text is kept, as `<column>_text`.
_KEPT = ("patient_id", "modality", "view_position", "patient_age", "license")
# DICOM's enumerated values, PS3.3 C.7.1.1: male, female, other.
SEXES = ("M", "F", "O")
"""The values of `patient_sex`."""
_LISTED_PROBLEMS = 20
_SWAPPED_SIGNS = str.maketrans(".,", ",.")


@dataclass
class _Upstream:
    """Upstream's values for the rows: of the reader's columns, and of the headers of DICOM images."""

    places: pd.Index
    values: pd.DataFrame
    elements: pd.DataFrame
    problems: list[str] = field(default_factory=list)

    def known(self, origin: str) -> bool:
        return origin in self.values or origin in self.elements

    def get(self, origin: str) -> pd.Series:
        return self.values[origin] if origin in self.values else self.elements[origin]

    def note(self, rows: pd.Series, column: Column, values: pd.Series, problem: str) -> None:
        """Add a problem for each row of a mask."""
        origins = f"column {' or '.join(column.origins)}" if column.origins else "the declared `value`"
        self.problems += [f"{self.places[i]}, {origins}: {values[i]!r} {problem}" for i in rows.index[rows]]


def map_columns(
    source: Source,
    values: pd.DataFrame,
    headers: Headers,
    progress: Progress = silent,
    sources: Sequence[Source] = (),
) -> pd.DataFrame:
    """Map upstream's values onto the table's columns.

    The header of a DICOM image fills what the source's declaration leaves unknown: the patient, sex, age,
    modality and view. Patient numbers are hashed, unless the source declares to keep them. The rows of
    withdrawn patients are excluded: only here the numbers are as the metadata has them.

    Parameters
    ----------
    source
        The source.
    values
        What the reader read, see `Reader.read`.
    headers
        The headers of the images that are DICOM files.
    progress
        Notes files that are named after the numbers of their patients, and unknown withdrawn patients.
    sources
        The recipe's sources, see `mark_patients`.

    Raises
    ------
    CxrbuildError
        A declared column is missing, or a value is not in its map or does not parse: all of them at once,
        with their places. Or patient numbers are to be hashed and the environment holds no key.
    """
    import pandas as pd

    paths = values.index.get_level_values("path")
    rows = pd.RangeIndex(len(paths))
    upstream = _Upstream(
        places=values.index.get_level_values("place"),
        values=pd.DataFrame({name: _normal(values[name]).array for name in values}, index=rows),
        elements=_elements(headers, paths),
    )
    records = conform(pd.DataFrame({"source_path": paths}))
    nothing = pd.Series(index=rows, dtype="str")
    for name in type(source.columns).model_fields:
        declared: Column | None = getattr(source.columns, name) or source.reader.default_columns.get(name)
        ours, text = nothing, nothing
        if declared is not None:
            _refuse_identity(source, name, declared)
            if not _is_there(name, declared, upstream):
                continue
            ours, text = _map_column(name, declared, upstream, separator=source.finding_separator)
        implied = header.COLUMNS.get(name)
        if implied is not None and not (declared and set(implied.origins) & set(declared.origins)):
            unknown = ours.isna()
            filled, filled_text = _map_column(name, implied, upstream, only=unknown)
            ours, text = ours.where(~unknown, filled), text.where(~unknown | filled.isna(), filled_text)
        if name == "patient_id":
            numbers, in_headers = ours, _numbers_in_headers(declared, upstream)
            ours = _reconciled(source, upstream, numbers, in_headers, paths)
            # Such numbers in headers say nothing.
            compared = None if source.reader.patient_conflicts == "ignore" else in_headers
            mark_patients(records, source, numbers, ours, compared, upstream.places, progress, sources)
            if not source.public and (named := count_named_files(ours, list(paths))):
                progress.note(_advise_to_number(source, named))
            if source.reader.patient_id == "hash":
                ours, text = _hashed(ours), text.where(text.isna())
        records[name] = parse_ages(ours) if name == "patient_age" else ours
        if name in _KEPT:
            records[f"{name}_text"] = text
    _refuse(source, upstream.problems)
    withdrawn = records["exclusion"].notna()
    records["license"] = records["license"].mask(withdrawn).fillna(source.license)
    return records


def _numbers_in_headers(declared: Column | None, upstream: _Upstream) -> pd.Series | None:
    """Return the patient numbers of the headers; ``None`` where the column has its numbers from there."""
    if "PatientID" in upstream.elements and declared and set(declared.origins) & set(upstream.values):
        return upstream.elements["PatientID"].replace("", None)
    return None


def _reconciled(
    source: Source, upstream: _Upstream, numbers: pd.Series, in_headers: pd.Series | None, paths: pd.Index
) -> pd.Series:
    """Return the patient numbers, compared with those of the headers if they are not taken from there."""
    import pandas as pd

    rows = zip(upstream.places, paths, strict=True)
    places = pd.Series([place if place == path else f"{place}: {path}" for place, path in rows], dtype="str")
    hashes = source.reader.patient_id == "hash"
    return reconcile_patients(
        source, numbers, in_headers, places,
        lambda number: hash_identifier(read_key(), number) if hashes else number,
    )  # fmt: skip


def _advise_to_number(source: Source, paths: int) -> str:
    return (
        f"{source.name}: {count_of(paths, 'path')} {verb_of(paths, 'contains')} the number of the patient. A "
        "build and a private release have the paths, and a public one is refused. Number the files, also if "
        'they are named after patients, and fetch them again: "Number the files first" on the page "Your '
        'own images".'
    )


def _normal(values: pd.Series) -> pd.Series:
    # As `words.compose`: the declared words have the same form.
    return values.str.strip().str.normalize("NFC")


def _elements(headers: Headers, paths: pd.Index) -> pd.DataFrame:
    """Return the headers' elements by row; no columns where no image is a DICOM file."""
    import pandas as pd

    if not headers.elements:
        return pd.DataFrame(index=range(len(paths)))
    rows = [headers.elements.get(path, {}) for path in paths]
    return pd.DataFrame(rows, columns=list(header.KEYWORDS), dtype="str").fillna("").apply(_normal)


def _is_there(name: str, column: Column, upstream: _Upstream) -> bool:
    absent = [f'"{origin}"' for origin in column.origins if not upstream.known(origin)]
    if absent:
        known = [*upstream.values, *upstream.elements]
        there = [f'"{one}"' for one in known]
        near = [
            one
            for origin in column.origins
            if not upstream.known(origin)
            for one in [nearest(origin, known)]
            if one
        ]
        hint = f'; the nearest is "{near[0]}"' if near else ""
        upstream.problems.append(
            f"columns.{name} comes from {name_some(absent)}; "
            + (f"there is only {name_some(there, 60)}{hint}" if there else "the metadata has no column")
        )
    return not absent


def _refuse_identity(source: Source, name: str, column: Column) -> None:
    """Refuse to publish a patient's number under another column's name."""
    if name == "patient_id" or source.reader.patient_id == "keep":
        return
    patient = source.columns.patient_id
    identifying = header.IDENTIFYING | set(patient.origins if patient is not None else ())
    if both := sorted(identifying & set(column.origins)):
        raise CxrbuildError(
            f"columns.{name} comes from {name_some(both)}, which identifies patients",
            where=f"source {source.name}",
            todo='Take another column, or declare `patient_id = "keep"` in the reader if they are public',
        )  # fmt: skip


def _map_column(
    name: str,
    column: Column,
    upstream: _Upstream,
    only: pd.Series | None = None,
    separator: str | None = None,
) -> tuple[pd.Series, pd.Series]:
    """Return our values and upstream's text, null where not known; note the problems.

    Parameters
    ----------
    name
        Our column's name.
    column
        Its declaration.
    upstream
        Upstream's values.
    only
        The rows to look at; absent: all.
    separator
        What separates several findings of a row.
    """
    import pandas as pd

    if column.value is not None:
        constant = pd.Series(column.value, index=upstream.values.index, dtype="str")
        # One row is enough to see whether the column can hold it.
        _note_values(name, column, upstream, constant[:1], constant[:1])
        return constant, pd.Series(index=upstream.values.index, dtype="str")
    if not all(map(upstream.known, column.origins)):
        nothing = pd.Series(index=upstream.values.index, dtype="str")
        return nothing, nothing
    if isinstance(column, FindingColumn) and column.columns is not None:
        findings = _join_findings(column, upstream, separator)
        return findings, findings
    values = upstream.get(column.origins[0])
    for origin in column.origins[1:]:
        values = values.where(~values.isin(column.blank), upstream.get(origin))
    known = ~values.isin(column.blank)
    if only is not None:
        known &= only
    ours = values.where(known)
    if column.pattern is not None:
        ours = ours.str.extract(column.pattern, expand=False)
    if isinstance(column, AgeColumn):
        ours = _ages(column, ours)
    elif column.map is not None:
        ours = ours.map(column.map).astype("str")
    unknown = known & ours.isna()
    upstream.note(unknown, column, values, f"is unknown to columns.{name}")
    ours = ours.where(ours != "")  # what is mapped to nothing is not known
    _note_values(name, column, upstream, values, ours)
    return ours, values.where(values != "")


def _ages(column: AgeColumn, values: pd.Series) -> pd.Series:
    """Return the ages of words that the column maps, and all others with a decimal point."""
    mapped = values.map(column.map or {}).astype("str")
    # An age with the other sign has no meaning, so that it must not become one.
    ages = values if column.decimal == "." else values.str.translate(_SWAPPED_SIGNS)
    return mapped.where(mapped.notna(), ages)


def _join_findings(column: FindingColumn, upstream: _Upstream, separator: str | None) -> pd.Series:
    """Return the names of the columns that say that their finding is there, null where none does."""
    columns = {origin: upstream.get(origin) for origin in column.origins}
    for origin, values in columns.items():
        unknown = ~values.isin([*column.present, *column.absent])
        problem = f"in {origin!r} is in neither `present` nor `absent` of columns.finding"
        upstream.problems += [f"{upstream.places[i]}: {values[i]!r} {problem}" for i in values.index[unknown]]
    joined = join_findings(column, columns, separator)
    return joined.where(joined != "")


def join_findings(
    column: FindingColumn, columns: Mapping[str, pd.Series], separator: str | None
) -> pd.Series:
    """Return the names of the columns that say that their finding is there, blank where none does.

    Parameters
    ----------
    column
        The declaration of the finding.
    columns
        Upstream's text by column, of at least one column.
    separator
        What separates several findings of a row.
    """
    import pandas as pd

    joined = pd.Series("", index=next(iter(columns.values())).index, dtype="str")
    for origin, values in columns.items():
        added = joined.where(joined == "", joined + (separator or "")) + origin
        joined = joined.where(~values.isin(column.present), added)
    return joined


def _note_values(name: str, column: Column, upstream: _Upstream, values: pd.Series, ours: pd.Series) -> None:
    """Note values that our column cannot hold."""
    if any(origin in upstream.elements and origin not in upstream.values for origin in column.origins):
        several = ours.str.contains("\\", regex=False).fillna(value=False)
        upstream.note(several, column, values, f"is several values, of which columns.{name} can hold one")
        ours = ours.where(~several)
    if name == "patient_sex":
        other = ours.notna() & ~ours.isin(SEXES)
        upstream.note(other, column, values, f"is none of {', '.join(SEXES)}")
    if name == "patient_age":
        limits = column if isinstance(column, AgeColumn) else AgeColumn.model_validate({"from": "age"})
        years = parse_ages(ours)
        wrong = ours.notna() & years.isna()
        swapped = wrong & parse_ages(ours.where(wrong).str.translate(_SWAPPED_SIGNS)).notna()
        sign = "," if limits.decimal == "." else "."
        upstream.note(
            swapped, column, values,
            f"is no age with the decimal sign {limits.decimal!r}: declare `decimal = \"{sign}\"` in "
            f"columns.{name} if {sign!r} is the sign of all ages",
        )  # fmt: skip
        upstream.note(
            wrong & ~swapped, column, values, f"is no age ({FORMS}; `map` and `pattern` translate words)"
        )
        outside = ~years.between(limits.least, limits.most) & years.notna()
        upstream.note(
            outside.fillna(value=False), column, values,
            f"is outside {limits.least:g} to {limits.most:g} years (columns.{name}, `least` and `most`)",
        )  # fmt: skip


def _hashed(identifiers: pd.Series) -> pd.Series:
    known = identifiers.dropna().unique()
    if not len(known):
        return identifiers
    key = read_key()
    return identifiers.map({one: hash_identifier(key, one) for one in known}).astype("str")


def _advise(source: Source, problems: list[str]) -> str:
    """Return what to do about values and columns that a declaration does not know."""
    steps = []
    if any(problem.startswith("columns.") for problem in problems):
        steps.append("Correct `from` in its columns")
    if not all(problem.startswith("columns.") for problem in problems):
        steps.append("Declare the values in `map`, or in `blank` if they mean that it is not known")
    todo = ". ".join(steps)
    if source.address != source.name:
        return todo
    # A shipped declaration fits the version that it pins.
    return f"Fetch the pinned source again. For another version, copy its declaration. {todo}"


def _refuse(source: Source, problems: list[str]) -> None:
    if problems:
        more = len(problems) - _LISTED_PROBLEMS
        raise CxrbuildError(
            "metadata that its declaration does not know\n  " + "\n  ".join(problems[:_LISTED_PROBLEMS])
            + (f"\n  and {more} more" if more > 0 else ""),
            where=f"source {source.name}",
            todo=_advise(source, problems),
        )  # fmt: skip
