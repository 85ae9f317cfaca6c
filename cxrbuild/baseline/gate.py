"""Whether the baseline learned from a dataset what it should."""

from __future__ import annotations

from typing import Any

from cxrbuild.catalog.baseline import Gate
from cxrbuild.catalog.recipe import Recipe
from cxrbuild.errors import CheckError, CxrbuildError


def check_gate(gate: Gate, accuracy: float, recall: dict[str, float]) -> dict[str, Any]:
    """Return what was demanded, what was reached, and whether that is enough.

    Parameters
    ----------
    gate
        The limits.
    accuracy
        Of the test part; over several seeds, their mean.
    recall
        Of each class, a class being predicted where its probability is the greatest.
    """
    checks: list[dict[str, Any]] = []
    if gate.accuracy is not None:
        limit = gate.accuracy - gate.tolerance
        checks.append({"what": "test accuracy", "least": round(limit, 10), "found": accuracy})
    checks += [
        {"what": f"recall of {name}", "least": least, "found": recall[name]}
        for name, least in gate.recall.items()
    ]
    for check in checks:
        # nan, where nothing was there to recall, is not enough.
        check["passed"] = bool(check["found"] >= check["least"])
    return {"passed": all(check["passed"] for check in checks), "checks": checks}


def refuse_no_gate(recipe: Recipe) -> None:
    """Refuse to hold a model against a gate that nobody declared.

    Raises
    ------
    CxrbuildError
        The recipe declares none.
    """
    gate = recipe.baseline.gate if recipe.baseline else Gate.model_validate({})
    if gate.accuracy is None and not gate.recall:
        raise CxrbuildError(
            "the recipe declares no gate",
            where=recipe.name,
            expected="[baseline.gate] with accuracy, or with the recall of a class",
            found="[baseline.gate] without a limit" if recipe.baseline else "no [baseline]",
            todo="Declare one in the recipe's file, for example `accuracy = 0.85` under "
            "`[baseline.gate]`, or leave out --gate",
        )


def require_gate(outcome: dict[str, Any], where: object) -> None:
    """Refuse an outcome that fell short.

    Raises
    ------
    CheckError
        It did; each check that failed is named.
    """
    short = [check for check in outcome["checks"] if not check["passed"]]
    if short:
        raise CheckError(
            "the baseline fell short of the gate: " + ", ".join(check["what"] for check in short),
            where=where,
            expected=", ".join(f"{check['what']} at least {check['least']:.4f}" for check in short),
            found=", ".join(f"{check['found']:.4f}" for check in short),
            todo="Look at the report's mistakes, or at what the build lacks",
        )


def describe_checks(outcome: dict[str, Any]) -> str:
    """Return each figure of an outcome against its limit, in words."""
    return ", ".join(
        f"{check['what']} {check['found']:.4f} (at least {check['least']:.4f})" for check in outcome["checks"]
    )
