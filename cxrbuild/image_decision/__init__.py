"""Explain images: why they are in a dataset or not."""

from cxrbuild.image_decision.describe import explain_images
from cxrbuild.image_decision.excluded import ExcludedImage, ExcludedImages, find_excluded
from cxrbuild.image_decision.planned import open_plan
from cxrbuild.image_decision.result import (
    CorrectionResult,
    DecisionResult,
    DuplicateImage,
    ImageDecision,
    LinkedImage,
    OtherSplit,
    ReviewResult,
)

__all__ = [
    "CorrectionResult",
    "DecisionResult",
    "DuplicateImage",
    "ExcludedImage",
    "ExcludedImages",
    "ImageDecision",
    "LinkedImage",
    "OtherSplit",
    "ReviewResult",
    "explain_images",
    "find_excluded",
    "open_plan",
]
