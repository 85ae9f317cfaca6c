"""Which findings decide nothing, and which images have rows with different findings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cxrbuild.catalog import Correction, Recipe, Source
from cxrbuild.catalog.rule import LabelledRule
from cxrbuild.rules import classes_of, split_findings

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class OtherFindings:
    """Findings without a class that images have next to the finding that gives them their class.

    Attributes
    ----------
    images
        The number of these images.
    findings
        The findings, each with its images, most first.
    """

    images: int = 0
    findings: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class JoinedRows:
    """An image whose rows have different findings, of a source that joins them.

    Attributes
    ----------
    source, path
        The image.
    finding
        Its finding: that of a correction, empty where it leaves none, else those of all rows.
    corrected
        Whether a correction decided it.
    """

    source: str
    path: str
    finding: str
    corrected: bool


def findings_without_class(records: pd.DataFrame, recipe: Recipe) -> dict[str, int]:
    """Return the findings that no class has, each with the images that are excluded for it, most first."""
    rules = [rule.name for rule in recipe.rules if isinstance(rule, LabelledRule)]
    found = records.loc[records["exclusion"].isin(rules) & records["label"].isna(), "finding"].dropna()
    counted = {str(finding): int(n) for finding, n in found.value_counts(sort=False).items()}
    return dict(sorted(counted.items(), key=lambda pair: (-pair[1], pair[0])))


def find_other_findings(
    records: pd.DataFrame, recipe: Recipe, separators: Mapping[str, str | None]
) -> OtherFindings:
    """Return the findings without a class of kept images that have the class of another finding.

    Parameters
    ----------
    records
        The table, after all decisions.
    recipe
        The recipe. With a published split the list gives the classes, and there are none.
    separators
        The text between several findings of a row, by source.
    """
    rows: set[object] = set()
    counts: Counter[str] = Counter()
    for source, separator in separators.items() if recipe.split.published is None else ():
        if separator is None:
            continue
        kept = (records["source"] == source) & records["exclusion"].isna() & records["label"].notna()
        each = split_findings(records.loc[kept, "finding"], separator)
        without = each[~each.isin(list(classes_of(recipe, source))) & (each != "")]
        without = without[~without.reset_index().duplicated().to_numpy()]
        rows.update(without.index)
        counts.update(without.astype("str"))
    ordered = dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))
    return OtherFindings(images=len(rows), findings=ordered)


def find_joined_rows(
    records: pd.DataFrame, sources: Iterable[Source], corrections: Sequence[Correction]
) -> list[JoinedRows]:
    """Return the images whose rows have different findings, of the sources that join them, by path.

    Parameters
    ----------
    records
        The table, after all decisions.
    sources
        The sources.
    corrections
        The corrections; one of a finding decides its image.
    """
    corrected = {one.image for one in corrections if one.column == "finding"}
    found = []
    for source in sources:
        if source.reader.differing_rows != "join":
            continue
        rows = records.loc[records["source"] == source.name, ["source_path", "finding", "exclusion"]]
        rows = rows[~rows["exclusion"].isin(["row_without_file", "withdrawn"])]
        rows = rows[rows["source_path"].duplicated(keep=False)].dropna(subset="finding")
        for path, of_image in rows.groupby("source_path"):
            decided = (source.name, str(path)) in corrected
            if decided or of_image["finding"].nunique() > 1:
                first = of_image.loc[of_image["exclusion"] != "listed_twice", "finding"]
                finding = "" if first.empty else str(first.iloc[0])  # a correction can leave it blank
                found.append(JoinedRows(source.name, str(path), finding, decided))
    return found
