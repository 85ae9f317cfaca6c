"""Audit published lists, alone or against the metadata of the sources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cxrbuild.errors import CheckError
from cxrbuild.lists.checks import CHECKS, ListFinding
from cxrbuild.lists.matching import match_images
from cxrbuild.lists.reading import ListFile, read_lists

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class ListCheckResult:
    """A check of lists and what it found; ``findings`` is ``None`` where it needs sources and has none."""

    id: str
    sentence: str
    findings: list[ListFinding] | None

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON has it."""
        found = None if self.findings is None else [finding.to_dict() for finding in self.findings]
        return {"id": self.id, "sentence": self.sentence, "findings": found}


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
    """

    rows: dict[str, dict[str, int]]
    sources: dict[str, tuple[int, int | None]]
    checks: list[ListCheckResult]

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
            "checks": [check.to_dict() for check in self.checks],
        }


def audit_lists(
    files: Sequence[ListFile],
    records: pd.DataFrame | None = None,
    columns: Mapping[str, str] | None = None,
) -> ListAuditResult:
    """Check lists for patients in two splits, repeated files, two classes, ids that are none, and more.

    Parameters
    ----------
    files
        The lists.
    records
        A row for each image of the sources, as ``plan`` returns them; ``None`` without sources.
    columns
        The lists' columns, see `read_lists`.

    Raises
    ------
    CxrbuildError
        A list cannot be read, has no column of files, or no split.
    """
    rows = read_lists(files, columns)
    if records is not None:
        rows = match_images(rows, records)
    checks = []
    for check in CHECKS:
        if records is None:
            # Of the other checks none looks at the records.
            found = None if check.needs_sources else list(check.run(rows, rows))
        else:
            found = list(check.run(rows, records))
        checks.append(ListCheckResult(check.id, check.sentence, found))
    sizes = rows.groupby(["split", rows["label"].fillna("")]).size()
    counts: dict[str, dict[str, int]] = {}
    for split, label, n in sizes.reset_index().itertuples(index=False):
        counts.setdefault(split, {})[label] = int(n)
    sources = {
        str(name): (len(group), None if records is None else int(group["image"].notna().sum()))
        for name, group in rows.groupby(rows["source"].fillna(""))
    }
    return ListAuditResult(counts, sources, checks)


def require_clean(result: ListAuditResult) -> None:
    """Require that no check found anything.

    Raises
    ------
    CheckError
        A check found something.
    """
    failed = [check.id for check in result.checks if check.findings]
    if failed:
        raise CheckError(f"the lists have findings: {', '.join(failed)}")
