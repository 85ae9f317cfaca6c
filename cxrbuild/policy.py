"""Decide which images a release includes, and why it withholds the pixels of others."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Literal

from cxrbuild.artifact.build import DatasetDocument, SourceState
from cxrbuild.catalog.license import UNKNOWN, read_licenses
from cxrbuild.catalog.rule import DuplicateRule, ReviewedRule
from cxrbuild.errors import CxrbuildError, name_some
from cxrbuild.reasons import details_without_notes
from cxrbuild.records import image_id, is_image_id

if TYPE_CHECKING:
    import pandas as pd

Policy = Literal["public", "private"]

_DAY = r"\d{4}-\d{2}-\d{2}"
# In order: the first reason that applies is the row's.
WITHHELD = {
    "identifier": "The image shows a readable name or birth date.",
    "license_unknown": "No licence is stated for the image.",
    "license_not_listed": "The licence is not in the table of licences, so its terms are not known.",
    "no_redistribution": "The licence does not allow redistribution.",
    "no_adaptation": "The licence forbids adaptations, and the conversion may be an adaptation.",
    "unseen": "Nobody has checked whether the image shows a name or birth date.",
}


def count_unreviewed(records: pd.DataFrame) -> int:
    """Return how many images no person has looked at for marks and names."""
    return int((records["review"].isna() | records["review"].eq("unseen")).sum())


def withheld(records: pd.DataFrame, policy: Policy) -> pd.Series:
    """Return for each row why its pixels are withheld, null if they are included.

    A private release withholds nothing. A public release includes an image only if its licence allows
    redistribution in converted form and a review found no name or birth date. Images without a review are
    included if their licence allows it.

    Parameters
    ----------
    records
        Rows of the table.
    policy
        ``public`` or ``private``.
    """
    import pandas as pd

    why = pd.Series(None, index=records.index, dtype="str")
    if policy == "private":
        return why
    licenses = read_licenses()
    license_of = records["license"].fillna(UNKNOWN)
    found = {
        "identifier": records["review"].eq("identifier"),
        "license_unknown": license_of.eq(UNKNOWN),
        "license_not_listed": ~license_of.isin([UNKNOWN, *licenses]),
        "no_redistribution": license_of.map(
            {name: not licence.redistribution for name, licence in licenses.items()}
        ).eq(True),
        "no_adaptation": license_of.map(
            {name: not licence.adaptation for name, licence in licenses.items()}
        ).eq(True),
        "unseen": records["review"].eq("unseen"),
    }
    for reason in WITHHELD:
        why = why.mask(why.isna() & found[reason].fillna(value=False), reason)
    return why


def without_identities(records: pd.DataFrame, build: DatasetDocument, policy: Policy) -> pd.DataFrame:
    """Return rows without what can identify the patients of sources that are not public.

    A public release does not name their files: `source_path`, and `group` where it is a path, hold the
    image's id instead. Patient numbers are hashed already, or the release is refused. What a reviewer wrote
    about their images, or about any image with a readable name, is omitted too, and so is the reason of a
    withdrawal: only the mark and the day stay.

    Parameters
    ----------
    records
        Rows of the table.
    build
        The ``build.json`` of their build.
    policy
        ``public`` or ``private``; a private release changes nothing.

    Raises
    ------
    CxrbuildError
        The release is public, and a source that is not public keeps its patient numbers.
    """
    if policy == "private":
        return records
    confidential = {name for name, source in build.declared_sources.items() if not source.public}
    numbered = set(records.loc[records["patient_id"].notna(), "source"])
    if kept := sorted(
        name for name in confidential & numbered if build.declared_sources[name].patient_id == "keep"
    ):
        raise CxrbuildError(
            "a public release would publish the patient numbers of sources that are not public",
            where=name_some(kept),
            expected='`patient_id = "hash"` in the reader, or `public = true` in the source',
            found='`patient_id = "keep"`',
            todo="Declare one of them and build again, or make a private release with --policy private",
        )  # fmt: skip
    return _without_notes(_without_paths(records, confidential), build, confidential)


def renames_files(build: DatasetDocument, policy: Policy) -> bool:
    """Return whether a release names files by the image's id, because a source is not public."""
    return policy == "public" and any(not source.public for source in build.declared_sources.values())


def without_file_names(build: DatasetDocument, policy: Policy) -> dict[str, SourceState]:
    """Return what a release records of its sources: image ids instead of the paths of confidential files."""
    if policy == "private":
        return build.sources
    return {
        name: state if build.declared_sources[name].public else _unnamed(name, state)
        for name, state in build.sources.items()
    }


def _unnamed(source: str, state: SourceState) -> SourceState:
    def ids(paths: Iterable[str]) -> list[str]:
        return [image_id(source, path, named=False) for path in paths]

    different = dict(zip(ids(state.different), state.different.values(), strict=True))
    return state.model_copy(
        update={"missing": ids(state.missing), "extra": ids(state.extra), "different": different}
    )


def _without_notes(records: pd.DataFrame, build: DatasetDocument, sources: Collection[str]) -> pd.DataFrame:
    """Return rows without what a person wrote about images of some sources, or with a readable name.

    A detail is kept only if the program alone can have written the rest of it.
    """
    rules = {rule.name: rule for rule in build.recipe.rules if isinstance(rule, ReviewedRule | DuplicateRule)}
    rows = records["exclusion"].isin(["withdrawn", *rules]) & (
        records["source"].isin(list(sources)) | records["review"].eq("identifier").fillna(value=False)
    )
    if not rows.any():
        return records
    excluded = records.loc[rows, ["exclusion", "exclusion_detail", "exclusion_note", "review"]]
    plain = details_without_notes(excluded)
    of_review = excluded["exclusion"].isin([n for n, rule in rules.items() if isinstance(rule, ReviewedRule)])
    written = (
        (of_review & plain.eq(excluded["review"]))
        | (excluded["exclusion"].eq("withdrawn") & plain.str.fullmatch(_DAY))
        | (~of_review & plain.map(_is_duplicate_of, na_action="ignore"))
    )
    details, notes = records["exclusion_detail"].copy(), records["exclusion_note"].copy()
    details.loc[rows] = plain.where(written.fillna(value=False).astype("bool"))
    notes.loc[rows] = None
    return records.assign(exclusion_detail=details, exclusion_note=notes)


def _is_duplicate_of(detail: str) -> bool:
    return detail.startswith("duplicate of ") and is_image_id(detail.removeprefix("duplicate of "))


def _without_paths(records: pd.DataFrame, sources: Collection[str]) -> pd.DataFrame:
    rows = records["source"].isin(list(sources))
    if not rows.any():
        return records
    of_sources = records.loc[rows, ["source", "source_path", "image_id"]]
    named, hidden = (of_sources["source"] + "/" + of_sources[name] for name in ("source_path", "image_id"))
    # A file's first row has the id that its path gives: it comes last here, and so is the one that counts.
    by_path = dict(zip(named[::-1], hidden[::-1], strict=True))
    return records.assign(
        group=[by_path.get(group, group) for group in records["group"]],
        source_path=records["source_path"].where(~rows, records["image_id"]),
    ).astype({"group": "str"})
