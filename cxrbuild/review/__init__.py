"""Review images: write a page to mark them on, compare two readers' reviews, and merge them."""

from cxrbuild.review.agreement import Kappa, ReviewAgreement, compare_reviews
from cxrbuild.review.merging import MergedReviews, merge_reviews
from cxrbuild.review.page import ReviewPage, write_page
from cxrbuild.review.selection import (
    ReviewImage,
    images_of_build,
    images_of_plan,
    select_conflicts,
    select_images,
    without_draw,
)

__all__ = [
    "Kappa",
    "MergedReviews",
    "ReviewAgreement",
    "ReviewImage",
    "ReviewPage",
    "compare_reviews",
    "images_of_build",
    "images_of_plan",
    "merge_reviews",
    "select_conflicts",
    "select_images",
    "without_draw",
    "write_page",
]
