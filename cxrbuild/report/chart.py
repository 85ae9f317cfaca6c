"""Histograms and bars, as SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

# Okabe and Ito: distinguishable for colour-blind readers. https://jfly.uni-koeln.de/color/
COLOURS = ("#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a8a00", "#7a7a7a")
_WIDTH, _HEIGHT, _FOOT, _HEAD = 360, 96, 18, 14


def histogram(values: pd.Series, edges: Sequence[float], colour: str, unit: str, title: str) -> str:
    """Return a histogram.

    Parameters
    ----------
    values
        The values; null is ignored.
    edges
        The bins' edges; values outside go into the first and the last bin.
    colour
        The bars' colour.
    unit
        The unit, for the axis.
    title
        The title, for screen readers.
    """
    import numpy as np

    known = values.dropna().astype(float)
    counts = np.histogram(known.clip(edges[0], edges[-1]), edges)[0].tolist()
    most = max([*counts, 1])
    step = _WIDTH / len(counts)
    bars = []
    for i, n in enumerate(counts):
        if n:
            height = max(n / most * (_HEIGHT - _HEAD), 1)
            label = f"{edges[i]:g} to {edges[i + 1]:g} {unit}: {n:,}"
            bars.append(
                f'<rect x="{i * step + 0.5:.1f}" y="{_HEIGHT - height:.1f}" width="{step - 1:.1f}" '
                f'height="{height:.1f}" fill="{colour}"><title>{escape(label)}</title></rect>'
            )
    every = max(1, len(counts) // 6)
    ticks = [
        f'<text x="{min(max(i * step, 8), _WIDTH - 16):.0f}" y="{_HEIGHT + 13}" text-anchor="middle">'
        f"{edges[i]:g}</text>"
        for i in range(0, len(edges) - 1, every)
    ]
    return (
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT + _FOOT}" role="img" '
        f'aria-label="{escape(title)}">'
        f'<text x="0" y="10">{most:,}</text><path class="axis" d="M0 {_HEIGHT}H{_WIDTH}"/>'
        + "".join(bars + ticks)
        + f'<text x="{_WIDTH}" y="10" text-anchor="end">{escape(unit)}</text></svg>'
    )


def bars(counts: Mapping[str, int], colours: Mapping[str, str], title: str) -> str:
    """Return one bar, divided in proportion to counts."""
    total = max(sum(counts.values()), 1)
    x, segments = 0.0, []
    for name, n in counts.items():
        width = n / total * _WIDTH
        if n:
            segments.append(
                f'<rect x="{x:.1f}" y="0" width="{width:.1f}" height="14" fill="{colours[name]}">'
                f"<title>{escape(name)}: {n:,}</title></rect>"
            )
        x += width
    return (
        f'<svg class="bar" viewBox="0 0 {_WIDTH} 14" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(title)}">' + "".join(segments) + "</svg>"
    )
