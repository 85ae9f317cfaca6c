"""Train the recipe's model on a build, and show what it learned beside what was published."""

from __future__ import annotations

from cxrbuild.baseline.experiment import BaselineResult, train_baseline
from cxrbuild.baseline.gate import refuse_no_gate, require_gate, say_checks

__all__ = ["BaselineResult", "refuse_no_gate", "require_gate", "say_checks", "train_baseline"]
