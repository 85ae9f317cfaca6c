"""The result of a comparison: where its files are, and the content of ``comparison.json``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cxrbuild.artifact.baseline import Interval
from cxrbuild.artifact.comparison import ComparisonDocument
from cxrbuild.notebook import result_html

COMPARED = ("accuracy", "difference", "balanced accuracy")


@dataclass(frozen=True)
class ComparisonResult:
    """The result of a comparison.

    Attributes
    ----------
    out
        The folder of its files.
    document
        The content of ``comparison.json``.
    """

    out: Path
    document: ComparisonDocument

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON has it."""
        return {"out": str(self.out)} | self.document.to_dict()

    def rows(self) -> list[list[str]]:
        """Return a row for each evaluation and combination: names, then the figures of ``COMPARED``."""
        return [
            [
                evaluation.name,
                name,
                format_interval(figures.accuracy),
                format_interval(evaluation.differences[name].accuracy, signed=True)
                if name in evaluation.differences
                else "",
                format_interval(figures.balanced_accuracy),
            ]
            for evaluation in self.document.evaluations
            for name, figures in evaluation.figures.items()
        ]

    def _repr_html_(self) -> str:
        recipe = self.document.recipe
        return result_html(
            f"Comparison on {recipe.name} {recipe.version}", header=["", "", *COMPARED], rows=self.rows()
        )


def format_interval(interval: Interval, *, signed: bool = False) -> str:
    """Return a figure with its limits.

    Examples
    --------
    >>> format_interval(Interval(value=0.25, low=0.2, high=0.5), signed=True)
    '+0.250 (+0.200, +0.500)'
    """
    if interval.value is None or interval.low is None or interval.high is None:
        return "n/a" if interval.value is None else f"{interval.value:{'+' if signed else ''}.3f}"
    sign = "+" if signed else ""
    return f"{interval.value:{sign}.3f} ({interval.low:{sign}.3f}, {interval.high:{sign}.3f})"
