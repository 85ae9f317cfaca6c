"""Fill ``exclusion_detail`` with what no other column has: the notes of reviewers and of links."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from cxrbuild.catalog import Link, Review
from cxrbuild.catalog.rule import DuplicateRule, ReviewedRule, Rule
from cxrbuild.rules.apply import duplicate_groups

if TYPE_CHECKING:
    import pandas as pd


def add_details(
    records: pd.DataFrame, rules: Sequence[Rule], reviews: Sequence[Review], links: Sequence[Link]
) -> pd.DataFrame:
    """Fill ``exclusion_detail`` of the rows that rules of kind ``reviewed`` and ``duplicate`` exclude.

    A review gives its mark and the reviewer's note: ``arrow: white arrow at right lung``. A duplicate gives
    the kept image and the note of a link: ``duplicate of cohen_1_0123456789: the same image, cropped``.

    Parameters
    ----------
    records
        The table, with ``exclusion`` filled by the rules.
    rules
        The rules.
    reviews, links
        What reviewers saw on images, and which images are duplicates.
    """
    reviewed = {rule.name for rule in rules if isinstance(rule, ReviewedRule)}
    duplicate = {rule.name for rule in rules if isinstance(rule, DuplicateRule)}
    details = records["exclusion_detail"].copy()
    if (rows := records["exclusion"].isin(reviewed)).any():
        details.loc[rows] = _named(records[rows], _of_reviews(records, reviews))
    if (rows := records["exclusion"].isin(duplicate)).any():
        details.loc[rows] = _named(records[rows], _of_duplicates(records, rules, links))
    return records.assign(exclusion_detail=details)


def _named(rows: pd.DataFrame, details: Mapping[str, str]) -> pd.Series:
    return (rows["source"] + "/" + rows["source_path"]).map(dict(details)).astype("str")


def _of_reviews(records: pd.DataFrame, reviews: Sequence[Review]) -> Mapping[str, str]:
    sources = set(records["source"])
    return {
        f"{review.source}/{review.path}": _with_note(review.mark, review.note)
        for review in reviews
        if review.source in sources
    }


def _of_duplicates(records: pd.DataFrame, rules: Sequence[Rule], links: Sequence[Link]) -> Mapping[str, str]:
    """Return the detail of each image that links connect with an image that the rule kept."""
    first = next(i for i, rule in enumerate(rules) if isinstance(rule, DuplicateRule))
    later = {rule.name for rule in rules[first + 1 :]}
    groups = duplicate_groups(links)
    notes: dict[tuple[str, str], str] = {}
    for link in links:
        if link.kind == "duplicate":
            for end in (link.a, link.b):
                notes.setdefault(end, link.note)
    names = records["source"] + "/" + records["source_path"]
    columns = ["image_id", "source", "source_path", "exclusion"]
    linked = records.loc[names.isin(["/".join(image) for image in groups]), columns]
    # At the rule, an image that a later rule excludes was still there.
    there = linked[linked["exclusion"].isna() | linked["exclusion"].isin(later)]
    kept: dict[tuple[str, str], str] = {}
    for number, source, path in there[columns[:3]].itertuples(index=False):
        kept.setdefault(groups.find((source, path)), number)
    images = dict.fromkeys(zip(linked["source"], linked["source_path"], strict=True))
    return {
        "/".join(image): _with_note(f"duplicate of {kept[groups.find(image)]}", notes[image])
        for image in images
        if groups.find(image) in kept
    }


def _with_note(text: str, note: str) -> str:
    return f"{text}: {note}" if note.strip() else text
