"""Audit published lists, alone or against the metadata of the sources."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from cxrbuild.checks import Check, Finding, evaluate, registered_checks
from cxrbuild.errors import CheckError, count_of
from cxrbuild.lists.context import ListCheck, ListContext, ListFinding
from cxrbuild.lists.reading import places
from cxrbuild.lists.registry import CHECKS
from cxrbuild.lists.summary import DatasetSummary, summarize
from cxrbuild.lists.table import tabulate
from cxrbuild.notebook import result_html

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class ListCheckResult:
    """A check of lists and what it found.

    Attributes
    ----------
    id, sentence, needs
        As in `cxrbuild.lists.context.ListCheck`.
    findings
        What it found; ``None`` where it could not be made.
    rows
        The number of rows that it looked at.
    reason
        Why it could not be made, or omits rows; ``None`` where it looked at every row.
    next_step
        What to do where it found something; empty where that is what to do about any finding.
    """

    id: str
    sentence: str
    needs: str
    findings: list[ListFinding] | None
    rows: int
    reason: str | None
    next_step: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON has it."""
        found = None if self.findings is None else [finding.to_dict() for finding in self.findings]
        return {
            "id": self.id, "sentence": self.sentence, "needs": self.needs, "findings": found,
            "rows": self.rows, "reason": self.reason,
        }  # fmt: skip


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
    dataset
        How the lists and the dataset compare; ``None`` where there is none to compare with.
    table
        A row for each row of the lists, see `cxrbuild.lists.table.tabulate`.
    """

    rows: dict[str, dict[str, int]]
    sources: dict[str, tuple[int, int | None]]
    checks: list[ListCheckResult]
    compared: int | None = None
    dataset: DatasetSummary | None = None
    table: pd.DataFrame | None = field(default=None, compare=False, repr=False)

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
            "dataset": None if self.dataset is None else self.dataset.to_dict(),
            "checks": [check.to_dict() for check in self.checks],
        }

    def _repr_html_(self) -> str:
        rows = sum(n for classes in self.rows.values() for n in classes.values())
        checks = [
            [one.sentence, "not checked" if one.findings is None else len(one.findings), one.rows]
            for one in self.checks
        ]
        return result_html(
            f"Audit of lists: {count_of(rows, 'row')}", header=["must hold", "findings", "rows"], rows=checks
        )


def audit_rows(context: ListContext) -> ListAuditResult:
    """Check the rows of lists for patients in two splits, repeated files, two classes, and more.

    Parameters
    ----------
    context
        The rows, the records of the sources, duplicates among their images, and a dataset to compare with.
    """
    context = replace(context, rows=context.rows.assign(place=places(context.rows)))
    rows, records = context.rows, context.records
    checks = [_make(check, context) for check in _checks_of(context)]
    sizes = rows.groupby(["split", rows["label"].fillna("")]).size()
    counts: dict[str, dict[str, int]] = {}
    for split, label, n in sizes.reset_index().itertuples(index=False):
        counts.setdefault(split, {})[label] = int(n)
    sources = {
        str(name): (len(group), None if records is None else int(group["image"].notna().sum()))
        for name, group in rows.groupby(rows["source"].fillna(""))
    }
    compared = None if context.compared is None else len(context.compared)
    findings: dict[str, Sequence[ListFinding] | None] = {check.id: check.findings for check in checks}
    summary, table = summarize(context, findings), tabulate(context, findings)
    return ListAuditResult(counts, sources, checks, compared, summary, table)


def _checks_of(context: ListContext) -> list[ListCheck]:
    checks = [_as_list_check(one) for one in registered_checks("audit --list", CHECKS)]
    if context.dataset is None:
        return [one for one in checks if one.needs != "dataset"]
    # What a ledger does not have is no image of the dataset: `in_dataset` reports every such row.
    return [one for one in checks if one.id != "known_files" or not context.dataset.has_ledger]


def _as_list_check(check: Check[ListContext]) -> ListCheck:
    """Return a check of another package, which looks at every row."""
    if isinstance(check, ListCheck):
        return check
    return ListCheck(check.id, check.sentence, check.run, next_step=check.next_step)


def _make(check: ListCheck, context: ListContext) -> ListCheckResult:
    findings, rows, reason = None, 0, check.prevented(context)
    if reason is None:
        lacks = check.lacks.format(sources=context.sources)
        total = len(context.rows)
        rows = total if check.looks_at is None else int(check.looks_at(context).sum())
        if rows == 0:
            reason = f"no row has {lacks}"
        elif rows < total:
            reason = f"not checked in {count_of(total - rows, 'row')} without {lacks}"
        if rows:
            result = evaluate(check, context, limit=0)
            findings = [_as_list_finding(one) for one in result.findings]
            if result.status == "not applicable":
                findings, rows, reason = None, 0, result.message
    return ListCheckResult(
        check.id, check.sentence, check.needs, findings, rows, reason, next_step=check.next_step
    )


def _as_list_finding(finding: Finding) -> ListFinding:
    return finding if isinstance(finding, ListFinding) else ListFinding(str(finding))


def require_clean(result: ListAuditResult) -> None:
    """Require that no check found anything.

    Raises
    ------
    CheckError
        A check found something.
    """
    failed = [check for check in result.checks if check.findings]
    if not failed:
        return
    todo = "Correct the lists, or report the findings to their authors"
    if steps := dict.fromkeys(check.next_step.rstrip(".") for check in failed if check.next_step):
        todo = ". ".join(steps)
    elif all(check.needs == "dataset" for check in failed):
        todo = "Look at the rows; --out FILE.csv and --json list them"
    raise CheckError(f"the lists have findings: {', '.join(check.id for check in failed)}", todo=todo)
