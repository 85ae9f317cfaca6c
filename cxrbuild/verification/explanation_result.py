"""Check that ``explanation.json`` is of the release's test images, as far as no model is needed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from cxrbuild.artifact import names
from cxrbuild.artifact.explanation import TESTS
from cxrbuild.checks import Finding, NotApplicable
from cxrbuild.verification.context import Context


def check_explanation_result(context: Context) -> Iterator[Finding]:
    """Find counts that are not those of the manifest's test split, and tests of another number of images."""
    document = context.results.explanation
    if document is None:
        raise NotApplicable("there is no explanation")
    rows = context.rows
    in_test = rows.loc[rows["split"] == "test", "label"].value_counts()
    dataset = document.dataset
    for name in document.classes:
        found = dataset.counts.get(name, 0) + dataset.excluded_as_seen.get(name, 0)
        if found != in_test.get(name, 0):
            message = f"counts {found:,} test images, the manifest has {in_test.get(name, 0):,}"
            yield Finding(message, names.RELEASED_EXPLANATION, f"dataset.counts.{name}")
    images = sum(dataset.counts.values())
    for one in document.blackout:
        if one.test not in TESTS or one.images != images:
            message = f"{one.test} of {one.images:,} images; {images:,} are explained"
            yield Finding(message, names.RELEASED_EXPLANATION, "blackout")
    grouped: Counter[str] = Counter()
    for group in document.groups:
        grouped[group.grouping] += group.images
    for grouping, count in grouped.items():
        if count != images:
            message = f"the groups by {grouping} have {count:,} images; {images:,} are explained"
            yield Finding(message, names.RELEASED_EXPLANATION, "groups")
