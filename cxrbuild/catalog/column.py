"""A column: how it comes from the text values of upstream's metadata."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, field_validator, model_validator

from cxrbuild.catalog.declarations import ByWord, Declaration, Word


class Column(Declaration):
    """How one of our columns comes from upstream's values."""

    origin: Word | list[Word] | None = Field(
        None,
        alias="from",
        description="upstream's column, DICOM keyword or named group; of several the first that is not blank",
    )
    value: Word | None = Field(None, description="the same value for every row")
    map: ByWord[Word] | None = Field(
        None, description="upstream's values to ours; a value that is not listed is an error"
    )
    blank: list[Word] = Field([""], description="upstream's values that mean: not known")
    pattern: Word | None = Field(
        None,
        description="regular expression whose first group is the value; one that does not fit is an error",
    )

    @field_validator("pattern")
    @classmethod
    def _one_group(cls, pattern: str | None) -> str | None:
        return None if pattern is None else check_pattern(pattern, groups=1)

    @model_validator(mode="after")
    def _one_origin(self) -> Column:
        if (self.origin is None) == (self.value is None):
            raise ValueError("give either `from` or `value`")
        return self

    @property
    def origins(self) -> list[str]:
        """The upstream columns to look in, in order."""
        if self.origin is None:
            return []
        return [self.origin] if isinstance(self.origin, str) else list(self.origin)


class AgeColumn(Column):
    """How the age comes from upstream's values: years as 45 or 12.5, or DICOM's 045Y, 006M, 012W, 010D."""

    map: ByWord[Word] | None = Field(
        None,
        description="upstream's words to ages, for the values that are no age, such as `newborn`; all others "
        "are read as they are",
    )
    decimal: Literal[".", ","] = Field(".", description="the decimal sign of ages such as 12.5")
    least: float = Field(0, ge=0, description="the lowest age in years; a lower one is an error")
    most: float = Field(130, description="the highest age in years; a higher one is an error")


class FindingColumn(Column):
    """How the finding comes from upstream's values: from one column, or from one column for each finding."""

    columns: list[Word] | None = Field(
        None,
        min_length=1,
        description="upstream's columns, each for the finding of its name, instead of "
        "`from`; the source's `finding_separator` separates several findings of one row",
    )
    present: list[Word] = Field(
        ["1", "1.0"], description="the values of `columns` that mean: this finding is there"
    )
    absent: list[Word] = Field(
        ["0", "0.0", ""],
        description="the values of `columns` that mean: it is not there, or not known; another is an error",
    )

    @model_validator(mode="after")
    def _one_origin(self) -> FindingColumn:
        if sum(given is not None for given in (self.origin, self.value, self.columns)) != 1:
            raise ValueError("give one of `from`, `value` and `columns`")
        if both := sorted(set(self.present) & set(self.absent)):
            raise ValueError(f"{both[0]!r} is in `present` and in `absent`")
        if self.columns is None:
            return self
        if self.pattern or self.map:
            raise ValueError("`pattern` and `map` belong to `from`")
        if twice := sorted({name for name in self.columns if self.columns.count(name) > 1}):
            raise ValueError(f"`columns` names {twice[0]!r} twice")
        return self

    @property
    def origins(self) -> list[str]:
        """The upstream columns to look in, in order."""
        return self.columns if self.columns is not None else super().origins


class Columns(Declaration):
    """Which of our columns upstream can fill."""

    patient_id: Column | None = None
    finding: FindingColumn | None = None
    modality: Column | None = None
    view_position: Column | None = None
    patient_sex: Column | None = None
    patient_age: AgeColumn | None = None
    license: Column | None = None
    attribution: Column | None = None
    upstream_split: Column | None = None


def check_pattern(pattern: str, groups: int | None = None) -> str:
    """Return a regular expression that compiles.

    Raises
    ------
    ValueError
        It does not compile, or has another number of groups.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None
    if groups is not None and compiled.groups != groups:
        raise ValueError(f"needs exactly {groups} group in parentheses, has {compiled.groups}")
    return pattern
