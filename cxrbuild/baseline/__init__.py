"""Train the recipe's model on a build, and show what it learned beside what was published."""

from __future__ import annotations

from cxrbuild.baseline.experiment import BaselineResult, train_baseline
from cxrbuild.baseline.gate import require_gate

__all__ = ["BaselineResult", "require_gate", "train_baseline"]
