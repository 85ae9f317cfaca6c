"""Train the recipe's model on a build, and compare what it learned with the published figures."""

from __future__ import annotations

from cxrbuild.baseline.compare import compare_baselines
from cxrbuild.baseline.compare_result import COMPARED, ComparisonResult
from cxrbuild.baseline.experiment import train_baseline
from cxrbuild.baseline.gate import describe_checks, require_declared_gate, require_gate
from cxrbuild.baseline.result import METRICS, BaselineResult

__all__ = [
    "COMPARED",
    "METRICS",
    "BaselineResult",
    "ComparisonResult",
    "compare_baselines",
    "describe_checks",
    "require_declared_gate",
    "require_gate",
    "train_baseline",
]
