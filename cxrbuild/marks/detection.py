"""Propose films that bear marks, for people to confirm: arrows, boxes, letters, text, overlays, tints.

What is drawn on a film has what tissue has not: colour, or edges that jump by a quarter of the grey scale
from one pixel to the next. So the film is searched for both. The sharp edges that hang together are one
region; its outline, filled, is described by a dozen numbers, and a logistic regression of them says how
like an arrow, a panel letter or other text it is. ``tests/benchmarks/bench_marks.py`` fits the regressions to
what people saw, measures precision and recall on patients left out, and prints the numbers that stand here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from pathlib import Path

from cxrbuild.marks.image import read_film
from cxrbuild.marks.regions import SIDE, Features, Scan, scan_film

KINDS = {
    "arrow": "an arrow, arrowhead or other sign drawn within the film",
    "shape": "the outline of a box or circle",
    "letter": "a figure's panel letter",
    "overlay": "a viewer's coloured text or scale along the edges",
    "marker": "a sign or text burned into the film, of whatever kind",
    "tint": "a coloured cast",
}
_CAST = 3.0


@dataclass(frozen=True)
class Proposal:
    """A mark that a film may bear.

    Attributes
    ----------
    kind
        One of `KINDS`.
    score
        How sure the detector is, 0 to 1; 1 for what is coloured.
    left, top, right, bottom
        Its box, in shares of the film's width and height.
    """

    kind: str
    score: float
    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True)
class Model:
    """A logistic regression of `Features`: proposes where ``weights @ features + bias`` passes a limit."""

    weights: tuple[float, ...]
    bias: float
    limit: float

    def score(self, features: Features) -> float:
        """Return how like the kind a region is, 0 to 1."""
        # Beyond that the exponential overflows, and the score is 0 or 1 all the same.
        value = sum(w * x for w, x in zip(self.weights, astuple(features), strict=True)) + self.bias
        return 1 / (1 + math.exp(-max(-50.0, min(50.0, value))))


# Printed by `python tests/benchmarks/bench_marks.py --fit`.
MODELS: dict[str, Model] = {
    "arrow": Model(
        (
            0.344,
            39.7831,
            36.4743,
            2.4251,
            5.6439,
            -25.7488,
            -2.7494,
            13.9378,
            1.7377,
            14.9243,
            3.5598,
            -7.7946,
        ),
        -34.6293,
        0.42,
    ),
    "letter": Model(
        (
            1.5368,
            -4.3574,
            10.9914,
            -29.5699,
            -10.0176,
            0.4732,
            3.1324,
            -3.2554,
            2.3615,
            4.3625,
            2.3201,
            -1.7934,
        ),
        3.8094,
        0.689,
    ),
    "marker": Model(
        (-0.3573, 6.6306, 3.3405, -16.7687, 1.009, -1.3028, 0.3704, 2.1091, -5.4931, 5.3048, 9.1903, 0.8427),
        -11.0906,
        0.448,
    ),
}


def find_marks(scan: Scan, models: Mapping[str, Model] = MODELS) -> list[Proposal]:
    """Return the marks that a film may bear, the surest of each kind first."""
    found: list[Proposal] = []

    def propose(kind: str, score: float, box: tuple[int, int, int, int]) -> None:
        left, top, right, bottom = box
        found.append(Proposal(kind, round(score, 3), left / scan.width, top / scan.height,
                              right / scan.width, bottom / scan.height))  # fmt: skip

    if scan.cast >= _CAST:
        propose("tint", min(1.0, scan.cast / 10), (0, 0, scan.width, scan.height))
    for box, outline in scan.coloured:
        propose("shape" if outline else "arrow" if _within(box, scan) else "overlay", 1.0, box)
    for region in scan.regions:
        box = (region.left, region.top, region.right, region.bottom)
        if region.outline and _within(box, scan):
            propose("shape", 0.5, box)
        for kind, model in models.items():
            score = model.score(region.features)
            if score >= model.limit:
                propose(kind, score, box)
    order = list(KINDS)
    return sorted(found, key=lambda p: (order.index(p.kind), -p.score, p.top, p.left))


def marks_of(path: Path) -> list[Proposal]:
    """Return the marks that the film in a file may bear."""
    return find_marks(scan_film(read_film(path, SIDE)))


def _within(box: tuple[int, int, int, int], scan: Scan) -> bool:
    """Whether a box lies in the picture rather than along its edges, where viewers write."""
    left, top, right, bottom = box
    margin = 0.06 * max(scan.width, scan.height)
    x, y = (left + right) / 2, (top + bottom) / 2
    return min(x, y, scan.width - x, scan.height - y) > margin
