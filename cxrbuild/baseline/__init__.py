"""Train the recipe's model on a build, and show what it learned beside what was published."""

from __future__ import annotations

from cxrbuild.baseline.experiment import BaselineResult, train_baseline
from cxrbuild.baseline.gate import describe_checks, refuse_no_gate, require_gate

__all__ = ["BaselineResult", "describe_checks", "refuse_no_gate", "require_gate", "train_baseline"]
