"""The limits that a recipe sets for the checks of its audit."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated

from pydantic import Field, model_validator

from cxrbuild.catalog.declarations import Declaration
from cxrbuild.checks import known_ids
from cxrbuild.errors import DeclarationError, name_some, suggest


class Audit(Declaration):
    """The `[audit]` of a recipe: the limits of its audit."""

    limits: dict[str, Annotated[float, Field(ge=0)]] = Field(
        default_factory=dict, description="the highest value at which a check passes, by the check's id"
    )
    report: list[str] = Field(default_factory=list, description="ids of checks that report without a limit")

    @model_validator(mode="after")
    def _check_ids(self) -> Audit:
        problems = [f"{name}: is in both limits and report" for name in self.report if name in self.limits]
        if self.limits or self.report:
            known = known_ids("audit")
            for key, names in (("limits", self.limits), ("report", self.report)):
                problems += [
                    f"{key}: no check has the id {name!r}; {suggest(name, known, 'known id')}"
                    for name in names
                    if name not in known
                ]
        if problems:
            raise ValueError("\n".join(problems))
        return self

    def limit(self, check_id: str, default: float | None) -> float | None:
        """Return the highest value at which a check passes; ``None`` if it reports without a limit.

        Parameters
        ----------
        check_id
            The check.
        default
            Its limit where the recipe sets none.
        """
        if check_id in self.report:
            return None
        return self.limits.get(check_id, default)

    def require_known(self, check_ids: Collection[str]) -> None:
        """Require that every check that the recipe names is a check of the audit.

        Reading the recipe cannot find an id of another package's check for another command.

        Raises
        ------
        DeclarationError
            The recipe names a check that the audit does not make.
        """
        unknown = sorted({*self.limits, *self.report} - set(check_ids))
        if unknown:
            raise DeclarationError(
                f"the recipe's [audit] names checks that the audit does not make: {name_some(unknown)}",
                expected=", ".join(check_ids),
                todo="Correct the ids, or install the package that has these checks",
            )
