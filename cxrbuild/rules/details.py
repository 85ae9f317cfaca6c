"""Fill ``exclusion_detail`` and ``exclusion_note``: the notes of reviewers and of links."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cxrbuild.catalog import Link, Review
from cxrbuild.catalog.rule import DuplicateRule, ReviewedRule, Rule
from cxrbuild.rules.apply import duplicate_groups

if TYPE_CHECKING:
    import pandas as pd

DUPLICATE_OF = "duplicate of "
"""What precedes the id of the kept image in the detail of a duplicate."""


@dataclass(frozen=True)
class _Detail:
    """What the program says about an exclusion, and what a person wrote about it."""

    text: str
    note: str

    def describe(self) -> str:
        return f"{self.text}: {self.note}" if self.note.strip() else self.text


def add_details(
    records: pd.DataFrame, rules: Sequence[Rule], reviews: Sequence[Review], links: Sequence[Link]
) -> pd.DataFrame:
    """Fill the detail and note of the rows that rules of kind ``reviewed`` and ``duplicate`` exclude.

    A review gives its mark and the reviewer's note: ``arrow: white arrow at right lung``. A duplicate gives
    the kept image and the note of a link: ``duplicate of cohen_1_0123456789: the same image, cropped``.
    ``exclusion_note`` has the note alone, so that nobody has to find it in the detail.

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
    details, notes = records["exclusion_detail"].copy(), records["exclusion_note"].copy()
    found: list[tuple[pd.Series, Mapping[str, _Detail]]] = []
    if (rows := records["exclusion"].isin(reviewed)).any():
        found.append((rows, _of_reviews(records, reviews)))
    if (rows := records["exclusion"].isin(duplicate)).any():
        found.append((rows, _of_duplicates(records, rules, links)))
    for rows, of_images in found:
        names = records.loc[rows, "source"] + "/" + records.loc[rows, "source_path"]
        details.loc[rows] = names.map({name: one.describe() for name, one in of_images.items()}).astype("str")
        written = {name: one.note for name, one in of_images.items() if one.note.strip()}
        notes.loc[rows] = names.map(written).astype("str")
    return records.assign(exclusion_detail=details, exclusion_note=notes)


def _of_reviews(records: pd.DataFrame, reviews: Sequence[Review]) -> Mapping[str, _Detail]:
    sources = set(records["source"])
    return {
        f"{review.source}/{review.path}": _Detail(review.mark, review.note)
        for review in reviews
        if review.source in sources
    }


def _of_duplicates(
    records: pd.DataFrame, rules: Sequence[Rule], links: Sequence[Link]
) -> Mapping[str, _Detail]:
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
        "/".join(image): _Detail(f"{DUPLICATE_OF}{kept[groups.find(image)]}", notes[image])
        for image in images
        if groups.find(image) in kept
    }
