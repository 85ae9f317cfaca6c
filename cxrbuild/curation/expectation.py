"""Compare a plan or build with what its recipe expects: counts, and the published manifest's images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cxrbuild.artifact.published import published_manifest
from cxrbuild.curation.plan import Plan
from cxrbuild.errors import CheckError, count_of
from cxrbuild.exclusions import MISSING
from cxrbuild.lockfile import fetch_command
from cxrbuild.records import read_records

if TYPE_CHECKING:
    import pandas as pd


# The paths that a message lists of each source and reason.
_NAMED = 3


def missing_rows(plan: Plan) -> pd.DataFrame:
    """Return the rows that belong to the dataset but are missing or could not be converted."""
    return plan.records[plan.records["exclusion"].isin(MISSING)]


def check_expectation(plan: Plan, *, allow_missing: bool, ledger: Path | None = None) -> None:
    """Require that a plan or build is what its recipe expects.

    Every class must have an image in train and test, unless the recipe allows it: see `Recipe.find_empty`.
    A recipe may expect nothing. A recipe with overrides is not compared with its counts. With
    ``allow_missing`` a missing image counts as kept; every other difference is still an error. It names
    the ``ledger``, where that is written.

    Raises
    ------
    CheckError
        Counts or images differ; the first additional, absent and moved images are listed.
    """
    recipe = plan.declared.recipe
    missing = missing_rows(plan)
    others: list[str] = []
    absent = [] if missing.empty or allow_missing else _missing_problems(plan, missing)
    problems = list(absent)
    records = plan.records.copy()
    records.loc[missing.index, "exclusion"] = None
    whole = plan.with_records(records)
    empty = recipe.find_empty((plan if allow_missing else whole).counts)
    problems += [f"  {message}" for message in empty]
    if not plan.declared.overrides:
        unlabelled = int(missing["label"].isna().sum()) if allow_missing else 0
        problems += _count_problems(whole.counts, recipe.expect, unlabelled)
        others = _membership_problems(whole)
        problems += others
    if problems:
        what = f"this is not the dataset that the recipe {recipe.name} expects"
        if problems == absent:
            what = f"images of {recipe.name} are missing"
        raise CheckError(
            what + "\n" + "\n".join(problems),
            todo=_advice(plan, missing, allow_missing, bool(others), bool(empty))
            + (
                ". `cxrbuild plan --out DIR`, with the same options, writes a ledger that lists every image"
                if ledger is None
                else f". {ledger} lists every image"
            ),
        )


def _advice(plan: Plan, missing: pd.DataFrame, allow_missing: bool, others: bool, empty: bool) -> str:
    if not missing.empty and not allow_missing:
        return (
            "Fetch the missing files or replace the unreadable ones. In a recipe of your own, a rule of "
            'kind `reviewed` with `marks = ["unseen"]` excludes for good the images that a review file '
            "marks so. --allow-missing continues without them; `publish` refuses releases of such a build"
        )
    if empty:
        return "Correct labels, rules or split, or list the classes under `split.allow_empty`"
    return "Fetch the pinned sources. In a recipe of your own, change its name, version and [expect]" + (
        f", and remove the key `manifest`, which names {plan.declared.recipe.manifest}" if others else ""
    )


def _missing_problems(plan: Plan, missing: pd.DataFrame) -> list[str]:
    """Return a message for the missing images; one of each source that is not there at all."""
    absent = missing["source"].isin(plan.to_bring)
    addresses = {source.name: source.address for source in plan.declared.sources}
    problems = [
        f"  {count_of(count, 'image')} of {name}, which is not there: "
        + fetch_command([addresses[str(name)]], plan.data, bring=[str(name)])
        for name, count in missing.loc[absent, "source"].value_counts().sort_index().items()
    ]
    rows = missing[~absent]
    if not rows.empty:
        detail = ": " + rows["exclusion_detail"]
        unreadable = rows["exclusion"] != "missing_file"
        identifier = ("; image_id " + rows["image_id"]).where(unreadable, "")
        rows = rows.assign(why=rows["exclusion"] + detail.fillna("") + identifier)
        problems.append(_listed(f"{count_of(len(rows), 'image')} of the dataset missing", rows, "why"))
    return problems


def _count_problems(
    found: dict[str, dict[str, int]], expected: dict[str, dict[str, int]], unlabelled: int
) -> list[str]:
    short = [
        count - found.get(split, {}).get(label, 0)
        for split in expected
        for label, count in expected[split].items()
    ]
    # A missing DICOM file has no class: it may belong to any class that is short of images.
    if min(short, default=0) >= 0 and sum(short) <= unlabelled:
        return []
    return [
        f"  {split}, {label}: expected {expected[split][label]:,}, "
        f"found {found.get(split, {}).get(label, 0):,}"
        for split in expected
        for label in expected[split]
        if found.get(split, {}).get(label, 0) != expected[split][label]
    ]


def _membership_problems(plan: Plan) -> list[str]:
    name = plan.declared.recipe.manifest
    if name is None:
        return []
    published = read_records(published_manifest(name))
    both = plan.kept.merge(published, on="image_id", how="outer", suffixes=("", "_published"), indicator=True)
    added, absent = both["_merge"] == "left_only", both["_merge"] == "right_only"
    both["place"] = both["split"] + " " + both["label"]
    both["place_published"] = both["split_published"] + " " + both["label_published"]
    moved = (both["_merge"] == "both") & (both["place"] != both["place_published"])
    both["change"] = both["place_published"] + " is now " + both["place"]
    for column in ("source", "source_path"):
        both[column] = both[column].fillna(both[f"{column}_published"])
    problems = []
    if added.any():
        problems.append(_listed(f"{count_of(added.sum(), 'image')} not in {name}", both[added], "place"))
    if absent.any():
        both["exclusion"] = both["image_id"].map(plan.records.set_index("image_id")["exclusion"])
        both["why"] = both["place_published"] + ", " + both["exclusion"].fillna("not in the source")
        problems.append(_listed(f"{count_of(absent.sum(), 'image')} of {name} absent", both[absent], "why"))
    if moved.any():
        title = f"{count_of(moved.sum(), 'image')} in another split or class than in {name}"
        problems.append(_listed(title, both[moved], "change"))
    return problems


def _listed(title: str, rows: pd.DataFrame, column: str) -> str:
    """Return the title and, of each source, the first paths: a path may fill a line."""
    lines = [f"  {title}:"]
    for source, some in rows.groupby("source"):
        common = some[column].iloc[0] if some[column].nunique() == 1 else None
        lines.append(f"    {source} {len(some):,}" + (f" ({common})" if common else ""))
        each = "" if common else " (" + some[column] + ")"
        lines += ("      " + some["source_path"] + each)[:_NAMED].tolist()
        if len(some) > _NAMED:
            lines.append(f"      and {len(some) - _NAMED:,} more")
    return "\n".join(lines)
