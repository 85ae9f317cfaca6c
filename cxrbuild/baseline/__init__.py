"""Train the recipe's model on a build, and show what it learned beside what was published."""

from __future__ import annotations

from cxrbuild.baseline.experiment import BaselineResult, train_baseline

__all__ = ["BaselineResult", "train_baseline"]
