"""What the command `review` does with two review files: compare, find conflicts, merge."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cxrbuild.cli.output import Output
from cxrbuild.errors import CheckError, count_of, printable

if TYPE_CHECKING:
    from cxrbuild.catalog import Review
    from cxrbuild.review.agreement import Kappa

# The conflicts that are listed; the JSON document lists all.
_LISTED = 20


def report_agreement(output: Output, a: Path, b: Path) -> None:
    """Report how far two readers agree."""
    from cxrbuild.api import compare_reviews

    found = compare_reviews(a, b)
    output.table(
        ["question", "images", "agreement", "kappa"],
        [_format_kappa("mark", found.mark), _format_kappa("at a finding", found.finding)],
    )
    if None in (found.mark.kappa, found.finding.kappa):
        output.show("\nKappa is undefined where neither reader gave two different answers.")
    output.show(
        f"\nJudged by one reader only: {count_of(found.only_a, 'image')} in {printable(a)}, "
        f"{found.only_b:,} in {printable(b)}."
    )
    if found.conflicts:
        output.show(f"\n{count_of(len(found.conflicts), 'conflict')}:")
        _list_conflicts(output, found.conflicts, a, b)
    output.result("review-comparison-1", found.to_dict())


def write_merged(output: Output, a: Path, b: Path, decided: Path | None, out: Path) -> None:
    """Write the merged reviews of two readers.

    Raises
    ------
    CheckError
        Conflicts are open: the file is written without them.
    """
    from cxrbuild.api import merge_reviews

    merged = merge_reviews(a, b, out, decided=decided)
    output.table(
        ["reviews", "images"],
        [
            ["both readers agree", merged.agreed],
            ["of one reader", merged.of_one_reader],
            ["conflict decided", merged.decided],
            ["conflict open", len(merged.conflicts)],
        ],
    )
    output.show(f"\nWrote {printable(out)}: {count_of(len(merged.reviews), 'review')}.")
    if merged.unused:
        output.show(f"Not used: {count_of(merged.unused, 'decision')} of images without a conflict.")
    if merged.conflicts:
        _list_conflicts(output, merged.conflicts[:_LISTED], a, b)
        if len(merged.conflicts) > _LISTED:
            output.show(f"and {len(merged.conflicts) - _LISTED:,} more")
    output.result("review-merge-1", merged.to_dict())
    if merged.conflicts:
        raise CheckError(
            "the reviews are in conflict",
            where=out,
            found=f"{count_of(len(merged.conflicts), 'image')} without a review in the merged file",
            todo="Decide them on the page that `cxrbuild review --conflicts` writes, and name its export "
            "with --decided",
        )


def _list_conflicts(output: Output, conflicts: list[tuple[Review, Review]], a: Path, b: Path) -> None:
    output.table(
        ["source", "path", printable(a.name), printable(b.name)],
        [
            [printable(x.source), printable(x.path), _format_review(x), _format_review(y)]
            for x, y in conflicts
        ],
    )


def _format_kappa(question: str, kappa: Kappa) -> list[object]:
    value = "undefined" if kappa.kappa is None else f"{kappa.kappa:.3f}"
    return [question, kappa.images, f"{kappa.agreement:.3f}" if kappa.images else "undefined", value]


def _format_review(review: Review) -> str:
    return review.mark + (", at a finding" if review.marks_finding else "")
