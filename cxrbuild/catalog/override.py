"""What a build does differently from its recipe: rules switched on or off, review files added."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, field_serializer

from cxrbuild.errors import count_of


class _Recorded(BaseModel):
    """Recorded in ``build.json``. Unknown keys are refused, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class RuleOverride(_Recorded):
    """A rule that is switched on or off against the recipe's default.

    Attributes
    ----------
    rule
        The rule's name.
    switch
        The command line's ``--drop-SWITCH`` and ``--keep-SWITCH`` that did it.
    enabled
        Whether the rule is on.
    """

    rule: str
    switch: str
    enabled: bool

    def describe(self) -> str:
        """Describe the override in a clause."""
        return f"rule {self.rule} switched {'on' if self.enabled else 'off'}"


class ReviewOverride(_Recorded):
    """A review file that is added to the recipe's.

    Attributes
    ----------
    file
        The file, as it was named; a record has its name alone.
    reviews
        How many images it reviews that no file named before it does.
    replaced
        How many of these override a review of the recipe.
    """

    file: str
    reviews: int
    replaced: int

    @field_serializer("file")
    def _without_folder(self, file: str) -> str:
        # The path of a folder has no meaning elsewhere, and can be private.
        return Path(file).name

    def describe(self) -> str:
        """Describe the override in a clause."""
        count = count_of(self.reviews, "review")
        return f"{count} added from {self.file}, {self.replaced:,} of them instead of the recipe's"


class Overrides(_Recorded):
    """All overrides of a build; false where there are none.

    Attributes
    ----------
    rules
        Rules that are switched on or off.
    reviews
        Review files that are added.
    """

    rules: tuple[RuleOverride, ...] = ()
    reviews: tuple[ReviewOverride, ...] = ()

    def __bool__(self) -> bool:
        """Return whether the build differs from its recipe."""
        return bool(self.rules or self.reviews)

    def describe(self) -> list[str]:
        """Describe each override in a clause."""
        rules = [override.describe() for override in self.rules]
        return rules + [override.describe() for override in self.reviews]
