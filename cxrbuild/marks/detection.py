"""Classify the regions of an image and propose those that look like a drawn mark.

What is drawn on a radiograph differs from tissue: it has colour, or edges that step by a quarter of the grey
scale between neighbouring pixels. A logistic regression of the features of each region gives the probability
that it is an arrow, a panel letter or other text. ``tests/benchmarks/bench_marks.py`` fits the regressions to
reviewed images, measures precision and recall by cross-validation over patients, and prints `MODELS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cxrbuild.marks.features import RegionFeatures
from cxrbuild.marks.regions import Box, ImageRegions, find_regions

if TYPE_CHECKING:
    from PIL.Image import Image

KINDS = {
    "arrow": "an arrow, arrowhead or other drawn symbol inside the image",
    "shape": "the outline of a box or circle",
    "letter": "a figure's panel letter",
    "overlay": "a viewer's coloured text or scale along the edges",
    "marker": "text or a symbol of any kind burned into the image",
    "tint": "a colour cast",
}
MEASURED = {
    "arrow": (27, 85),
    "shape": (2, 2),
    "letter": (89, 250),
    "overlay": (9, 17),
    "marker": (352, 369),
    "tint": (9, 9),
}
"""How many of the proposals of each kind were right, of how many, on reviewed images that the models were not
fitted to: printed by ``tests/benchmarks/bench_marks.py``, cross-validated."""
# Mean chroma from which an image counts as tinted.
_MIN_CAST = 3.0


@dataclass(frozen=True)
class ProposedMark:
    """A mark proposed for an image.

    Attributes
    ----------
    kind
        One of `KINDS`.
    score
        The detector's probability, 0 to 1; 1 for coloured regions.
    left, top, right, bottom
        The bounding box, as fractions of the image's width and height.
    """

    kind: str
    score: float
    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True)
class MarkModel:
    """A logistic regression of `RegionFeatures`; a region is proposed from ``threshold`` on."""

    weights: tuple[float, ...]
    bias: float
    threshold: float

    def score(self, features: RegionFeatures) -> float:
        """Return the probability, 0 to 1, that a region is of this model's kind."""
        from scipy.special import expit

        return float(expit(features.vector() @ self.weights + self.bias))


# Printed by `python tests/benchmarks/bench_marks.py --fit`.
MODELS: dict[str, MarkModel] = {
    "arrow": MarkModel(
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
    "letter": MarkModel(
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
    "marker": MarkModel(
        (-0.3573, 6.6306, 3.3405, -16.7687, 1.009, -1.3028, 0.3704, 2.1091, -5.4931, 5.3048, 9.1903, 0.8427),
        -11.0906,
        0.448,
    ),
}


def propose_marks(image: Image, models: Mapping[str, MarkModel] = MODELS) -> list[ProposedMark]:
    """Propose marks on an image.

    Parameters
    ----------
    image
        The image in RGB, its longer side at most `cxrbuild.marks.MAX_SIDE` pixels.
    models
        The model of each kind that is classified.

    Returns
    -------
    list of ProposedMark
        Sorted by kind, in the order of `KINDS`, and by falling score.
    """
    return find_marks(find_regions(image), models)


def find_marks(regions: ImageRegions, models: Mapping[str, MarkModel] = MODELS) -> list[ProposedMark]:
    """Classify the regions of an image, see `propose_marks`."""
    found: list[ProposedMark] = []

    def propose(kind: str, score: float, box: Box) -> None:
        left, top, right, bottom = box
        width, height = regions.width, regions.height
        found.append(
            ProposedMark(kind, round(score, 3), left / width, top / height, right / width, bottom / height)
        )

    if regions.cast >= _MIN_CAST:
        propose("tint", min(1.0, regions.cast / 10), (0, 0, regions.width, regions.height))
    for coloured in regions.coloured:
        inside = _is_inside(coloured.box, regions)
        propose("shape" if coloured.is_outline else "arrow" if inside else "overlay", 1.0, coloured.box)
    for region in regions.edges:
        if region.is_outline and _is_inside(region.box, regions):
            propose("shape", 0.5, region.box)
        for kind, model in models.items():
            score = model.score(region.features)
            if score >= model.threshold:
                propose(kind, score, region.box)
    order = list(KINDS)
    return sorted(found, key=lambda p: (order.index(p.kind), -p.score, p.top, p.left))


def _is_inside(box: Box, regions: ImageRegions) -> bool:
    """Return whether a box is centred away from the edges of the image, where viewers write."""
    left, top, right, bottom = box
    margin = 0.06 * max(regions.width, regions.height)
    x, y = (left + right) / 2, (top + bottom) / 2
    return min(x, y, regions.width - x, regions.height - y) > margin
