"""Check what ``build.json`` counts and lists against the tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cxrbuild.artifact import names
from cxrbuild.checks import Finding
from cxrbuild.exactness import count_exactness
from cxrbuild.exclusions import MISSING
from cxrbuild.policy import is_unlisted, unlisted_sources
from cxrbuild.previous_split import groups_joined
from cxrbuild.split import groups_in_several_splits
from cxrbuild.verification.context import Context
from cxrbuild.verification.tables import text_of

if TYPE_CHECKING:
    import pandas as pd

_FOLDERS = {"parquet": names.PARQUET, "tfrecord": names.TFRECORD}


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
    """Find cells of the flow chart that differ from the ledger's.

    The ledger of a public release does not list the excluded images of sources that are not public: of these
    sources the steps must add up to the images upstream, and ``kept`` is the ledger's.
    """
    ledger, funnel = context.ledger, context.document.funnel
    unlisted = unlisted_sources(context.document)
    recorded = {(row.step, source): n for row in funnel for source, n in row.by_source.items()}
    counted = {
        (step, source): n
        for (step, source), n in recorded.items()
        if source in unlisted and step not in ("upstream", "kept")
    }
    # What the ledger should not list is reported by the check of identities.
    listed = ledger[~is_unlisted(ledger, unlisted)]
    sizes: dict[Any, int] = listed.groupby([listed["exclusion"].fillna("kept"), "source"]).size().to_dict()
    counted |= sizes
    of_source, totals = Counter[str](), Counter[str]()
    for (step, source), n in counted.items():
        of_source[source] += n
        totals[step] += n
    totals["upstream"] = of_source.total()
    counted |= {("upstream", source): n for source, n in of_source.items()}
    for step, found, expected in _differences({row.step: row.images for row in funnel}, totals):
        yield Finding(_count_message(found, expected, unlisted), names.BUILD, f"funnel {step}")
    for (step, source), found, expected in _differences(recorded, counted):
        message = _count_message(found, expected, unlisted & {source})
        yield Finding(message, names.BUILD, f"funnel {step} {source}")


def _count_message(found: int, expected: int, unlisted: Collection[str]) -> str:
    by = "the ledger and the steps of sources that are not public have" if unlisted else "the ledger has"
    return f"counts {found:,} images, {by} {expected:,}"


def check_missing(context: Context) -> Iterator[Finding]:
    """Find images that ``build.json`` lists as missing and the ledger does not, or the reverse."""
    ledger = context.ledger
    missing = ledger[ledger["exclusion"].isin(MISSING)]
    expected = dict(zip(missing["image_id"], missing["exclusion"], strict=True))
    recorded = context.document.missing
    for image in sorted(set(recorded) | set(expected)):
        if recorded.get(image) != expected.get(image):
            message = f"missing has {text_of(recorded.get(image))}, the ledger {text_of(expected.get(image))}"
            yield Finding(message, names.BUILD, image)


def check_known_leakage(context: Context) -> Iterator[Finding]:
    """Find groups that ``build.json`` lists in several splits and the ledger does not, or the reverse."""
    document = context.document
    found = groups_in_several_splits(context.ledger)
    yield from _differing_groups("", found, document.groups_in_several_splits)
    if document.previous is not None:
        found = groups_joined(context.ledger, document.recipe.split)
        yield from _differing_groups("previous.", found, document.previous.groups_in_several_splits)


def _differing_groups(part: str, found: pd.Series, recorded: Mapping[str, str]) -> Iterator[Finding]:
    expected = {str(group): str(splits) for group, splits in found.items()}
    for group in sorted(set(recorded) | set(expected)):
        if recorded.get(group) != expected.get(group):
            message = (
                f"is in {recorded.get(group, 'one split')}, in the ledger in {expected.get(group, 'one')}"
            )
            yield Finding(message, names.BUILD, f"{part}groups_in_several_splits {group}")


def check_summary(context: Context) -> Iterator[Finding]:
    """Find parts of ``build.json`` that contradict each other."""
    document = context.document
    recipe = document.recipe
    for key in ("name", "title"):
        if getattr(document.dataset, key) != getattr(recipe, key):
            message = f"is {getattr(document.dataset, key)}, the recipe has {getattr(recipe, key)}"
            yield Finding(message, names.BUILD, f"dataset.{key}")
    verified = {name for name, source in document.sources.items() if not source.unpinned}
    unpinned = [name for name in document.declared_sources if name not in verified]
    if document.unpinned != unpinned:
        message = f"is {_listed(document.unpinned)}, by `sources` it is {_listed(unpinned)}"
        yield Finding(message, names.BUILD, "unpinned")
    # An older build has none. A public release lists no missing images of sources that are not public.
    hidden = set()
    if context.kind == "release" and context.release.policy == "public":
        hidden = {name for name, one in document.declared_sources.items() if not one.public}
    counted = count_exactness(context.ledger, document.sources) if document.exactness else {}
    for name in sorted({*counted, *document.exactness} - hidden):
        if document.exactness.get(name) != counted.get(name):
            yield Finding("differs from ledger and sources", names.BUILD, f"exactness {name}")
    enabled = {rule.name: rule.enabled for rule in recipe.rules}
    for override in document.overrides.rules:
        if enabled.get(override.rule) != override.enabled:
            yield Finding("is not as in the recipe", names.BUILD, f"overrides.rules {override.rule}")
    yield from _check_previous(context)
    present = [name for name in ("parquet", "tfrecord") if (context.folder / _FOLDERS[name]).is_dir()]
    if len(context.embedded) and present != sorted(set(document.formats) | _always(context)):
        message = f"are {_listed(document.formats)}, the folder has {_listed(present)}"
        yield Finding(message, names.BUILD, "formats")


def _check_previous(context: Context) -> Iterator[Finding]:
    """Find a former version that is not the one whose split the recipe holds, or that counts otherwise."""
    document = context.document
    previous, declared = document.previous, document.recipe.split.previous
    name = None if previous is None else previous.name
    if name != declared:
        message = f"is {name or 'none'}, the recipe has {declared or 'none'}"
        yield Finding(message, names.BUILD, "previous.name")
    if previous is None:
        return
    ledger = context.ledger
    held = 0
    if "previous_split" in ledger:
        held = int((ledger["split"].notna() & ledger["previous_split"].notna()).sum())
    # A public release counts missing images that it does not list.
    if previous.held < held or (previous.held > held and not unlisted_sources(document)):
        message = f"counts {previous.held:,} images, the ledger has {held:,}"
        yield Finding(message, names.BUILD, "previous.held")


def check_withheld(context: Context) -> Iterator[Finding]:
    """Find counts of withheld images that differ from the manifest's."""
    counted = context.manifest["withheld"].value_counts().to_dict()
    for reason, found, expected in _differences(context.release.withheld, counted):
        message = f"counts {found:,} images, the manifest has {expected:,}"
        yield Finding(message, names.BUILD, f"withheld {reason}")


def _listed(values: Sequence[str]) -> str:
    return ", ".join(values) or "none"


def _always(context: Context) -> set[str]:
    # A release has Parquet shards whatever its build has.
    return {"parquet"} if context.kind == "release" else set()


def _differences(recorded: Mapping[Any, int], counted: Mapping[Any, int]) -> Iterator[tuple[Any, int, int]]:
    """Yield each key whose number differs, with both numbers; a missing key counts 0."""
    for key in sorted(set(counted) | set(recorded), key=str):
        found, expected = recorded.get(key, 0), counted.get(key, 0)
        if found != expected:
            yield key, found, expected
