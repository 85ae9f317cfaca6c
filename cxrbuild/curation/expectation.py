"""Whether a plan or build is what its recipe expects, and which images it has too many or too few."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cxrbuild.catalog.published import published_manifest
from cxrbuild.curation.plan import Plan, counts
from cxrbuild.errors import CheckError
from cxrbuild.exclusions import MISSING
from cxrbuild.records import read_records

if TYPE_CHECKING:
    import pandas as pd


def missing_rows(plan: Plan) -> pd.DataFrame:
    """Return the rows that belong to the dataset but are missing or could not be converted."""
    return plan.records[plan.records["exclusion"].isin(MISSING)]


def check_expectation(plan: Plan, *, allow_missing: bool) -> None:
    """Refuse a plan or build that is not what its recipe expects.

    A recipe that expects nothing is what it is; so is one whose rules were switched away from what it
    declares. With ``allow_missing`` an image that could not be had counts as kept; every other difference is
    refused all the same.

    Raises
    ------
    CheckError
        Counts or membership differ; each image too many or too few is named.
    """
    recipe = plan.declared.recipe
    lacking = missing_rows(plan)
    faults = []
    if not lacking.empty and not allow_missing:
        detail = ": " + lacking["exclusion_detail"]
        told = lacking.assign(why=lacking["exclusion"] + detail.fillna(""))
        faults.append(_listed(f"{len(told)} images belong to the dataset and could not be had", told, "why"))
    if not plan.declared.overrides:
        records = plan.records.copy()
        records.loc[lacking.index, "exclusion"] = None
        whole = plan.with_records(records)
        unlabelled = int(lacking["label"].isna().sum()) if allow_missing else 0
        faults += _count_faults(counts(whole), recipe.expect, unlabelled)
        faults += _membership_faults(whole)
    if faults:
        raise CheckError(
            f"this is not the dataset that the recipe {recipe.name} expects\n" + "\n".join(faults),
            todo="Fetch what is missing or mend what cannot be read, or go on without it with --allow-missing"
            if not lacking.empty and not allow_missing
            else "Fetch the pinned sources, or change the recipe's expectation and its version",
        )


def _count_faults(
    found: dict[str, dict[str, int]], expected: dict[str, dict[str, int]], unlabelled: int
) -> list[str]:
    short = [
        count - found.get(part, {}).get(label, 0)
        for part in expected
        for label, count in expected[part].items()
    ]
    # A DICOM film that could not be had has no class: it may be any of those that are too few.
    if min(short, default=0) >= 0 and sum(short) <= unlabelled:
        return []
    return [
        f"  {part}, {label}: expected {expected[part][label]:,}, found {found.get(part, {}).get(label, 0):,}"
        for part in expected
        for label in expected[part]
        if found.get(part, {}).get(label, 0) != expected[part][label]
    ]


def _membership_faults(plan: Plan) -> list[str]:
    name = plan.declared.recipe.manifest
    if name is None:
        return []
    published = read_records(published_manifest(name))
    both = plan.kept.merge(published, on="image_id", how="outer", suffixes=("", "_published"), indicator=True)
    found, wanted = both["_merge"] == "left_only", both["_merge"] == "right_only"
    both["part"] = both["split"] + " " + both["label"]
    both["part_published"] = both["split_published"] + " " + both["label_published"]
    moved = (both["_merge"] == "both") & (both["part"] != both["part_published"])
    both["change"] = both["part_published"] + " is now " + both["part"]
    for column in ("source", "source_path"):
        both[column] = both[column].fillna(both[f"{column}_published"])
    faults = []
    if found.any():
        faults.append(_listed(f"{found.sum()} images too many against {name}", both[found], "part"))
    if wanted.any():
        both["exclusion"] = both["image_id"].map(plan.records.set_index("image_id")["exclusion"])
        both["why"] = both["part_published"] + ", " + both["exclusion"].fillna("not upstream")
        faults.append(_listed(f"{wanted.sum()} images too few against {name}", both[wanted], "why"))
    if moved.any():
        faults.append(_listed(f"{moved.sum()} images elsewhere than in {name}", both[moved], "change"))
    return faults


def _listed(title: str, rows: pd.DataFrame, word: str) -> str:
    lines = ("    " + rows["source"] + " " + rows["source_path"] + " (" + rows[word] + ")").tolist()
    return "\n".join([f"  {title}:", *lines])
