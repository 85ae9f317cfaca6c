"""Train the recipe's model on a build, and compare what it learned with the published figures."""

from __future__ import annotations

from cxrbuild.baseline.experiment import train_baseline
from cxrbuild.baseline.gate import describe_checks, require_declared_gate, require_gate
from cxrbuild.baseline.result import METRICS, BaselineResult
from cxrbuild.baseline.trained_on import TRAINED_ON

__all__ = [
    "METRICS",
    "TRAINED_ON",
    "BaselineResult",
    "describe_checks",
    "require_declared_gate",
    "require_gate",
    "train_baseline",
]
