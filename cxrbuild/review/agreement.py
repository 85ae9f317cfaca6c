"""What two people saw on the same films: agreement, Cohen's kappa, conflicts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cxrbuild.catalog import Review
from cxrbuild.errors import CxrbuildError


@dataclass(frozen=True)
class Kappa:
    """How far two people agree on one question.

    Attributes
    ----------
    films
        How many films both have answered it for.
    agreement
        The share of them on which they agree.
    kappa
        Cohen's kappa (Educational and Psychological Measurement 20, 1960): what of the agreement is beyond
        chance; ``None`` where neither gave two different answers, as on a single film: without variation
        there is nothing that chance could be told from.
    """

    films: int
    agreement: float
    kappa: float | None


@dataclass(frozen=True)
class Agreement:
    """What two people saw on the same films.

    Attributes
    ----------
    mark, finding
        How far they agree on the mark, and on whether it is drawn at a finding.
    pairs
        How often each pair of marks was given, the most frequent first.
    conflicts
        The films on which they disagree on either.
    only_a, only_b
        How many films one of them alone has judged.
    """

    mark: Kappa
    finding: Kappa
    pairs: dict[tuple[str, str], int]
    conflicts: list[tuple[Review, Review]]
    only_a: int
    only_b: int

    def document(self) -> dict[str, Any]:
        """Return all of it as JSON has it."""
        return {
            "mark": vars(self.mark),
            "marks_finding": vars(self.finding),
            "pairs": [{"a": a, "b": b, "films": n} for (a, b), n in self.pairs.items()],
            "conflicts": [
                {"source": a.source, "path": a.path, "a": _words(a), "b": _words(b)}
                for a, b in self.conflicts
            ],
            "only_a": self.only_a,
            "only_b": self.only_b,
        }


def compare_reviews(a: Sequence[Review], b: Sequence[Review]) -> Agreement:
    """Compare what two people saw; a film that one of them marked ``unseen`` is not judged by that one.

    Raises
    ------
    CxrbuildError
        There is no film that both have judged.
    """
    first = {(r.source, r.path): r for r in a if r.mark != "unseen"}
    second = {(r.source, r.path): r for r in b if r.mark != "unseen"}
    both = [(review, second[film]) for film, review in first.items() if film in second]
    if not both:
        raise CxrbuildError(
            "there is no film that both have judged", found=f"{len(first):,} films and {len(second):,} others"
        )
    judged = [(x, y) for x, y in both if x.marks_finding is not None and y.marks_finding is not None]
    pairs = Counter((x.mark, y.mark) for x, y in both)
    return Agreement(
        mark=cohens_kappa([(x.mark, y.mark) for x, y in both]),
        finding=cohens_kappa([(str(x.marks_finding), str(y.marks_finding)) for x, y in judged]),
        pairs=dict(sorted(pairs.items(), key=lambda pair: (-pair[1], pair[0]))),
        conflicts=[(x, y) for x, y in both if (x.mark, x.marks_finding) != (y.mark, y.marks_finding)],
        only_a=len(first) - len(both),
        only_b=len(second) - len(both),
    )


def cohens_kappa(answers: Sequence[tuple[str, str]]) -> Kappa:
    """Return how far two people agree, from the pairs of their answers.

    Examples
    --------
    >>> cohens_kappa([("a", "a"), ("a", "b"), ("b", "b"), ("b", "b")])
    Kappa(films=4, agreement=0.75, kappa=0.5)
    """
    n = len(answers)
    if not n:
        return Kappa(0, 0.0, None)
    agreed = sum(x == y for x, y in answers)
    of_a, of_b = Counter(x for x, _ in answers), Counter(y for _, y in answers)
    # Times n squared, so that the comparison with chance is of whole numbers.
    chance = sum(of_a[answer] * of_b[answer] for answer in of_a)
    varied = len(of_a) > 1 or len(of_b) > 1
    kappa = (agreed * n - chance) / (n * n - chance) if varied else None
    return Kappa(n, agreed / n, kappa)


def _words(review: Review) -> dict[str, Any]:
    return {"mark": review.mark, "marks_finding": review.marks_finding, "note": review.note}
