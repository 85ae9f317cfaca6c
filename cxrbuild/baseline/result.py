"""The result of ``train_baseline``: where its files are, and the content of ``metrics.json``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cxrbuild.artifact.baseline import BaselineDocument
from cxrbuild.notebook import result_html

METRICS = ("loss", "accuracy", "precision", "recall")


@dataclass(frozen=True)
class BaselineResult:
    """The result of a baseline.

    Attributes
    ----------
    out
        The folder of its files.
    document
        The content of ``metrics.json``.
    seconds_per_epoch
        The median time of training for one epoch, ``None`` for a saved model.
    """

    out: Path
    document: BaselineDocument
    seconds_per_epoch: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON has it."""
        return {
            "out": str(self.out),
            "seconds_per_epoch": self.seconds_per_epoch,
        } | self.document.to_dict()

    def rows(self) -> list[list[str]]:
        """Return the table of metrics, published figures first: a title and four figures in each row."""
        published = self.document.settings.published
        rows = []
        for title, spreads in self.document.summary.metrics.items():
            figures = published.metrics.get(title) if published else None
            if figures:
                rows.append(
                    [f"{title}, published", *(format_figure(getattr(figures, name)) for name in METRICS)]
                )
            rows.append([title, *(format_figure(getattr(spreads, name).mean) for name in METRICS)])
        return rows

    def _repr_html_(self) -> str:
        recipe, gate = self.document.recipe, self.document.gate
        state = f"; gate {'passed' if gate.passed else 'not passed'}" if gate.checks else ""
        return result_html(
            f"Baseline of {recipe.name} {recipe.version}{state}", header=["", *METRICS], rows=self.rows()
        )


def format_figure(value: float | None) -> str:
    """Return a figure with four decimals.

    Examples
    --------
    >>> format_figure(0.25), format_figure(None)
    ('0.2500', 'n/a')
    """
    return "n/a" if value is None else f"{value:.4f}"
