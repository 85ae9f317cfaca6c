"""What single checks of `verify` find in a release, without the time that the others take."""

from __future__ import annotations

from pathlib import Path

from cxrbuild.checks import Finding, evaluate
from cxrbuild.verification.context import Context
from cxrbuild.verification.registry import verify_checks


def findings_of(folder: Path, *checks: str) -> list[Finding]:
    """Return what checks of `verify` find in a release, in the order in which it makes them."""
    known = {check.id: check for check in verify_checks()}
    assert set(checks) <= known.keys(), "verify has no check of this id"
    context = Context(folder, "release")
    results = [evaluate(check, context, limit=check.limit) for name, check in known.items() if name in checks]
    found = [finding for result in results if result.status == "failed" for finding in result.findings]
    # A check that was not made finds nothing either.
    assert found or all(result.status != "not applicable" for result in results)
    return found
