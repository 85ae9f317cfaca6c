"""Explain a trained model: which pixels it uses, what it predicts without the lungs, and for whom."""

from __future__ import annotations

from cxrbuild.explanation.explain import explain, require_passed
from cxrbuild.explanation.result import ExplanationResult

__all__ = ["ExplanationResult", "explain", "require_passed"]
