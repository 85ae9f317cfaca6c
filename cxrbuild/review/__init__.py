"""Look at films: a page to judge them on, and what two people's judgements have in common."""

from cxrbuild.review.agreement import Agreement, compare_reviews
from cxrbuild.review.page import write_page
from cxrbuild.review.selection import Film, choose_films, films_of_build, films_of_plan

__all__ = [
    "Agreement",
    "Film",
    "choose_films",
    "compare_reviews",
    "films_of_build",
    "films_of_plan",
    "write_page",
]
