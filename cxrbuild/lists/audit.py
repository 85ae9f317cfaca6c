"""Audit published lists, alone or against the metadata of the sources."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cxrbuild.errors import CheckError
from cxrbuild.lists.checks import CHECKS, ListContext, ListFinding


@dataclass(frozen=True)
class ListCheckResult:
    """A check of lists and what it found; ``findings`` is ``None`` where what it needs is not there."""

    id: str
    sentence: str
    needs: str
    findings: list[ListFinding] | None

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON has it."""
        found = None if self.findings is None else [finding.to_dict() for finding in self.findings]
        return {"id": self.id, "sentence": self.sentence, "needs": self.needs, "findings": found}


@dataclass(frozen=True)
class ListAuditResult:
    """What an audit of lists found.

    Attributes
    ----------
    rows
        Number of rows by split and class.
    sources
        By source that the lists name (an empty text where they name none): number of rows, and of rows whose
        file a source here has; ``None`` without sources.
    checks
        The checks.
    compared
        The number of listed images that were compared with each other; ``None`` where no image was read.
    """

    rows: dict[str, dict[str, int]]
    sources: dict[str, tuple[int, int | None]]
    checks: list[ListCheckResult]
    compared: int | None = None

    @property
    def passed(self) -> bool:
        """Whether no check found anything."""
        return not any(check.findings for check in self.checks)

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON has it."""
        return {
            "passed": self.passed,
            "rows": self.rows,
            "sources": {name: {"rows": n, "found": found} for name, (n, found) in self.sources.items()},
            "compared_images": self.compared,
            "checks": [check.to_dict() for check in self.checks],
        }


def audit_rows(context: ListContext) -> ListAuditResult:
    """Check the rows of lists for patients in two splits, repeated files, two classes, and more.

    Parameters
    ----------
    context
        The rows, the records of the sources, and duplicates among their images.
    """
    rows, records = context.rows, context.records
    found = [list(check.run(context)) if check.can_run(context) else None for check in CHECKS]
    checks = [
        ListCheckResult(check.id, check.sentence, check.needs, findings)
        for check, findings in zip(CHECKS, found, strict=True)
    ]
    sizes = rows.groupby(["split", rows["label"].fillna("")]).size()
    counts: dict[str, dict[str, int]] = {}
    for split, label, n in sizes.reset_index().itertuples(index=False):
        counts.setdefault(split, {})[label] = int(n)
    sources = {
        str(name): (len(group), None if records is None else int(group["image"].notna().sum()))
        for name, group in rows.groupby(rows["source"].fillna(""))
    }
    return ListAuditResult(counts, sources, checks, context.compared)


def require_clean(result: ListAuditResult) -> None:
    """Require that no check found anything.

    Raises
    ------
    CheckError
        A check found something.
    """
    failed = [check.id for check in result.checks if check.findings]
    if failed:
        raise CheckError(
            f"the lists have findings: {', '.join(failed)}",
            todo="Correct the lists, or report the findings to their authors",
        )  # fmt: skip
