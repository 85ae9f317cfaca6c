"""Correct single values of ingested rows as a recipe declares, and record what was corrected."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cxrbuild.artifact.correction import CorrectedValue, CorrectionFile, Corrections, is_same_age, shown
from cxrbuild.catalog import Correction, Recipe, Source
from cxrbuild.catalog.column import AgeColumn, Column, FindingColumn
from cxrbuild.errors import DeclarationError, count_of, name_some, nearest
from cxrbuild.ingest.age import FORMS, parse_ages
from cxrbuild.ingest.mapping import SEXES
from cxrbuild.paths import PathIndex
from cxrbuild.patient_key import hash_identifier, read_key

if TYPE_CHECKING:
    import pandas as pd

Value = str | float | None
# DICOM's terms for chest radiographs, and ours where the source does not say more: docs/columns.md.
_TERMS = {
    "view_position": ("AP", "PA", "LL", "RL", "LATERAL"),
    "modality": ("CR", "DX", "XR", "CT"),
}
# Columns whose values are words: a misspelt one would be a value that no class, rule or split knows.
_OF_WORDS = ("finding", "modality", "view_position", "upstream_split")
# Zeros in front of a number that a spreadsheet may have removed.
_MOST_DIGITS = 16


def apply_corrections(
    records: pd.DataFrame, corrections: Sequence[Correction], recipe: Recipe, sources: Sequence[Source]
) -> pd.DataFrame:
    """Return the rows with corrected values. ``..._text`` keeps what the source says.

    An image with several rows is corrected in its first row, and in the others with the same value.
    Corrections of images that were withdrawn, or whose file is missing or cannot be read where it has the
    values, have no effect, and so have those of other sources than the table's: a file may cover several
    recipes.

    Parameters
    ----------
    records
        The ingested rows of all sources.
    corrections
        The corrections, each of another value.
    recipe, sources
        The recipe and its sources.

    Raises
    ------
    DeclarationError
        A source does not have the image or the old value, or a column cannot hold the new value. Every
        problem is listed with its line.
    """
    import pandas as pd

    declared = {source.name: source for source in sources}
    there = set(records["source"].unique())
    corrections = [one for one in corrections if one.source in there]
    if not corrections:
        return records
    rows = _rows_by_image(records, corrections)
    words = _Words(records, recipe)
    paths: dict[str, PathIndex] = {}
    problems: list[tuple[Correction, str]] = []
    values: dict[str, dict[Any, Value]] = {}
    for one in corrections:
        source, of_image = declared[one.source], rows.get(one.image)
        if of_image is None:
            if one.source not in paths:
                paths[one.source] = PathIndex(records.loc[records["source"] == one.source, "source_path"])
            path = paths[one.source].describe_unknown(one.path)
            problems.append((one, f"{one.source} has no image {path}"))
            continue
        if not _is_readable(of_image, source):
            continue
        found = _value(of_image[one.column].iloc[0])
        try:
            old, new = (_parsed(one.column, text, source) for text in (one.old, one.new))
            _require_found(one, source, found, old, new)
            words.require(one, source, new)
        except ValueError as error:
            problems.append((one, f"{one.column} of {one.source} {one.path}: {error}"))
            continue
        same = [row for row, value in of_image[one.column].items() if _equal(_value(value), found)]
        values.setdefault(one.column, {}).update(dict.fromkeys(same, new))
    _refuse(problems)
    records = records.copy(deep=False)
    for column, by_row in values.items():
        new_values = pd.Series(by_row, dtype=records[column].dtype)
        records.loc[new_values.index, column] = new_values
    return records


def record_corrections(
    records: pd.DataFrame,
    corrections: Sequence[Correction],
    sources: Sequence[Source],
    files: Mapping[str, str],
) -> Corrections:
    """Return what was corrected, as ``build.json`` has it: without paths, numbers of patients hashed.

    Parameters
    ----------
    records
        The rows that `apply_corrections` returned, after all decisions.
    corrections, sources
        The corrections, and the recipe's sources.
    files
        The hash of each file of corrections.
    """
    declared = {source.name: source for source in sources}
    rows = _rows_by_image(records, corrections) if corrections else {}
    values: list[CorrectedValue] = []
    counts: dict[str, dict[str, int]] = {}
    for one in corrections:
        of_image = rows.get(one.image)
        if of_image is None or not _is_readable(of_image, declared[one.source]):
            continue
        old, new = (_recorded(_parsed(one.column, text, declared[one.source])) for text in (one.old, one.new))
        image = str(of_image["image_id"].iloc[0])
        values.append(
            CorrectedValue(
                image_id=image, source=one.source, column=one.column, old=old, new=new, reason=one.reason,
                reader=one.reader or None, file=one.file, line=one.line,
            )
        )  # fmt: skip
        by_column = counts.setdefault(one.source, {})
        by_column[one.column] = by_column.get(one.column, 0) + 1
    named = [CorrectionFile(name=name, sha256=sha256) for name, sha256 in files.items()]
    return Corrections(files=named, counts=counts, values=values)


def _rows_by_image(
    records: pd.DataFrame, corrections: Iterable[Correction]
) -> dict[tuple[str, str], pd.DataFrame]:
    """Return the rows of each corrected image, the one that represents its file first."""
    images = {one.image for one in corrections}
    # The paths first: a table can have a million rows.
    some = records[records["source_path"].isin([path for _, path in images])]
    grouped = some.groupby(["source", "source_path"])
    return {
        (str(source), str(path)): rows.sort_values("exclusion", key=lambda column: column.eq("listed_twice"))
        for (source, path), rows in grouped
        if (source, path) in images
    }


def _is_readable(rows: pd.DataFrame, source: Source) -> bool:
    """Return whether the values of an image are those of its source: a file that is not read has none."""
    exclusion = _value(rows["exclusion"].iloc[0])
    unread = ("missing_file", "unreadable_header") if source.reader.reads_images else ("unreadable_header",)
    return exclusion not in ("withdrawn", *unread)


def _value(value: Any) -> Value:
    import pandas as pd

    if pd.isna(value):
        return None
    return value if isinstance(value, str) else float(value)


def _recorded(value: Value) -> str | None:
    return f"{value:g}" if isinstance(value, float) else value


def _equal(a: Value, b: Value) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return is_same_age(a, b)
    return a == b


def _parsed(column: str, text: str, source: Source) -> Value:
    """Return the value of a text, ``None`` of an empty one.

    Raises
    ------
    ValueError
        The column cannot hold it.
    """
    import pandas as pd

    if not text:
        return None
    if column == "patient_age":
        years = _value(parse_ages(pd.Series([text], dtype="str")).iloc[0])
        if years is None:
            raise ValueError(f"{text!r} is no age ({FORMS})")
        return years
    if column == "patient_id" and source.reader.patient_id == "hash":
        return hash_identifier(read_key(), text)
    return text


def _require_found(one: Correction, source: Source, found: Value, old: Value, new: Value) -> None:
    """Refuse an old value that the source does not give, with what it gives instead.

    Raises
    ------
    ValueError
        It gives another value.
    """
    if _equal(found, old):
        return
    joined = one.column == "patient_id" and source.reader.patient_conflicts == "join"
    # A number that is joined has all its zeros, and the metadata can have fewer.
    if (
        joined
        and one.old.isdecimal()
        and any(_parsed(one.column, n, source) == found for n in _with_zeros(one.old))
    ):
        return
    if _equal(found, new):
        raise ValueError("the source has the new value now: upstream made this correction, remove the line")
    hashed = one.column == "patient_id" and source.reader.patient_id == "hash"
    given = f"the hash of `old` is {old}" if hashed and old else f"`old` is {shown(one.old or None)}"
    longest = "; the source joins the numbers of a patient: write the longest" if joined else ""
    raise ValueError(f"the source has {shown(_recorded(found))}; {given}{longest}")


def _with_zeros(number: str) -> list[str]:
    """Return how a number can be written with more or fewer zeros in front."""
    plain = number.lstrip("0")
    return [number for digits in range(len(plain), _MOST_DIGITS) if (number := plain.zfill(digits))]


class _Words:
    """The values that a column of a source can have: a new value is one of them."""

    def __init__(self, records: pd.DataFrame, recipe: Recipe) -> None:
        self._records, self._recipe = records, recipe
        self._known: dict[tuple[str, str], set[str]] = {}

    def require(self, one: Correction, source: Source, new: Value) -> None:
        """Refuse a new value that the column of the source cannot have.

        Raises
        ------
        ValueError
            It cannot.
        """
        if new is None:
            return
        if one.column == "patient_sex" and new not in SEXES:
            raise ValueError(f"{new!r} is none of {', '.join(SEXES)}")
        if isinstance(new, float):
            limits = source.columns.patient_age or AgeColumn.model_validate({"from": "age"})
            if not limits.least <= new <= limits.most:
                raise ValueError(f"{new:g} is outside {limits.least:g} to {limits.most:g} years")
            return
        if one.column == "patient_id":
            self._require_zeros(one, source)
        if one.column not in _OF_WORDS:
            return
        separator = source.finding_separator if one.column == "finding" else None
        parts = [part.strip() for part in str(new).split(separator)] if separator else [str(new)]
        known = self._words(one.column, source)
        if unknown := [part for part in parts if part not in known]:
            declared: Column | None = getattr(source.columns, one.column)
            ours = (declared.map or {}).get(unknown[0]) if declared is not None else None
            near = nearest(unknown[0], known)
            hint = f"the nearest is {near!r}" if near else f"known are {name_some(sorted(known), 30)}"
            hint = f"the source's word for {ours!r}" if ours else hint
            if not known:
                hint = "no image has a value in it"
                if declared is None:
                    hint = f"the source has no such column: declare `columns.{one.column}` in it first"
            raise ValueError(f"no image has {one.column} {unknown[0]!r}; {hint}")

    def _require_zeros(self, one: Correction, source: Source) -> None:
        """Refuse a number that the source has with other zeros in front: it would be another patient."""
        if not one.new.isdecimal():
            return
        numbers = set(self._column(one.column, source))
        plain = one.new.lstrip("0")
        same = [number for number in _with_zeros(one.new) if _parsed(one.column, number, source) in numbers]
        if same and one.new not in same:
            zeros = count_of(len(same[0]) - len(plain), "zero")
            raise ValueError(f"no image has this patient; the source writes the number with {zeros} in front")

    def _words(self, column: str, source: Source) -> set[str]:
        key = (source.name, column)
        if key not in self._known:
            known = {
                *_TERMS.get(column, ()),
                *self._of_source(column, source),
                *self._of_recipe(column, source),
            }
            self._known[key] = known
        return self._known[key]

    def _of_source(self, column: str, source: Source) -> Iterable[str]:
        values = self._column(column, source)
        if column == "finding" and source.finding_separator:
            values = values.str.split(source.finding_separator, regex=False).explode().str.strip()
        yield from values.unique()
        declared: Column | None = getattr(source.columns, column)
        yield from declared.map.values() if declared is not None and declared.map is not None else ()
        yield from declared.columns or () if isinstance(declared, FindingColumn) else ()

    def _of_recipe(self, column: str, source: Source) -> Iterable[str]:
        if column == "finding":
            for by_source in self._recipe.labels.values():
                yield from by_source.get(source.name, ())
        if column == "upstream_split":
            for declared in self._recipe.split.declared:
                yield from declared.map if declared.source == source.name else ()

    def _column(self, column: str, source: Source) -> pd.Series:
        return self._records.loc[self._records["source"] == source.name, column].dropna()


def _refuse(problems: Sequence[tuple[Correction, str]]) -> None:
    if not problems:
        return
    files = list(dict.fromkeys(one.place for one, _ in problems))
    lines = [
        f"  line {one.line}: {problem}" if len(files) == 1 else f"  {one.place}, line {one.line}: {problem}"
        for one, problem in problems
    ]
    raise DeclarationError(
        f"{count_of(len(problems), 'correction')} that the sources do not fit\n" + "\n".join(lines),
        where=files[0] if len(files) == 1 else None,
        expected="in `old` the value that the source gives, blank where it gives none; in `new` one that the "
        "column can hold",
        todo="Correct these lines, or remove those that are no longer needed. A line of an image that was "
        "withdrawn can stay, once `withdrawn` of the source has it",
    )  # fmt: skip
