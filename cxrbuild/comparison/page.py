"""The changes between two versions as one HTML page that loads nothing from elsewhere."""

from __future__ import annotations

from cxrbuild.comparison.diff import KINDS, Diff
from cxrbuild.comparison.text import (
    TOTALS_HEADER,
    conclusion,
    declared_by_part,
    describe_causes,
    describe_omitted,
    describe_overlap,
    describe_totals,
    listed_rows,
    sentences,
)
from cxrbuild.templates import html_environment


def html_page(found: Diff) -> str:
    """Return the changes as an HTML page: declarations, and every row with its reason."""
    rows = {kind: listed_rows(found, kind) for kind in KINDS if len(found.rows[kind])}
    return (
        html_environment("cxrbuild.comparison")
        .get_template("page.html.j2")
        .render(
            titles=found.titles,
            kinds=KINDS,
            conclusion=conclusion(found),
            sentences=[*describe_overlap(found), *sentences(found)],
            totals=describe_totals(found),
            totals_header=TOTALS_HEADER,
            counts=found.counts(),
            declared=declared_by_part(found),
            causes={kind: describe_causes(found, kind) for kind in rows},
            omitted={kind: describe_omitted(found, kind) for kind in rows},
            rows={kind: of_kind.to_dict("records") for kind, of_kind in rows.items()},
        )
    )
