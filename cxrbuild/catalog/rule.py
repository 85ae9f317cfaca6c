"""A rule: a name, a reason and one of a small closed set of predicates, each able to describe itself."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from cxrbuild.catalog.declarations import Declaration


class _Rule(Declaration):
    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")] = Field(
        description="what the rule writes into `exclusion`"
    )
    reason: str = Field(description="why such images are left out, for the reader of the dataset")
    sources: list[str] | None = Field(None, description="the sources it looks at; absent: all")
    switch: Literal["lateral", "ct", "annotated"] | None = Field(
        None, description="the command line's `--drop-X` and `--keep-X` that turn it on and off"
    )
    enabled: bool = Field(True, description="whether it is on unless switched")

    def _scope(self) -> str:
        return f" (only {', '.join(self.sources)})" if self.sources else ""


class InRule(_Rule):
    """Keep images whose column holds one of some values."""

    kind: Literal["in"]
    column: str = Field(description="the column it looks at")
    values: list[str] = Field(min_length=1, description="the values to keep")
    unknown: Literal["keep", "drop"] = Field(description="what becomes of an image whose value is not known")

    def describe(self) -> str:
        """Say in one sentence what the rule leaves out."""
        unknown = "; unknown is kept" if self.unknown == "keep" else "; unknown is left out"
        return f"Leaves out images whose `{self.column}` is not {_any(self.values)}{unknown}{self._scope()}."


class NotInRule(_Rule):
    """Drop images whose column holds one of some values; unknown is kept."""

    kind: Literal["not_in"]
    column: str = Field(description="the column it looks at")
    values: list[str] = Field(min_length=1, description="the values to leave out")

    def describe(self) -> str:
        """Say in one sentence what the rule leaves out."""
        return (
            f"Leaves out images whose `{self.column}` is {_any(self.values)}; unknown is kept{self._scope()}."
        )


class PresentRule(_Rule):
    """Keep images whose column is known."""

    kind: Literal["present"]
    column: str = Field(description="the column it looks at")

    def describe(self) -> str:
        """Say in one sentence what the rule leaves out."""
        return f"Leaves out images whose `{self.column}` is not known{self._scope()}."


class RangeRule(_Rule):
    """Keep images whose numeric column lies in a range."""

    kind: Literal["range"]
    column: str = Field(description="the numeric column it looks at")
    least: float | None = Field(None, description="the least value to keep")
    most: float | None = Field(None, description="the greatest value to keep")
    unknown: Literal["keep", "drop"] = Field(description="what becomes of an image whose value is not known")

    def describe(self) -> str:
        """Say in one sentence what the rule leaves out."""
        limits = [f"under {self.least:g}"] if self.least is not None else []
        limits += [f"over {self.most:g}"] if self.most is not None else []
        unknown = "; unknown is kept" if self.unknown == "keep" else "; unknown is left out"
        return f"Leaves out images whose `{self.column}` is {_any(limits)}{unknown}{self._scope()}."


class ReviewedRule(_Rule):
    """Drop images on which a person saw certain marks; films nobody has seen are kept."""

    kind: Literal["reviewed"]
    marks: list[str] | None = Field(None, description="the marks to leave out; absent: any")
    at_finding: bool = Field(False, description="only marks drawn at a finding")

    def describe(self) -> str:
        """Say in one sentence what the rule leaves out."""
        marks = _any(self.marks) if self.marks else "a mark"
        where = " drawn at a finding" if self.at_finding else ""
        return f"Leaves out images on which a reviewer saw {marks}{where}; unseen is kept{self._scope()}."


class LabelledRule(_Rule):
    """Drop images whose finding is none of the recipe's classes."""

    kind: Literal["labelled"]

    def describe(self) -> str:
        """Say in one sentence what the rule leaves out."""
        return f"Leaves out images whose `finding` is none of the recipe's classes{self._scope()}."


class RepeatedRule(_Rule):
    """Keep the first of several images that are linked as the same film."""

    kind: Literal["repeated"]

    def describe(self) -> str:
        """Say in one sentence what the rule leaves out."""
        return f"Leaves out images that a link calls the same film as one that is kept{self._scope()}."


Rule = Annotated[
    InRule | NotInRule | PresentRule | RangeRule | ReviewedRule | LabelledRule | RepeatedRule,
    Field(discriminator="kind"),
]
RULE_KINDS = (InRule, NotInRule, PresentRule, RangeRule, ReviewedRule, LabelledRule, RepeatedRule)


def _any(values: list[str]) -> str:
    return " or ".join(values)
