"""Compare two versions of a dataset: what changed, why, and which part of the version must increase."""

from cxrbuild.comparison.compare import compare, diff
from cxrbuild.comparison.diff import KINDS, NOT_CHANGES, Diff, Kind
from cxrbuild.comparison.text import markdown, summary
from cxrbuild.comparison.version import DatasetVersion, Declarations, ledger_columns, read_version

__all__ = [
    "KINDS",
    "NOT_CHANGES",
    "DatasetVersion",
    "Declarations",
    "Diff",
    "Kind",
    "compare",
    "diff",
    "ledger_columns",
    "markdown",
    "read_version",
    "summary",
]
