"""Decide which images a release lists, what it shows of them, and why it withholds the pixels of some.

A public release omits what people wrote about images of sources that are not public, and about any image with
a readable name: it can identify the patient.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Literal

from cxrbuild.artifact.build import DatasetDocument, ReleaseDocument, SourceState
from cxrbuild.artifact.correction import CorrectedValue, Corrections
from cxrbuild.catalog.license import UNKNOWN, read_licenses
from cxrbuild.catalog.rule import DuplicateRule, ReviewedRule
from cxrbuild.errors import CxrbuildError, count_of, name_some
from cxrbuild.ingest.age import parse_ages
from cxrbuild.patients import Namespaces, patient_names
from cxrbuild.reasons import details_without_notes
from cxrbuild.records import image_id, is_image_id
from cxrbuild.rules.details import DUPLICATE_OF

if TYPE_CHECKING:
    import pandas as pd

Policy = Literal["public", "private"]

MOST_AGE = 90
"""What a public release writes for an older age of a source that is not public.

HIPAA counts exact ages over 89 as identifiers, and allows the category of 90 and older: 45 CFR
164.514(b)(2)(i)(C).
"""
# A number over 89; 0 may be in front.
_OLD_NUMBER = r"(?<![0-9])0*(?:9[0-9]|[1-9][0-9]{2,})(?![0-9])"
_DAY = r"\d{4}-\d{2}-\d{2}"
_UNLISTED_IMAGE = "an image that is not listed"
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


def confidential_sources(build: DatasetDocument, policy: Policy) -> frozenset[str]:
    """Return the sources whose files a release does not name, and of which it lists no excluded image.

    Parameters
    ----------
    build
        The ``build.json`` of the build.
    policy
        ``public``: the sources that are not public; ``private``: none.
    """
    if policy == "private":
        return frozenset()
    return frozenset(name for name, source in build.declared_sources.items() if not source.public)


def unlisted_sources(document: DatasetDocument) -> frozenset[str]:
    """Return the sources whose excluded images the ledger of a build or release does not list.

    Parameters
    ----------
    document
        The ``build.json`` of the build, which lists every image, or of the release.
    """
    if not isinstance(document, ReleaseDocument):
        return frozenset()
    return confidential_sources(document, document.policy)


def is_unlisted(records: pd.DataFrame, sources: Collection[str]) -> pd.Series:
    """Return the mask of the rows that a release does not list: excluded images of these sources."""
    return records["source"].isin(list(sources)) & records["exclusion"].notna()


def without_unlisted(records: pd.DataFrame, sources: Collection[str]) -> pd.DataFrame:
    """Return the rows that a release lists: no excluded image of these sources; the flow chart counts it."""
    return records[~is_unlisted(records, sources)].reset_index(drop=True) if sources else records


def without_identities(records: pd.DataFrame, build: DatasetDocument, policy: Policy) -> pd.DataFrame:
    """Return rows without what can identify the patients of sources that are not public.

    A public release does not name their files: `source_path`, and `group` where it is a path, hold the
    image's id instead. Patient numbers are hashed already, or the release is refused. Of a review only the
    mark stays, of a withdrawal the day. No group is named after an image or a patient that
    `without_unlisted` omits. Ages over 89 are `MOST_AGE`, without the source's text, which would say who is
    exactly that old.

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
    require_hashed(records, build, policy)
    confidential = confidential_sources(build, policy)
    named = _without_paths(_without_old_ages(records, confidential), confidential, build.namespaces)
    return _without_duplicates(_without_notes(named, build, confidential), confidential)


def old_ages(records: pd.DataFrame, build: DatasetDocument, policy: Policy) -> int:
    """Return how many kept images have an age over 89, for which a release has `MOST_AGE`.

    Parameters
    ----------
    records
        Rows of the table.
    build
        The ``build.json`` of their build.
    policy
        ``public`` or ``private``; a private release replaces none.
    """
    return int((_is_old(records, confidential_sources(build, policy)) & records["exclusion"].isna()).sum())


def describe_old_ages(count: int) -> str:
    """Return that a public release replaces ages, and what to do otherwise; empty where it replaces none."""
    if not count:
        return ""
    return (
        f"A public release has the age {MOST_AGE} for {count_of(count, 'image')} of patients over "
        f"{MOST_AGE - 1}, of sources that are not public: an exact age over 89 can identify a patient (45 "
        "CFR 164.514). For the exact ages, make a private release with --policy private."
    )


def _is_old(records: pd.DataFrame, sources: Collection[str]) -> pd.Series:
    old = records["patient_age"].gt(MOST_AGE - 1).fillna(value=False).astype("bool")
    return records["source"].isin(list(sources)) & old


def _without_old_ages(records: pd.DataFrame, sources: Collection[str]) -> pd.DataFrame:
    old = _is_old(records, sources)
    # The source's text can have an age that is corrected, or that is no number, such as `92+`.
    revealing = records["source"].isin(list(sources)) & (old | _has_old_age(records["patient_age_text"]))
    if not revealing.any():
        return records
    return records.assign(
        patient_age=records["patient_age"].mask(old, MOST_AGE),
        patient_age_text=records["patient_age_text"].mask(revealing),
    )


def _has_old_age(texts: pd.Series) -> pd.Series:
    """Return the mask of the texts with an age over 89, or with such a number and no age.

    Examples
    --------
    >>> import pandas as pd
    >>> texts = ["090Y", "92+", "born in 1929", "89", "50+", "120D", "95 y", None]
    >>> _has_old_age(pd.Series(texts, dtype="str")).tolist()
    [True, True, True, False, False, False, True, False]
    """
    ages = parse_ages(texts)
    old = ages.gt(MOST_AGE - 1).fillna(value=False).astype("bool")
    return old | (ages.isna() & texts.str.contains(_OLD_NUMBER).fillna(value=False).astype("bool"))


def require_hashed(records: pd.DataFrame, build: DatasetDocument, policy: Policy) -> None:
    """Refuse a public release of a source that is not public and keeps its patient numbers.

    Parameters
    ----------
    records
        Rows of the table.
    build
        The ``build.json`` of their build.
    policy
        ``public`` or ``private``; a private release is not checked.

    Raises
    ------
    CxrbuildError
        A source that is not public keeps its patient numbers.
    """
    numbered = set(records.loc[records["patient_id"].notna(), "source"])
    if kept := sorted(
        name
        for name in confidential_sources(build, policy) & numbered
        if build.declared_sources[name].patient_id == "keep"
    ):
        raise CxrbuildError(
            "a public release would publish the patient numbers of sources that are not public",
            where=name_some(kept),
            expected='`patient_id = "hash"` in the reader, or `public = true` in the source',
            found='`patient_id = "keep"`',
            todo="Declare one of them and build again, or make a private release with --policy private",
        )  # fmt: skip


def without_file_names(
    build: DatasetDocument, policy: Policy, listed: Collection[str]
) -> dict[str, SourceState]:
    """Return what a release records of its sources: of files that it does not name, the ids of listed images.

    Parameters
    ----------
    build
        The ``build.json`` of the build.
    policy
        ``public`` or ``private``.
    listed
        The ids of the images that the release lists.
    """
    confidential = confidential_sources(build, policy)
    return {
        name: _unnamed(name, state, listed) if name in confidential else state
        for name, state in build.sources.items()
    }


def listed_corrections(build: DatasetDocument, policy: Policy, records: pd.DataFrame) -> Corrections:
    """Return what a release records of the corrections: those of the images that it lists.

    Where texts are omitted, these are the reason and the reader, and the old value, which can be wrong
    because it names a patient. A public release has the hash of a file only if it shows all of its lines.

    Parameters
    ----------
    build
        The ``build.json`` of the build.
    policy
        ``public`` or ``private``; a private release changes nothing.
    records
        The ledger of the release.
    """
    if policy == "private" or not build.corrections:
        return build.corrections
    confidential = confidential_sources(build, policy)
    listed = set(records["image_id"])
    named = set(records.loc[records["review"].eq("identifier").fillna(value=False), "image_id"])
    values = [
        _redacted(one, confidential) if one.source in confidential or one.image_id in named else one
        for one in build.corrections.values
        if one.image_id in listed
    ]
    whole = values == build.corrections.values
    files = [one if whole else one.model_copy(update={"sha256": None}) for one in build.corrections.files]
    return build.corrections.model_copy(update={"files": files, "values": values})


def _redacted(one: CorrectedValue, confidential: Collection[str]) -> CorrectedValue:
    new = one.new
    if one.source in confidential and one.column == "patient_age" and new and float(new) > MOST_AGE - 1:
        new = str(MOST_AGE)
    return one.model_copy(update={"old": None, "new": new, "reason": None, "reader": None, "redacted": True})


def _unnamed(source: str, state: SourceState, listed: Collection[str]) -> SourceState:
    def ids(paths: Iterable[str]) -> dict[str, str]:
        found = {image_id(source, path, named=False): path for path in paths}
        return {image: path for image, path in found.items() if image in listed}

    different = {image: state.different[path] for image, path in ids(state.different).items()}
    return state.model_copy(
        update={"missing": list(ids(state.missing)), "extra": list(ids(state.extra)), "different": different}
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
    kept = detail.removeprefix(DUPLICATE_OF)
    return kept != detail and (is_image_id(kept) or kept == _UNLISTED_IMAGE)


def _without_duplicates(records: pd.DataFrame, sources: Collection[str]) -> pd.DataFrame:
    """Omit the note of a link with a confidential image, and the id of one that is not listed."""
    if not sources:
        return records
    kept = records["exclusion_detail"].str.extract(rf"^{DUPLICATE_OF}(\S+?)(?:: |$)", expand=False)
    public = records.loc[~records["source"].isin(list(sources)), "image_id"]
    # Known by its name: in a release, the row of an image that is not listed is not there.
    of_sources = kept.str.startswith(tuple(f"{source}_" for source in sources)).fillna(value=False)
    of_sources &= ~kept.isin(set(public))
    listed = set(records.loc[~is_unlisted(records, sources), "image_id"])
    named = DUPLICATE_OF + kept.where(kept.isin(listed), _UNLISTED_IMAGE)
    return records.assign(
        exclusion_detail=records["exclusion_detail"].mask(of_sources, named),
        exclusion_note=records["exclusion_note"].mask(of_sources),
    )


def _without_paths(records: pd.DataFrame, sources: Collection[str], namespaces: Namespaces) -> pd.DataFrame:
    rows = records["source"].isin(list(sources))
    if not rows.any():
        return records
    of_sources = records.loc[rows, ["source", "source_path", "image_id"]]
    named, hidden = (of_sources["source"] + "/" + of_sources[name] for name in ("source_path", "image_id"))
    # A file's first row has the id that its path gives: it comes last here, and so is the one that counts.
    by_path = dict(zip(named[::-1], hidden[::-1], strict=True))
    unnamed = records.assign(
        group=[by_path.get(group, group) for group in records["group"]],
        source_path=records["source_path"].where(~rows, records["image_id"]),
    ).astype({"group": "str"})
    return unnamed.assign(group=_without_unlisted_groups(unnamed, sources, namespaces))


def _without_unlisted_groups(
    records: pd.DataFrame, sources: Collection[str], namespaces: Namespaces
) -> pd.Series:
    """Return the groups, each named after a patient or image that the release lists."""
    listed = records[~is_unlisted(records, sources)]
    names = patient_names(listed, namespaces)
    scopes = [f"{source}/" for source in sources]
    scopes += [f"{namespaces.get(source) or source}:" for source in sources]
    group = listed["group"]
    stray = group.str.startswith(tuple(scopes)).fillna(value=False) & ~group.isin(set(names))
    least = names[stray].groupby(group[stray]).min()
    return records["group"].where(~records["group"].isin(least.index), records["group"].map(least))
