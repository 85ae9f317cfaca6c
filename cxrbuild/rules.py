"""Reviews, labels and rules: what decides, on metadata alone, whether an image is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from cxrbuild.catalog import Link, Recipe, Review, Source
from cxrbuild.catalog.override import RuleOverride
from cxrbuild.catalog.rule import (
    InRule,
    LabelledRule,
    NotInRule,
    PresentRule,
    RangeRule,
    RepeatedRule,
    ReviewedRule,
    Rule,
)
from cxrbuild.errors import DeclarationError, name_some
from cxrbuild.grouping import UnionFind
from cxrbuild.records import COLUMNS

if TYPE_CHECKING:
    import pandas as pd


def switch_rules(recipe: Recipe, switches: Mapping[str, bool]) -> tuple[Recipe, list[RuleOverride]]:
    """Turn rules on and off.

    Parameters
    ----------
    recipe
        The recipe.
    switches
        For each switch (``lateral``, ``ct``, ``annotated``) whether such images are dropped.

    Returns
    -------
    tuple
        The recipe with its rules switched, and each rule that is not as the recipe declares it.

    Raises
    ------
    DeclarationError
        The recipe has no rule with that switch.
    """
    overrides, rules = [], list(recipe.rules)
    for switch, drop in switches.items():
        mine = [i for i, rule in enumerate(rules) if rule.switch == switch]
        if not mine:
            raise DeclarationError(
                f"the recipe {recipe.name} has no rule for --{'drop' if drop else 'keep'}-{switch}",
                expected="switches of its rules: "
                + (", ".join(sorted({rule.switch for rule in rules if rule.switch})) or "none"),
            )
        for i in mine:
            if rules[i].enabled != drop:
                overrides.append(RuleOverride(rule=rules[i].name, switch=switch, enabled=drop))
            rules[i] = rules[i].model_copy(update={"enabled": drop})
    return recipe.model_copy(update={"rules": rules}), overrides


def add_reviews(records: pd.DataFrame, reviews: Sequence[Review]) -> pd.DataFrame:
    """Fill ``review`` and ``marks_finding`` from what people saw.

    Raises
    ------
    DeclarationError
        A review names a film that its source has not.
    """
    import pandas as pd

    sources = set(records["source"])
    reviews = [review for review in reviews if review.source in sources]
    seen = pd.DataFrame(
        [(r.source, r.path, r.mark, r.marks_finding) for r in reviews],
        columns=["source", "source_path", "review", "marks_finding"],
    ).astype({"review": "str", "marks_finding": "boolean"})
    paths = pd.MultiIndex.from_frame(records[["source", "source_path"]])
    unknown = [review.path for review in reviews if (review.source, review.path) not in paths]
    if unknown:
        raise DeclarationError(
            f"{len(unknown)} reviews name films that their source has not"
            if len(unknown) != 1
            else "1 review names a film that its source has not",
            found=name_some(unknown),
            todo="Review files go with one version of a source: fetch that one, or take the lines out",
        )
    kept = records.drop(columns=["review", "marks_finding"])
    return kept.merge(seen, on=["source", "source_path"], how="left", validate="many_to_one")[
        list(records.columns)
    ]


def add_labels(records: pd.DataFrame, recipe: Recipe, sources: Sequence[Source]) -> pd.DataFrame:
    """Fill ``label`` from ``finding``, whatever else becomes of the row.

    Several findings of one row (``COVID-19, ARDS``) are parted as its source declares. Findings of two
    classes are no label but the exclusion ``ambiguous_finding``.

    Raises
    ------
    DeclarationError
        The recipe labels findings of a source that it does not use.
    """
    names = [source.name for source in sources]
    stray = sorted({name for findings in recipe.labels.values() for name in findings} - set(names))
    if stray:
        raise DeclarationError(
            f"labels: {name_some(stray)} is no source of the recipe {recipe.name}", expected=name_some(names)
        )
    records = records.copy()
    for source in sources:
        classes = {
            finding: label
            for label, findings in recipe.labels.items()
            for finding in findings.get(source.name, [])
        }
        findings = records.loc[records["source"] == source.name, "finding"].dropna()
        if source.finding_separator:
            findings = findings.str.split(source.finding_separator).explode().str.strip()
        found = findings.map(classes).dropna()
        found = found[~found.reset_index().duplicated().to_numpy()]
        torn = found.index.duplicated(keep=False)
        records.loc[found.index[~torn], "label"] = found[~torn]
        both = records.index.isin(found.index[torn]) & records["exclusion"].isna()
        records.loc[both, "exclusion"] = "ambiguous_finding"
    return records


def apply_rules(records: pd.DataFrame, rules: Sequence[Rule], links: Sequence[Link] = ()) -> pd.DataFrame:
    """Write into ``exclusion`` the name of the first enabled rule that rejects a row.

    Parameters
    ----------
    records
        The table, reviewed and labelled.
    rules
        The rules in order.
    links
        Which films are the same film, for rules of kind ``repeated``.

    Raises
    ------
    DeclarationError
        A rule names a column or a source that is not there.
    """
    columns = {column.name for column in COLUMNS}
    faults = [
        f"rule {rule.name}: no column is called {rule.column!r}"
        for rule in rules
        if not isinstance(rule, ReviewedRule | LabelledRule | RepeatedRule) and rule.column not in columns
    ]
    known = set(records["source"])
    faults += [
        f"rule {rule.name}: {source!r} is no source of the recipe"
        for rule in rules
        for source in rule.sources or []
        if source not in known
    ]
    if faults:
        raise DeclarationError("rules that cannot be applied\n  " + "\n  ".join(faults))
    records = records.copy()
    for rule in rules:
        if rule.enabled:
            rejected = _rejects(rule, records, links) & records["exclusion"].isna()
            if rule.sources is not None:
                rejected &= records["source"].isin(rule.sources)
            records.loc[rejected, "exclusion"] = rule.name
    return records


def _rejects(rule: Rule, records: pd.DataFrame, links: Sequence[Link]) -> pd.Series:
    match rule:
        case InRule():
            column = records[rule.column]
            rejected = ~column.astype("str").isin(rule.values) & column.notna()
            return rejected | column.isna() if rule.unknown == "drop" else rejected
        case NotInRule():
            return records[rule.column].astype("str").isin(rule.values) & records[rule.column].notna()
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
        case RepeatedRule():
            return _repeated(records, links)


def _repeated(records: pd.DataFrame, links: Sequence[Link]) -> pd.Series:
    """Say of each row whether it is the same film as an earlier one that is kept as yet."""
    import pandas as pd

    groups = UnionFind[tuple[str, str]]()
    for link in links:
        if link.kind == "duplicate":
            groups.union(link.a, link.b)
    names = zip(records["source"], records["source_path"], strict=True)
    group = pd.Series([groups.find(name) for name in names], index=records.index)
    again = records.duplicated(["source", "source_path"])
    kept = records["exclusion"].isna()
    return kept & group.where(kept & ~again).duplicated() & ~again
