"""Whether the baseline learned from a dataset what it should."""

from __future__ import annotations

from typing import Any

from cxrbuild.catalog.baseline import Gate
from cxrbuild.errors import CheckError


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
