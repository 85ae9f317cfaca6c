"""Propose marks on images for people to confirm: arrows, boxes, letters, text, overlays, tints.

`regions` finds regions by edge detection and by colour, `features` describes a region by twelve numbers,
`detection` classifies it by logistic regression.
"""

from cxrbuild.marks.detection import (
    KINDS,
    MEASURED,
    MODELS,
    MarkModel,
    ProposedMark,
    find_marks,
    propose_marks,
)
from cxrbuild.marks.features import RegionFeatures
from cxrbuild.marks.regions import MAX_SIDE, ColourRegion, EdgeRegion, ImageRegions, find_regions

__all__ = [
    "KINDS",
    "MAX_SIDE",
    "MEASURED",
    "MODELS",
    "ColourRegion",
    "EdgeRegion",
    "ImageRegions",
    "MarkModel",
    "ProposedMark",
    "RegionFeatures",
    "find_marks",
    "find_regions",
    "propose_marks",
]
