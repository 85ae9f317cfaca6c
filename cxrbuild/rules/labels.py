"""Fill the label of each image from its findings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cxrbuild.catalog import Recipe, Source
from cxrbuild.catalog.rule import LabelledRule
from cxrbuild.errors import DeclarationError, nearest

if TYPE_CHECKING:
    import pandas as pd

# The file of such a row is not read, so that its finding is unknown.
UNREAD = ("missing_file", "unreadable_header")
_MOST_SHOWN = 30


def add_labels(records: pd.DataFrame, recipe: Recipe, sources: Sequence[Source]) -> pd.DataFrame:
    """Fill ``label`` from ``finding``, in excluded rows too.

    Several findings of one row (``COVID-19, ARDS``) are separated as the source declares. A row with findings
    of two classes gets no label but the exclusion ``ambiguous_finding``. A row with a finding of no class
    next to one of a class gets that class, unless a rule of kind ``labelled`` has ``every_finding``.

    Parameters
    ----------
    records
        The table.
    recipe
        The recipe; its labels name only its own sources.
    sources
        The recipe's sources.

    Raises
    ------
    DeclarationError
        No image of a source has a finding that the recipe labels and does not list under
        ``optional_findings``. A source with unread files is not checked: a finding may be in one of them.
    """
    import pandas as pd

    problems = []
    labels, ambiguous = [], []
    for source in sources:
        rows = records.loc[records["source"] == source.name, ["finding", "exclusion"]]
        findings = split_findings(rows["finding"], source.finding_separator)
        if not rows["exclusion"].isin(UNREAD).any():
            problems += _absent_findings(findings, recipe, source.name)
        mapped = findings.map(classes_of(recipe, source.name))
        found = mapped.dropna()
        found = found[~found.reset_index().duplicated().to_numpy()]
        several = found.index.duplicated(keep=False)
        decided = found[~several].astype("str")
        if _needs_every_finding(recipe, source.name):
            decided = decided[~decided.index.isin(mapped.index[mapped.isna() & (findings != "")])]
        labels.append(decided)
        ambiguous.append(found.index[several])
    if problems:
        raise DeclarationError(
            f"the recipe {recipe.name} labels findings that no image has\n" + "\n".join(problems),
            todo="Correct `labels`, or list findings that may be absent under `optional_findings`",
        )
    several = records.index.isin(ambiguous[0].append(ambiguous[1:]))
    return records.assign(
        label=pd.concat(labels).reindex(records.index).fillna(records["label"]).astype("str"),
        exclusion=records["exclusion"].mask(several & records["exclusion"].isna(), "ambiguous_finding"),
    )


def split_findings(findings: pd.Series, separator: str | None) -> pd.Series:
    """Return each finding of some rows: those of one row have its index, and a blank row has none."""
    findings = findings.dropna()
    if not separator:
        return findings
    return findings.str.split(separator, regex=False).explode().str.strip()


def classes_of(recipe: Recipe, source: str) -> dict[str, str]:
    """Return the class of each finding of a source that has one."""
    return {
        finding: label for label, by_source in recipe.labels.items() for finding in by_source.get(source, [])
    }


def _needs_every_finding(recipe: Recipe, source: str) -> bool:
    return any(
        isinstance(rule, LabelledRule)
        and rule.enabled
        and rule.every_finding
        and (rule.sources is None or source in rule.sources)
        for rule in recipe.rules
    )


def _absent_findings(findings: pd.Series, recipe: Recipe, source: str) -> list[str]:
    """Return a message for each labelled finding that no image of a source has, then the findings found."""
    counts = findings[findings != ""].value_counts()
    found = {
        str(finding): int(counts[finding]) for finding in sorted(counts.index, key=lambda f: (-counts[f], f))
    }
    optional = recipe.optional_findings.get(source, [])
    problems = []
    for label, by_source in recipe.labels.items():
        for finding in by_source.get(source, []):
            if finding not in found and finding not in optional:
                near = nearest(finding, found)
                hint = f"; the nearest is {near!r}" if near else ""
                problems.append(f"  labels.{label}.{source}: no image has the finding {finding!r}{hint}")
    if problems:
        shown = ", ".join(f"{finding!r} ({n:,})" for finding, n in list(found.items())[:_MOST_SHOWN])
        more = f" and {len(found) - _MOST_SHOWN:,} more" if len(found) > _MOST_SHOWN else ""
        problems.append(f"  findings of {source}, with their images: {shown or 'none'}{more}")
    return problems
