"""The gate: whether the baseline reaches the figures that the recipe requires."""

from __future__ import annotations

from cxrbuild.artifact.baseline import GateResult
from cxrbuild.catalog.baseline import Gate
from cxrbuild.catalog.recipe import Recipe
from cxrbuild.errors import CheckError, CxrbuildError


def require_declared_gate(recipe: Recipe) -> None:
    """Check that a recipe declares a gate.

    Raises
    ------
    CxrbuildError
        It declares none.
    """
    gate = recipe.baseline.gate if recipe.baseline else Gate.model_validate({})
    if gate.accuracy is None and not gate.recall:
        raise CxrbuildError(
            "the recipe declares no gate",
            where=recipe.name,
            expected="[baseline.gate] with accuracy, or with the recall of a class",
            found="[baseline.gate] without a limit" if recipe.baseline else "no [baseline]",
            todo="Declare one in the recipe's file, for example `accuracy = 0.85` under "
            "`[baseline.gate]`, or omit --gate",
        )


def require_gate(result: GateResult, where: object) -> None:
    """Check that the gate is passed.

    Parameters
    ----------
    result
        The comparison with the limits.
    where
        The report, for the message.

    Raises
    ------
    CheckError
        It is not; each figure below its limit is named.
    """
    failed = [check for check in result.checks if not check.passed]
    if failed:
        raise CheckError(
            "the baseline is below the gate: " + ", ".join(check.figure for check in failed),
            where=where,
            expected=", ".join(f"{check.figure} at least {check.limit:.4f}" for check in failed),
            found=", ".join(_format(check.value) for check in failed),
            todo="Look at the report's mistakes, or at the images that the build excludes",
        )


def describe_checks(result: GateResult) -> str:
    """Return each figure with its limit, as text."""
    return ", ".join(
        f"{check.figure} {_format(check.value)} (at least {check.limit:.4f})" for check in result.checks
    )


def _format(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"
