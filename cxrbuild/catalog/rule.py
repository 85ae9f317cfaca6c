"""A rule: a name, a reason and one of a small, closed set of conditions, each with its description."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, ValidationInfo, field_validator, model_validator

from cxrbuild.catalog.declarations import Declaration
from cxrbuild.catalog.review import MARKS
from cxrbuild.errors import suggest
from cxrbuild.records import COLUMNS, TableColumn
from cxrbuild.words import compose

Value = str | int | float | bool

# The stages before the rules are applied: columns of later stages are still null.
_STAGES = ("ingest", "rules")
_COLUMNS = {column.name: column for column in COLUMNS if column.stage in _STAGES}
# Columns with a value in every row.
_COMPLETE = ("image_id", "source", "source_path", "license")
# Columns with a closed set of values.
_VALUES = {"review": tuple(MARKS), "patient_sex": ("M", "F", "O")}


class _Rule(Declaration):
    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")] = Field(
        description="what the rule writes into `exclusion`"
    )
    reason: str = Field(description="why such images are excluded, for the reader of the dataset")
    sources: list[str] | None = Field(
        None, min_length=1, description="the sources that it applies to; default all"
    )
    switch: Literal["lateral", "ct", "annotated"] | None = Field(
        None, description="the options `--drop-X` and `--keep-X` that switch it on and off"
    )
    enabled: bool = Field(True, strict=True, description="whether it is on by default")

    def _scope(self) -> str:
        return f" (only {', '.join(self.sources)})" if self.sources else ""


class _ColumnRule(_Rule):
    column: str = Field(description="the column it looks at, filled by the stage `ingest` or `rules`")

    @field_validator("column")
    @classmethod
    def _check_column(cls, name: str) -> str:
        if name in _COLUMNS:
            return name
        if name in {column.name for column in COLUMNS}:
            raise ValueError(f"{name!r} is filled after the rules; expected one of {', '.join(_COLUMNS)}")
        raise ValueError(f"no column is called {name!r}; {suggest(name, _COLUMNS, 'column')}")


class _ValuesRule(_ColumnRule):
    values: list[Value]

    @field_validator("values")
    @classmethod
    def _check_values(cls, values: list[Value], info: ValidationInfo) -> list[Value]:
        # The column is absent if it has a problem itself.
        if (column := _COLUMNS.get(info.data.get("column", ""))) is None:
            return values
        if column.kind == "number":
            return [_number(value, column) for value in values]
        if column.kind == "boolean":
            return [_boolean(value, column) for value in values]
        for value in values:
            _check_text(value, column)
        # A path is a name of a file, and stays as the file has it.
        return values if column.name == "source_path" else [compose(str(value)) for value in values]


class InRule(_ValuesRule):
    """Keep images whose column has one of some values."""

    kind: Literal["in"]
    values: list[Value] = Field(min_length=1, description="the values to keep")
    unknown: Literal["keep", "drop"] = Field(description="whether to keep images whose value is unknown")

    def describe(self) -> str:
        """Describe in one sentence what the rule excludes."""
        unknown = "; unknown is kept" if self.unknown == "keep" else "; unknown is excluded"
        return f"Excludes images whose `{self.column}` is not {_any(self.values)}{unknown}{self._scope()}."


class NotInRule(_ValuesRule):
    """Exclude images whose column has one of some values; unknown is kept."""

    kind: Literal["not_in"]
    values: list[Value] = Field(min_length=1, description="the values to exclude")

    def describe(self) -> str:
        """Describe in one sentence what the rule excludes."""
        return (
            f"Excludes images whose `{self.column}` is {_any(self.values)}; unknown is kept{self._scope()}."
        )


class PresentRule(_ColumnRule):
    """Keep images whose column has a value."""

    kind: Literal["present"]

    @field_validator("column")
    @classmethod
    def _check_incomplete(cls, name: str) -> str:
        if name in _COMPLETE:
            raise ValueError(f"every row has a value in {name!r}: the rule would exclude nothing")
        return name

    def describe(self) -> str:
        """Describe in one sentence what the rule excludes."""
        return f"Excludes images whose `{self.column}` has no value{self._scope()}."


class RangeRule(_ColumnRule):
    """Keep images whose numeric column is in a range, limits included."""

    kind: Literal["range"]
    least: float | None = Field(None, allow_inf_nan=False, description="the least value to keep")
    most: float | None = Field(None, allow_inf_nan=False, description="the greatest value to keep")
    unknown: Literal["keep", "drop"] = Field(description="whether to keep images whose value is unknown")

    @field_validator("column")
    @classmethod
    def _check_numeric(cls, name: str) -> str:
        column, numeric = _COLUMNS.get(name), [c.name for c in _COLUMNS.values() if c.kind == "number"]
        if column is not None and column.kind != "number":
            raise ValueError(f"{name!r} holds {_KINDS[column.kind]}; expected {' or '.join(numeric)}")
        return name

    @model_validator(mode="after")
    def _check_limits(self) -> RangeRule:
        if self.least is None and self.most is None:
            raise ValueError("give `least`, `most` or both: without a limit the rule excludes nothing")
        if self.least is not None and self.most is not None and self.least > self.most:
            raise ValueError(f"no value is from {self.least:g} to {self.most:g}: `least` is over `most`")
        return self

    def describe(self) -> str:
        """Describe in one sentence what the rule excludes."""
        limits = [f"under {self.least:g}"] if self.least is not None else []
        limits += [f"over {self.most:g}"] if self.most is not None else []
        unknown = "; unknown is kept" if self.unknown == "keep" else "; unknown is excluded"
        return f"Excludes images whose `{self.column}` is {_any(limits)}{unknown}{self._scope()}."


class ReviewedRule(_Rule):
    """Exclude images on which a reviewer saw certain marks; images without a review are kept."""

    kind: Literal["reviewed"]
    marks: list[str] | None = Field(None, min_length=1, description="the marks to exclude; default any")
    at_finding: bool = Field(False, strict=True, description="only marks drawn at a finding")

    @field_validator("marks")
    @classmethod
    def _check_marks(cls, marks: list[str] | None) -> list[str] | None:
        for mark in marks or []:
            _check_text(mark, _COLUMNS["review"])
        return marks

    def describe(self) -> str:
        """Describe in one sentence what the rule excludes."""
        marks = _any(self.marks) if self.marks else "a mark"
        where = " drawn at a finding" if self.at_finding else ""
        return f"Excludes images on which a reviewer saw {marks}{where}; no review: kept{self._scope()}."


class LabelledRule(_Rule):
    """Exclude images whose finding belongs to none of the recipe's classes."""

    kind: Literal["labelled"]
    every_finding: bool = Field(
        False,
        strict=True,
        description="whether an image of several findings needs a class for each of them: with `true`, "
        "`Normal|unclear` has no class if `unclear` has none; by default it has the class of `Normal`",
    )

    def describe(self) -> str:
        """Describe in one sentence what the rule excludes."""
        if self.every_finding:
            return (
                "Excludes images with a finding that belongs to none of the recipe's classes, also next to "
                f"one that does{self._scope()}."
            )
        return f"Excludes images whose `finding` belongs to none of the recipe's classes{self._scope()}."


class DuplicateRule(_Rule):
    """Keep the first of several images that links call duplicates."""

    kind: Literal["duplicate"]

    def describe(self) -> str:
        """Describe in one sentence what the rule excludes."""
        return f"Excludes images that are duplicates of a kept image, by the links{self._scope()}."


Rule = Annotated[
    InRule | NotInRule | PresentRule | RangeRule | ReviewedRule | LabelledRule | DuplicateRule,
    Field(discriminator="kind"),
]
RULE_KINDS = (InRule, NotInRule, PresentRule, RangeRule, ReviewedRule, LabelledRule, DuplicateRule)
_KINDS = {"text": "text", "integer": "numbers", "number": "numbers", "boolean": "true and false"}


def column_of(rule: Rule) -> str | None:
    """Return the column that a rule looks at, ``None`` if its kind names none."""
    return rule.column if isinstance(rule, _ColumnRule) else None


def looks_at_reviews(rule: Rule) -> bool:
    """Return whether a rule asks what a reviewer saw: what it excludes can change with a review."""
    return isinstance(rule, ReviewedRule) or column_of(rule) in ("review", "marks_finding")


def _number(value: Value, column: TableColumn) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{value!r} is not a number; {column.name!r} holds numbers")
    return number


def _boolean(value: Value, column: TableColumn) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{value!r} is not true or false; {column.name!r} holds true and false")  # noqa: TRY004
    return value


def _check_text(value: Value, column: TableColumn) -> None:
    """Refuse a value that a text column never has."""
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not text; {column.name!r} holds text")  # noqa: TRY004
    known = _VALUES.get(column.name)
    if known is not None and value not in known:
        raise ValueError(f"{column.name!r} is never {value!r}; {suggest(value, known, 'value')}")
    if value != value.strip() or not value:
        raise ValueError(f"{value!r} is no value: values have no blanks around them and are not empty")


def _any(values: Sequence[Value]) -> str:
    return " or ".join(f"{value:g}" if isinstance(value, float) else str(value) for value in values)
