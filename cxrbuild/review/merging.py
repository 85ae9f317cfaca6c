"""Merge two readers' reviews into one file; what they disagree on is decided by a third, or stays open."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cxrbuild.catalog import Review
from cxrbuild.errors import count_of
from cxrbuild.notebook import result_html
from cxrbuild.review.agreement import in_conflict

_logger = logging.getLogger(__name__)
# Between the names of two readers, and between their notes.
_BETWEEN = "; "


@dataclass(frozen=True)
class MergedReviews:
    """The merged reviews of two readers.

    Attributes
    ----------
    reviews
        A review of each image that is not in conflict.
    agreed, of_one_reader, decided
        The number of images on which both readers agree, that only one judged, and whose conflict was
        decided.
    conflicts
        What the readers disagree on, and nobody decided.
    unused
        The number of decisions of images that are not in conflict.
    out
        The file that they were written to; ``None`` where there is none.
    """

    reviews: list[Review]
    agreed: int
    of_one_reader: int
    decided: int
    conflicts: list[tuple[Review, Review]]
    unused: int
    out: Path | None = None

    def to_dict(self) -> dict[str, object]:
        """Return the result as a JSON document, without the reviews."""
        return {
            "reviews": len(self.reviews),
            "agreed": self.agreed,
            "of_one_reader": self.of_one_reader,
            "decided": self.decided,
            "conflicts": [{"source": a.source, "path": a.path} for a, _ in self.conflicts],
            "unused": self.unused,
            "out": None if self.out is None else str(self.out),
        }

    def _repr_html_(self) -> str:
        return result_html(
            f"Merged reviews: {count_of(len(self.reviews), 'review')}",
            ["" if self.out is None else f"Written to {self.out}."],
            ["reviews", "images"],
            [
                ["both readers agree", self.agreed],
                ["of one reader", self.of_one_reader],
                ["conflict decided", self.decided],
                ["conflict open", len(self.conflicts)],
            ],
        )


def merge_reviews(
    a: Sequence[Review], b: Sequence[Review], decisions: Sequence[Review] = ()
) -> MergedReviews:
    """Merge two readers' reviews; a reader did not judge an image that they marked ``unseen``.

    Parameters
    ----------
    a, b
        The reviews of each reader, with the reader's name.
    decisions
        The reviews of who decides: of images that the readers disagree on.
    """
    by_b = {(review.source, review.path): review for review in b}
    decided = {(one.source, one.path): one for one in decisions if one.mark != "unseen"}
    names = {(review.source, review.path) for review in a}
    pairs = [(review, by_b.get((review.source, review.path))) for review in a]
    pairs += [(review, None) for image, review in by_b.items() if image not in names]
    reviews: list[Review] = []
    conflicts = []
    agreed = of_one_reader = used = 0
    for first, second in pairs:
        if second is None or "unseen" in (first.mark, second.mark):
            judged = [one for one in (first, second) if one is not None and one.mark != "unseen"]
            of_one_reader += bool(judged)
            reviews.append(judged[0] if judged else first)
        elif not in_conflict(first, second):
            agreed += 1
            reviews.append(_join(first, second))
        elif (decision := decided.get((first.source, first.path))) is not None:
            used += 1
            reviews.append(decision)
        else:
            conflicts.append((first, second))
    _logger.info("merged reviews: %d and %d, %d conflicts", len(a), len(b), len(conflicts))
    return MergedReviews(reviews, agreed, of_one_reader, used, conflicts, len(decided) - used)


def _join(first: Review, second: Review) -> Review:
    """Return one review with the names and notes of two that agree."""
    readers, notes = ([one for one in dict.fromkeys(texts) if one]
                      for texts in ((first.reader, second.reader), (first.note, second.note)))  # fmt: skip
    return replace(first, reader=_BETWEEN.join(readers), note=_BETWEEN.join(notes))
