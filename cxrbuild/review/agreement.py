"""Compare two readers' reviews of the same images: agreement, Cohen's kappa, conflicts."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from cxrbuild.catalog import Review
from cxrbuild.errors import CxrbuildError, count_of
from cxrbuild.notebook import result_html

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Kappa:
    """How far two readers agree on one question.

    Attributes
    ----------
    images
        The number of images for which both answered it.
    agreement
        The share of them with the same answer.
    kappa
        Cohen's kappa (Educational and Psychological Measurement 20, 1960): agreement beyond chance; ``None``
        where neither reader gave two different answers, because chance agreement is undefined then.
    """

    images: int
    agreement: float
    kappa: float | None


@dataclass(frozen=True)
class ReviewAgreement:
    """The agreement of two readers, A and B.

    Attributes
    ----------
    mark, finding
        Agreement on the mark, and on whether it is drawn at a finding.
    pairs
        The frequency of each pair of marks, the most frequent first.
    conflicts
        The reviews that differ in either.
    only_a, only_b
        The number of images that only one reader judged.
    """

    mark: Kappa
    finding: Kappa
    pairs: dict[tuple[str, str], int]
    conflicts: list[tuple[Review, Review]]
    only_a: int
    only_b: int

    def to_dict(self) -> dict[str, object]:
        """Return the agreement as a JSON document."""
        return {
            "mark": asdict(self.mark),
            "marks_finding": asdict(self.finding),
            "pairs": [{"a": a, "b": b, "images": n} for (a, b), n in self.pairs.items()],
            "conflicts": [
                {"source": a.source, "path": a.path, "a": _judgement(a), "b": _judgement(b)}
                for a, b in self.conflicts
            ],
            "only_a": self.only_a,
            "only_b": self.only_b,
        }

    def _repr_html_(self) -> str:
        questions = [("mark", self.mark), ("at a finding", self.finding)]
        return result_html(
            f"Agreement of two readers: {count_of(len(self.conflicts), 'conflict')}",
            [f"Judged by one reader only: {self.only_a:,} by the first, {self.only_b:,} by the second."],
            ["question", "images", "agreement", "kappa"],
            [
                [
                    question,
                    one.images,
                    f"{one.agreement:.3f}" if one.images else "undefined",
                    "undefined" if one.kappa is None else f"{one.kappa:.3f}",
                ]
                for question, one in questions
            ],
        )


def compare_reviews(a: Sequence[Review], b: Sequence[Review]) -> ReviewAgreement:
    """Compare two readers' reviews; a reader did not judge an image that they marked ``unseen``.

    Parameters
    ----------
    a, b
        The reviews of each reader.

    Raises
    ------
    CxrbuildError
        No image was judged by both readers.
    """
    by_a = {(review.source, review.path): review for review in a if review.mark != "unseen"}
    by_b = {(review.source, review.path): review for review in b if review.mark != "unseen"}
    both = [(review, by_b[image]) for image, review in by_a.items() if image in by_b]
    if not both:
        raise CxrbuildError(
            "no image was judged in both files",
            found=f"{len(by_a):,} judged in the first, {len(by_b):,} in the second",
            todo="Compare reviews of the same source: the columns source and path must match",
        )
    judged = [(x, y) for x, y in both if x.marks_finding is not None and y.marks_finding is not None]
    pairs = Counter((x.mark, y.mark) for x, y in both)
    _logger.info("compared reviews: %d and %d images, %d in both", len(by_a), len(by_b), len(both))
    return ReviewAgreement(
        mark=measure_agreement([(x.mark, y.mark) for x, y in both]),
        finding=measure_agreement([(str(x.marks_finding), str(y.marks_finding)) for x, y in judged]),
        pairs=dict(sorted(pairs.items(), key=lambda pair: (-pair[1], pair[0]))),
        conflicts=[(x, y) for x, y in both if in_conflict(x, y)],
        only_a=len(by_a) - len(both),
        only_b=len(by_b) - len(both),
    )


def in_conflict(a: Review, b: Review) -> bool:
    """Return whether two reviews of an image differ in the mark, or in whether it is drawn at a finding."""
    return (a.mark, a.marks_finding) != (b.mark, b.marks_finding)


def measure_agreement(answers: Sequence[tuple[str, str]]) -> Kappa:
    """Measure the agreement of pairs of answers.

    Examples
    --------
    >>> measure_agreement([("a", "a"), ("a", "b"), ("b", "b"), ("b", "b")])
    Kappa(images=4, agreement=0.75, kappa=0.5)
    """
    if not answers:
        return Kappa(0, 0.0, None)
    first, second = zip(*answers, strict=True)
    agreement = sum(x == y for x, y in answers) / len(answers)
    if len(set(first)) == len(set(second)) == 1:
        return Kappa(len(answers), agreement, None)
    from sklearn.metrics import cohen_kappa_score

    return Kappa(len(answers), agreement, float(cohen_kappa_score(first, second)))


def _judgement(review: Review) -> dict[str, object]:
    answers = {"mark": review.mark, "marks_finding": review.marks_finding, "note": review.note}
    return {**answers, "reader": review.reader} if review.reader else {**answers}
