"""Check what ``build.json`` counts and lists against the tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cxrbuild.artifact import ReleaseDocument, names
from cxrbuild.checks import Finding
from cxrbuild.verification.context import Context
from cxrbuild.verification.tables import text_of


def check_counts(context: Context) -> Iterator[Finding]:
    """Find counts by split and class that differ from the manifest's."""
    counted = context.manifest.groupby(["split", "label"]).size().to_dict()
    recorded = {
        (split, label): n for split, row in context.document.counts.items() for label, n in row.items()
    }
    for (split, label), found, expected in _differences(recorded, counted):
        message = f"counts {found:,} images, the manifest has {expected:,}"
        yield Finding(message, names.BUILD, f"counts {split} {label}")


def check_empty_classes(context: Context) -> Iterator[Finding]:
    """Find classes without an image in train or test, unless the recipe allows it."""
    for message in context.document.recipe.find_empty(context.document.counts):
        yield Finding(message, names.BUILD, "counts")


def check_funnel(context: Context) -> Iterator[Finding]:
    """Find cells of the flow chart that differ from the ledger's."""
    ledger = context.ledger
    step = ledger["exclusion"].fillna("kept")
    counted = ledger.groupby([step, "source"]).size().to_dict()
    counted |= {("upstream", source): n for source, n in ledger["source"].value_counts().items()}
    totals = step.value_counts().to_dict() | {"upstream": len(ledger)}
    funnel = context.document.funnel
    for name, found, expected in _differences({row.step: row.images for row in funnel}, totals):
        message = f"counts {found:,} images, the ledger has {expected:,}"
        yield Finding(message, names.BUILD, f"funnel {name}")
    recorded = {(row.step, source): n for row in funnel for source, n in row.by_source.items()}
    for (name, source), found, expected in _differences(recorded, counted):
        message = f"counts {found:,} images, the ledger has {expected:,}"
        yield Finding(message, names.BUILD, f"funnel {name} {source}")


def check_missing(context: Context) -> Iterator[Finding]:
    """Find images that ``build.json`` lists as missing and the ledger does not, or the reverse."""
    ledger = context.ledger.drop_duplicates("image_id").set_index("image_id")["exclusion"]
    for image, reason in context.document.missing.items():
        if ledger.get(image) != reason:
            message = f"missing has {reason}, the ledger {text_of(ledger.get(image))}"
            yield Finding(message, names.BUILD, image)


def check_withheld(context: Context) -> Iterator[Finding]:
    """Find counts of withheld images that differ from the manifest's."""
    document = context.document
    assert isinstance(document, ReleaseDocument)
    counted = context.manifest["withheld"].value_counts().to_dict()
    for reason, found, expected in _differences(document.withheld, counted):
        message = f"counts {found:,} images, the manifest has {expected:,}"
        yield Finding(message, names.BUILD, f"withheld {reason}")


def _differences(recorded: Mapping[Any, int], counted: Mapping[Any, int]) -> Iterator[tuple[Any, int, int]]:
    """Yield each key whose number differs, with both numbers; a missing key counts 0."""
    for key in sorted(set(counted) | set(recorded), key=str):
        found, expected = recorded.get(key, 0), counted.get(key, 0)
        if found != expected:
            yield key, found, expected
