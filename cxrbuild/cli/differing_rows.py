"""Report images with several findings in `plan` and `curate`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cxrbuild.cli.output import Output
from cxrbuild.errors import count_of, name_some, verb_of

if TYPE_CHECKING:
    from cxrbuild.curation.findings import JoinedRows, OtherFindings

_FINDINGS = 6


def report_findings(output: Output, others: OtherFindings, joined: Sequence[JoinedRows] = ()) -> None:
    """Report the images of several findings: those with one that has no class, and those of several rows."""
    if others.images:
        shown = name_some([f"{finding} {n:,}" for finding, n in others.findings.items()], _FINDINGS)
        output.show(
            f"{count_of(others.images, 'kept image')} {verb_of(others.images, 'has')} a class by one "
            f"finding and another finding without a class: {shown}. In a recipe of your own, "
            "`every_finding = true` in the rule of kind `labelled` excludes such images."
        )
    if joined:
        decided = sum(one.corrected for one in joined)
        rest = (
            f"corrections decide {decided:,}, and {len(joined) - decided:,} have the findings of all rows. "
        )
        rest += "--differing-rows FILE.csv lists these as corrections to fill in."
        output.show(
            f"{count_of(len(joined), 'image')} with different findings in several rows: "
            + ("corrections decide all." if decided == len(joined) else rest)
        )
