"""Apply a recipe's rules to the table, in order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cxrbuild.catalog import Link
from cxrbuild.catalog.rule import (
    DuplicateRule,
    InRule,
    LabelledRule,
    NotInRule,
    PresentRule,
    RangeRule,
    ReviewedRule,
    Rule,
    looks_at_reviews,
)
from cxrbuild.grouping import UnionFind

if TYPE_CHECKING:
    import pandas as pd


def apply_rules(records: pd.DataFrame, rules: Sequence[Rule], links: Sequence[Link] = ()) -> pd.DataFrame:
    """Write into ``exclusion`` the name of the first enabled rule that excludes a row.

    Parameters
    ----------
    records
        The table, with reviews and labels.
    rules
        The rules in order.
    links
        Which images are duplicates, for rules of kind ``duplicate``.
    """
    records = records.copy(deep=False)
    for rule in rules:
        if rule.enabled:
            excluded = _excluded(rule, records, links) & records["exclusion"].isna()
            if rule.sources is not None:
                excluded &= records["source"].isin(rule.sources)
            records.loc[excluded, "exclusion"] = rule.name
    return records


def excluded_by_review_alone(
    records: pd.DataFrame, rules: Sequence[Rule], links: Sequence[Link] = ()
) -> pd.Series:
    """Return the mask of the rows that would be kept if the rules on reviews were not there.

    Parameters
    ----------
    records
        The table, with ``exclusion`` filled by the rules.
    rules, links
        See `apply_rules`.
    """
    on_reviews = {rule.name for rule in rules if looks_at_reviews(rule)}
    asked = records["exclusion"].isin(on_reviews)
    others = [rule for rule in rules if rule.name not in on_reviews]
    without = apply_rules(records.assign(exclusion=records["exclusion"].mask(asked)), others, links)
    return asked & without["exclusion"].isna()


def _excluded(rule: Rule, records: pd.DataFrame, links: Sequence[Link]) -> pd.Series:
    """Return the mask of the rows that a rule excludes, whatever earlier rules say."""
    match rule:
        case InRule():
            column = records[rule.column]
            excluded = ~column.isin(rule.values) & column.notna()
            return excluded | column.isna() if rule.unknown == "drop" else excluded
        case NotInRule():
            return records[rule.column].isin(rule.values)
        case PresentRule():
            return records[rule.column].isna()
        case RangeRule():
            column = records[rule.column]
            inside = column.between(
                -float("inf") if rule.least is None else rule.least,
                float("inf") if rule.most is None else rule.most,
            )
            return ~inside.fillna(rule.unknown == "keep").astype("bool")
        case ReviewedRule():
            marked = (
                records["review"].isin(rule.marks)
                if rule.marks
                else ~records["review"].isin(["clean", "unseen"]) & records["review"].notna()
            )
            return marked & records["marks_finding"].fillna(False) if rule.at_finding else marked
        case LabelledRule():
            return records["label"].isna()
        case DuplicateRule():
            return _duplicates(records, links)


def duplicate_groups(links: Sequence[Link]) -> UnionFind[tuple[str, str]]:
    """Return the groups of images that links call duplicates."""
    groups = UnionFind[tuple[str, str]]()
    for link in links:
        if link.kind == "duplicate":
            groups.union(link.a, link.b)
    return groups


def _duplicates(records: pd.DataFrame, links: Sequence[Link]) -> pd.Series:
    """Return the mask of the rows that are duplicates of an earlier row which is kept so far."""
    import pandas as pd

    duplicates = duplicate_groups(links)
    names = records["source"] + "/" + records["source_path"]
    linked = names.isin(["/".join(image) for image in duplicates])
    images = records.loc[linked, ["source", "source_path"]]
    pairs = zip(images["source"], images["source_path"], strict=True)
    group = pd.Series([duplicates.find(image) for image in pairs], index=images.index, dtype="object")
    candidates = images.index[records.loc[linked, "exclusion"].isna() & ~images.duplicated()]
    excluded = pd.Series(data=False, index=records.index)
    excluded.loc[candidates] = group.loc[candidates].duplicated()
    return excluded
