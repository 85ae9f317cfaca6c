"""What `review` prints."""

from __future__ import annotations

from typing import Literal

from cxrbuild.review.agreement import Kappa
from cxrbuild.review.page import UnreadableImage
from json_models.base import Printed


class Review(Printed):
    """What `review` prints.

    Attributes
    ----------
    page
        The page.
    bytes
        Its size.
    images
        The number of images on it.
    reviewed
        The number of these that a person has judged.
    unseen
        The number of these that are marked `unseen`.
    excluded
        The number of these that the dataset lacks because of rules on reviews alone, by rule.
    embedded
        Whether the images are in the page.
    proposed
        The number of proposals by mark.
    unreadable
        Images that cannot be shown.
    """

    page: str
    bytes: int
    images: int
    reviewed: int
    unseen: int
    excluded: dict[str, int]
    embedded: bool
    proposed: dict[str, int]
    unreadable: list[UnreadableImage]


class PairCount(Printed):
    """How often two readers gave a pair of marks.

    Attributes
    ----------
    a, b
        The mark of each reader.
    images
        How often.
    """

    a: str
    b: str
    images: int


class Judgement(Printed):
    """What a reader saw on an image.

    Attributes
    ----------
    mark, marks_finding, note
        The columns of a review file.
    """

    mark: str
    marks_finding: bool | str | None
    note: str | None


class Conflict(Printed):
    """An image that two readers judged differently.

    Attributes
    ----------
    source, path
        The image.
    a, b
        What each reader saw.
    """

    source: str
    path: str
    a: Judgement
    b: Judgement


class ReviewComparison(Printed):
    """What `review --compare` prints.

    Attributes
    ----------
    mark, marks_finding
        The agreement of the readers on the mark, and on whether it marks a finding.
    pairs
        How often each pair of marks was given.
    conflicts
        The images that were judged differently.
    only_a, only_b
        The number of images that one reader alone judged.
    """

    mark: Kappa
    marks_finding: Kappa
    pairs: list[PairCount]
    conflicts: list[Conflict]
    only_a: int
    only_b: int


class Place(Printed):
    """An image of a source.

    Attributes
    ----------
    source, path
        Its source, and its path in it.
    """

    source: str
    path: str


class ReviewMerge(Printed):
    """What `review --merge` prints.

    Attributes
    ----------
    reviews
        The number of reviews that were written.
    agreed, of_one_reader, decided
        The number of these that both readers agree on, that one reader made, and that were decided.
    conflicts
        The images whose conflict is open.
    unused
        The number of decisions of images without a conflict.
    out
        The file.
    """

    reviews: int
    agreed: int
    of_one_reader: int
    decided: int
    conflicts: list[Place]
    unused: int
    out: str


class ReviewWithoutConflict(Printed):
    """What `review --conflicts` prints if there is no conflict: then it writes no page.

    Attributes
    ----------
    conflicts
        None.
    """

    conflicts: Literal[0]
