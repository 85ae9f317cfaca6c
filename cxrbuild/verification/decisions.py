"""Check what the recipe decides about each image: id, label, exclusion, group and split.

The ledger has the values that decide, so that each decision is made again and compared. Link files are not
part of a release: a decision that needs one is not checked.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from cxrbuild import __version__
from cxrbuild.artifact import names
from cxrbuild.catalog.rule import DuplicateRule, LabelledRule, ReviewedRule, Rule
from cxrbuild.checks import Finding, NotApplicable
from cxrbuild.errors import CxrbuildError
from cxrbuild.exclusions import MISSING, exclusion_reasons
from cxrbuild.folds import assign_folds
from cxrbuild.grouping import connected_groups
from cxrbuild.patients import patient_names
from cxrbuild.policy import unlisted_sources
from cxrbuild.records import COLUMNS, differs, image_id
from cxrbuild.rules import apply_rules
from cxrbuild.split import assign_splits
from cxrbuild.verification.context import Context
from cxrbuild.verification.tables import describe_unlisted, text_of

if TYPE_CHECKING:
    import pandas as pd

    from cxrbuild.catalog.split import Split

# Columns that are filled before the rules are applied.
_BEFORE_RULES = {column.name for column in COLUMNS if column.stage in ("ingest", "rules")}


def check_image_ids(context: Context) -> Iterator[Finding]:
    """Find kept rows whose image_id does not follow from their source and path."""
    unlisted = unlisted_sources(context.document)
    sources = context.document.declared_sources
    named = context.manifest[~context.manifest["source"].isin(list(unlisted))]
    if unlisted and named.empty:
        raise NotApplicable(describe_unlisted(context.document))
    columns = (named[column] for column in ("image_id", "source", "source_path"))
    for image, source, path in zip(*columns, strict=True):
        if source not in sources:
            yield Finding(f"the source {text_of(source)} is not in build.json", names.MANIFEST, image)
        elif image != (expected := image_id(source, str(path), named=sources[source].public)):
            message = f"source_path is {text_of(path)}, whose image_id is {expected}"
            yield Finding(message, names.MANIFEST, image)


def check_labels(context: Context) -> Iterator[Finding]:
    """Find rows whose label does not follow from their finding.

    A source can list several findings in one value, so that a label needs only one of its findings in it.
    """
    labels = context.document.recipe.labels
    if context.document.recipe.split.published is not None:
        yield from _find_unlisted(context.ledger, labels)
        return
    columns = ["source", "finding", "label", "exclusion"]
    # Each combination of values is checked once: many rows share one.
    combination = context.ledger.groupby(columns, dropna=False, sort=False).ngroup()
    first = context.ledger.loc[~combination.duplicated(), columns]
    wrong = [
        combination[row]
        for row, *values in first.itertuples()
        if not _label_fits(labels, *map(text_of, values))
    ]
    rows = context.ledger[combination.isin(wrong)]
    for image, found, label in zip(rows["image_id"], rows["finding"], rows["label"], strict=True):
        message = f"label is {text_of(label)}, but finding is {text_of(found)}"
        yield Finding(message, names.LEDGER, image)


def _find_unlisted(ledger: pd.DataFrame, labels: Collection[str]) -> Iterator[Finding]:
    """Find rows that have a class although no list names them, the reverse, and unknown classes."""
    wrong = (ledger["label"].isna() != ledger["listed"].isna()) | (
        ledger["label"].notna() & ~ledger["label"].isin(list(labels))
    )
    columns = (ledger.loc[wrong, column] for column in ("image_id", "label", "listed"))
    for image, label, listed in zip(*columns, strict=True):
        yield Finding(f"label is {text_of(label)}, but listed is {text_of(listed)}", names.LEDGER, image)


def _label_fits(
    labels: Mapping[str, Mapping[str, Sequence[str]]], source: str, finding: str, label: str, exclusion: str
) -> bool:
    """Return whether a label follows from its finding, all as `text_of` gives them."""
    classes = {one: name for name, findings in labels.items() for one in findings.get(source, [])}
    if finding in classes:
        return label == classes[finding] or exclusion == "ambiguous_finding"
    known = [one for one, name in classes.items() if name == label]
    return label == "null" or (finding != "null" and any(one in finding for one in known))


def check_exclusions(context: Context) -> Iterator[Finding]:
    """Find rows that the recipe's rules exclude and the ledger does not, or the reverse."""
    _require_same_version(context)
    recipe, ledger = context.document.recipe, context.ledger
    renamed = _renames(context)
    rules = [rule for rule in recipe.rules if rule.enabled]
    unchecked = {rule.name for rule in rules if not _is_derivable(rule, renamed=renamed)}
    # Exclusions before the rules stay, those of a rule or after the rules are found again.
    earlier = ledger["exclusion"].where(~ledger["exclusion"].isin([*(r.name for r in rules), *MISSING]))
    derived = ledger.assign(exclusion=earlier)
    try:
        checked = [rule for rule in rules if rule.name not in unchecked]
        expected = apply_rules(derived, checked)["exclusion"]
    except CxrbuildError as error:
        yield Finding(f"its rules cannot be applied: {error.what}", names.BUILD, "recipe")
        return
    known = set(exclusion_reasons(recipe.rules))
    unknown = ledger["exclusion"].notna() & ~ledger["exclusion"].isin(known)
    different = unknown | differs(ledger["exclusion"], expected)
    columns = (ledger.loc[different, column] for column in ("image_id", "exclusion"))
    for image, found, wanted in zip(*columns, expected[different], strict=True):
        found, wanted = text_of(found), text_of(wanted)
        if found != "null" and found not in known:
            yield Finding(f"exclusion is {found}, which the recipe does not have", names.LEDGER, image)
        elif found != wanted and not (found in unchecked or (found in MISSING and wanted == "null")):
            message = f"exclusion is {found}, by the recipe's rules it is {wanted}"
            yield Finding(message, names.LEDGER, image)


def check_groups(context: Context) -> Iterator[Finding]:
    """Find patients in several groups, and groups that are not named after their least patient.

    Groups with an image whose file the release does not name are not checked: it may have named them.
    """
    _require_same_version(context)
    ledger, named = context.ledger, _in_named_groups(context)
    patient = patient_names(ledger, context.document.namespaces)
    pairs = zip(patient, ledger["group"].fillna("null"), strict=True)
    expected = patient.map(connected_groups(pairs)).astype("str")
    wrong = differs(ledger["group"], expected) & named
    columns = (ledger.loc[wrong, column] for column in ("image_id", "group"))
    for image, found, name in zip(*columns, patient[wrong], strict=True):
        message = f"group is {text_of(found)}, which is not the group of {name}"
        yield Finding(message, names.LEDGER, image)


def check_splits(context: Context) -> Iterator[Finding]:
    """Find rows whose split does not follow from their group, the declared splits and the recipe's salt.

    The name of a group decides where a share is drawn: groups with an image whose file the release does not
    name are not checked. Where a count is drawn, all groups decide; then no split is checked.
    """
    _require_same_version(context)
    ledger, split, named = context.ledger, context.document.recipe.split, _in_named_groups(context)
    if not named.all():
        _require_shares(split)
    # An image that is missing has its split all the same.
    at_split = ledger.assign(exclusion=ledger["exclusion"].where(~ledger["exclusion"].isin(MISSING)))
    try:
        expected = assign_splits(at_split, split)
    except CxrbuildError as error:
        yield Finding(f"the splits cannot be derived: {error.what}", names.LEDGER)
        return
    wrong = differs(ledger["split"], expected) & at_split["exclusion"].isna() & named
    columns = (ledger.loc[wrong, column] for column in ("image_id", "split"))
    for image, found, wanted in zip(*columns, expected[wrong], strict=True):
        message = f"split is {text_of(found)}, by the recipe it is {text_of(wanted)}"
        yield Finding(message, names.LEDGER, image)


def check_folds(context: Context) -> Iterator[Finding]:
    """Find rows whose fold does not follow from their group, split, class and source."""
    _require_same_version(context)
    split, ledger = context.document.recipe.split, context.ledger
    if split.folds is None and ledger["fold"].isna().all():
        raise NotApplicable("the recipe has no folds")
    _require_original_paths(context)
    # An image that is missing has its fold all the same.
    at_split = ledger.assign(exclusion=ledger["exclusion"].where(~ledger["exclusion"].isin(MISSING)))
    try:
        expected = assign_folds(at_split, split)
    except CxrbuildError as error:
        yield Finding(f"the folds cannot be derived: {error.what}", names.LEDGER)
        return
    wrong = differs(ledger["fold"], expected)
    columns = (ledger.loc[wrong, column] for column in ("image_id", "fold"))
    for image, found, wanted in zip(*columns, expected[wrong], strict=True):
        message = f"fold is {text_of(found)}, by the recipe it is {text_of(wanted)}"
        yield Finding(message, names.LEDGER, image)


def _is_derivable(rule: Rule, *, renamed: bool) -> bool:
    if isinstance(rule, DuplicateRule):
        return False
    if isinstance(rule, LabelledRule | ReviewedRule):
        return True
    return rule.column in _BEFORE_RULES and not (renamed and rule.column == "source_path")


def _require_same_version(context: Context) -> None:
    made_by = context.document.cxrbuild
    if made_by != __version__:
        raise NotApplicable(f"cxrbuild {made_by} made the build")


def _in_named_groups(context: Context) -> pd.Series:
    """Return the mask of the ledger's rows whose groups have no image that the release does not name."""
    ledger, unlisted = context.ledger, unlisted_sources(context.document)
    unnamed = ledger["source"].isin(list(unlisted))
    named = ~ledger["group"].isin(list(ledger.loc[unnamed, "group"]))
    if unlisted and not named.any():
        raise NotApplicable(describe_unlisted(context.document))
    return named


def _require_shares(split: Split) -> None:
    """Require that the groups of the named images alone decide about their splits."""
    if any(one is not None and one.count is not None for one in (split.test, split.validation)):
        raise NotApplicable("the groups that a count is drawn from are not all named")
    # A shipped file of links names no source that is not public.
    if any(link.endswith(".csv") for link in split.links):
        raise NotApplicable("links of the recipe may name groups after images that are not listed")


def _require_original_paths(context: Context) -> None:
    if _renames(context):
        raise NotApplicable(describe_unlisted(context.document))


def _renames(context: Context) -> bool:
    return bool(unlisted_sources(context.document))
