"""Check that ``baseline.json`` follows from its runs, as far as no model is needed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cxrbuild.artifact import BaselineDocument, names
from cxrbuild.artifact.baseline_summary import check_gate, mean_recall, summarize
from cxrbuild.checks import Finding, NotApplicable
from cxrbuild.verification.context import Context
from cxrbuild.verification.difference import json_differences

# Another version of NumPy may add in another order: its last digits differ.
_DIGITS = 9


def check_baseline_result(context: Context) -> Iterator[Finding]:
    """Find figures over all runs, a gate and mistakes that do not follow from the runs and the manifest."""
    document = context.results.baseline
    if document is None:
        raise NotApplicable("there is no baseline result")
    try:
        summary = summarize(document.runs, document.classes)
        gate = check_gate(
            document.settings.gate,
            document.summary.metrics["test"].accuracy.mean,
            mean_recall(document.runs, document.classes),
        )
    except (KeyError, ValueError) as error:
        yield Finding(f"its summary cannot be derived: {error!r}", names.RELEASED_BASELINE, "runs")
        return
    for key, expected, found in (
        ("summary", summary, document.summary),
        ("gate", gate, document.gate),
    ):
        a, b = (_rounded(part.model_dump(mode="json")) for part in (expected, found))
        for place, message in json_differences(a, b, key):
            yield Finding(message, names.RELEASED_BASELINE, place)
    yield from _run_findings(context, document)


def _run_findings(context: Context, document: BaselineDocument) -> Iterator[Finding]:
    rows = context.rows
    tested = document.dataset.counts.get("test", {})
    for number, run in enumerate(document.runs):
        for name, counts in run.confusion.items():
            if sum(counts) != tested.get(name):
                message = f"counts {sum(counts):,} images, `dataset.counts` has {tested.get(name, 0):,}"
                yield Finding(message, names.RELEASED_BASELINE, f"runs.{number}.confusion.{name}")
        for image in run.mistakes:
            if image not in rows.index or rows.at[image, "split"] != "test":
                message = f"{image} is no image of the test split"
                yield Finding(message, names.RELEASED_BASELINE, f"runs.{number}.mistakes")


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_rounded(part) for part in value]
    return float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value
