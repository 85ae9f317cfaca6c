"""The drawing of a comparison: figures and differences with their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cxrbuild.artifact.baseline import Interval
from cxrbuild.artifact.comparison import ComparedFigures, ComparisonDocument
from cxrbuild.baseline.drawing import BLUE, GREY, ORANGE, drawing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NAMES = {"test": "test split", "folds": "folds"}
_MEASURES = {"accuracy": BLUE, "balanced accuracy": ORANGE}


def draw_comparison(path: Path, document: ComparisonDocument) -> None:
    """Draw accuracy and balanced accuracy of each combination, and their differences from the first.

    Parameters
    ----------
    path
        The path without its suffix.
    document
        The comparison.
    """
    names = [one.name for one in document.combinations]
    several = len(names) > 1
    rows = len(document.evaluations)
    height = 0.9 + rows * (0.55 + 0.38 * len(names))
    with drawing(path, 9.0 if several else 5.0, height) as figure:
        grid = figure.subplots(rows, 2 if several else 1, squeeze=False, sharex="col")
        for axes, evaluation in zip(grid, document.evaluations, strict=True):
            _draw(axes[0], names, evaluation.figures)
            name = _NAMES.get(evaluation.name, f"source {evaluation.name}")
            images = sum(evaluation.counts.values())
            axes[0].set_title(f"{name}: {images:,} images", fontsize=9, loc="left")
            if several:
                axes[1].axvline(0, color=GREY, linestyle=":")
                _draw(axes[1], names, evaluation.differences)
                axes[1].set_yticklabels([])
                axes[1].set_title(f"difference from {names[0]}", fontsize=9, loc="left")
        handles, labels = grid[0][0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False)


def _draw(axes: Axes, names: Sequence[str], figures: Mapping[str, ComparedFigures]) -> None:
    """Draw a row for each name, the first on top; a name without figures has an empty one."""
    for offset, (measure, colour) in zip((-0.13, 0.13), _MEASURES.items(), strict=True):
        drawn = [
            (row + offset, getattr(figures[name], measure.replace(" ", "_")))
            for row, name in enumerate(names)
            if name in figures
        ]
        _draw_intervals(axes, [one for one in drawn if one[1].value is not None], measure, colour)
    axes.margins(x=0.08)
    axes.set_yticks(range(len(names)), list(names))
    axes.set_ylim(len(names) - 0.5, -0.5)


def _draw_intervals(axes: Axes, drawn: Sequence[tuple[float, Interval]], measure: str, colour: str) -> None:
    values = [interval.value or 0.0 for _, interval in drawn]
    # Without limits a figure is a dot.
    limits = [
        [0.0 if limit is None else abs(value - limit) for value, limit in zip(values, of_side, strict=True)]
        for of_side in ([one.low for _, one in drawn], [one.high for _, one in drawn])
    ]
    axes.errorbar(
        values, [y for y, _ in drawn], xerr=limits, fmt="o", markersize=4, color=colour, label=measure
    )
