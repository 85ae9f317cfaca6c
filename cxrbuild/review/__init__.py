"""Review images: write a page to mark them on, and compare two readers' reviews."""

from cxrbuild.review.agreement import Agreement, Kappa, compare_reviews
from cxrbuild.review.page import ReviewPage, write_page
from cxrbuild.review.selection import ReviewImage, images_of_build, images_of_plan, select_images

__all__ = [
    "Agreement",
    "Kappa",
    "ReviewImage",
    "ReviewPage",
    "compare_reviews",
    "images_of_build",
    "images_of_plan",
    "select_images",
    "write_page",
]
