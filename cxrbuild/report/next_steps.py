"""What to do about a check of an audit that found something."""

from __future__ import annotations

from collections.abc import Iterable

from cxrbuild.artifact import CheckResult

# What to do about every check that looks at something which a network can learn instead of the disease.
_REMEDY = (
    "If that predicts the class, a network can learn it instead of the disease. Keep images in which the "
    "classes are similar, by a rule of the recipe, or add images so that each class has every kind. If you "
    "can do neither, as with one hospital and one device, state it in the card, and see with "
    "`cxrbuild explain` what a model uses."
)


def next_step(check: CheckResult) -> str:
    """Return what to do about a check; empty where it passed, found nothing, or states no next step.

    Parameters
    ----------
    check
        The result of the check.
    """
    return " ".join(next_steps([check]))


def next_steps(checks: Iterable[CheckResult]) -> list[str]:
    """Return what to do about checks, each step once.

    Parameters
    ----------
    checks
        The results of the checks. Those that passed or found nothing need no step.
    """
    found = [(check.id, check.about) for check in checks if check.status != "passed" and check.value]
    steps = [about.next_step for _, about in found if about.next_step]
    if shortcuts := [f"`{name}` looks at {about.shortcut}." for name, about in found if about.shortcut]:
        steps.append(" ".join([*shortcuts, _REMEDY]))
    return list(dict.fromkeys(steps))
