"""A rule: a name, a reason and one of a small, closed set of conditions, each with its description."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from cxrbuild.catalog.declarations import Declaration


class _Rule(Declaration):
    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")] = Field(
        description="what the rule writes into `exclusion`"
    )
    reason: str = Field(description="why such images are excluded, for the reader of the dataset")
    sources: list[str] | None = Field(None, description="the sources that it applies to; default all")
    switch: Literal["lateral", "ct", "annotated"] | None = Field(
        None, description="the options `--drop-X` and `--keep-X` that switch it on and off"
    )
    enabled: bool = Field(True, description="whether it is on by default")

    def _scope(self) -> str:
        return f" (only {', '.join(self.sources)})" if self.sources else ""


class InRule(_Rule):
    """Keep images whose column has one of some values."""

    kind: Literal["in"]
    column: str = Field(description="the column it looks at")
    values: list[str] = Field(min_length=1, description="the values to keep")
    unknown: Literal["keep", "drop"] = Field(description="whether to keep images whose value is unknown")

    def describe(self) -> str:
        """Describe in one sentence what the rule excludes."""
        unknown = "; unknown is kept" if self.unknown == "keep" else "; unknown is excluded"
        return f"Excludes images whose `{self.column}` is not {_any(self.values)}{unknown}{self._scope()}."


class NotInRule(_Rule):
    """Exclude images whose column has one of some values; unknown is kept."""

    kind: Literal["not_in"]
    column: str = Field(description="the column it looks at")
    values: list[str] = Field(min_length=1, description="the values to exclude")

    def describe(self) -> str:
        """Describe in one sentence what the rule excludes."""
        return (
            f"Excludes images whose `{self.column}` is {_any(self.values)}; unknown is kept{self._scope()}."
        )


class PresentRule(_Rule):
    """Keep images whose column has a value."""

    kind: Literal["present"]
    column: str = Field(description="the column it looks at")

    def describe(self) -> str:
        """Describe in one sentence what the rule excludes."""
        return f"Excludes images whose `{self.column}` has no value{self._scope()}."


class RangeRule(_Rule):
    """Keep images whose numeric column is in a range, limits included."""

    kind: Literal["range"]
    column: str = Field(description="the numeric column it looks at")
    least: float | None = Field(None, description="the least value to keep")
    most: float | None = Field(None, description="the greatest value to keep")
    unknown: Literal["keep", "drop"] = Field(description="whether to keep images whose value is unknown")

    def describe(self) -> str:
        """Describe in one sentence what the rule excludes."""
        limits = [f"under {self.least:g}"] if self.least is not None else []
        limits += [f"over {self.most:g}"] if self.most is not None else []
        unknown = "; unknown is kept" if self.unknown == "keep" else "; unknown is excluded"
        return f"Excludes images whose `{self.column}` is {_any(limits)}{unknown}{self._scope()}."


class ReviewedRule(_Rule):
    """Exclude images on which a reviewer saw certain marks; images without a review are kept."""

    kind: Literal["reviewed"]
    marks: list[str] | None = Field(None, description="the marks to exclude; default any")
    at_finding: bool = Field(False, description="only marks drawn at a finding")

    def describe(self) -> str:
        """Describe in one sentence what the rule excludes."""
        marks = _any(self.marks) if self.marks else "a mark"
        where = " drawn at a finding" if self.at_finding else ""
        return f"Excludes images on which a reviewer saw {marks}{where}; no review: kept{self._scope()}."


class LabelledRule(_Rule):
    """Exclude images whose finding belongs to none of the recipe's classes."""

    kind: Literal["labelled"]

    def describe(self) -> str:
        """Describe in one sentence what the rule excludes."""
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


def _any(values: list[str]) -> str:
    return " or ".join(values)
