"""Refuse a public release in which the patient's number can be read or guessed."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cxrbuild.artifact import BuildDocument
from cxrbuild.convert.jpeg import has_metadata
from cxrbuild.errors import CxrbuildError, count_of, name_some
from cxrbuild.patient_key import hash_identifier, read_key, require_same_key
from cxrbuild.policy import (
    Policy,
    confidential_sources,
    is_unlisted,
    listed_corrections,
    without_unlisted,
)

if TYPE_CHECKING:
    import pandas as pd

# Columns with upstream's text. The path is not released, but the image id is an unkeyed hash of it: a list of
# all possible numbers and the way in which files are named are enough to find the number of an image.
_COLUMNS = (
    "source_path",
    "finding",
    "modality_text",
    "view_position_text",
    "patient_age_text",
    "license_text",
    "attribution",
    "upstream_split",
    "exclusion_detail",
    "exclusion_note",
)
# Runs of letters and digits, of digits alone, and with the signs that numbers are written with.
_TOKENS = (re.compile(r"[^\W_]+"), re.compile(r"[0-9]+"), re.compile(r"[\w-]+"), re.compile(r"[^/]+"))
_NAME_IN_REVIEW = (
    "Exclude images by a review file and a rule of kind `reviewed`: these files are not part of a release"
)
_NAME_IN_CORRECTION = "Write the correction without it, and build the dataset again"
# What a path or id is made of, without the signs that can be around it in a sentence.
_WORDS = re.compile(r"""[^\s/\\,;:|=()<>"'\[\]{}]+""")
# A path has at most so many of them.
_MOST_WORDS = 16
# Shorter numbers occur in names by chance, and identify nobody outside of the source.
_SHORTEST = 4
# A text of the recipe is compared with the number of every patient, and a year or a page is no patient.
_SHORTEST_IN_RECIPE = 6


def require_no_metadata(build: Path, document: BuildDocument, embedded: pd.DataFrame, policy: Policy) -> None:
    """Refuse a public release of JPEGs that were copied with their metadata from a confidential source.

    ``curate`` encodes such images again. A build of an earlier version may hold copies.

    Parameters
    ----------
    build
        The build.
    document
        Its ``build.json``.
    embedded
        The rows whose pixels the release includes.
    policy
        ``public`` or ``private``; a private release is not checked.

    Raises
    ------
    CxrbuildError
        A JPEG holds EXIF, XMP, a comment or bytes after its end.
    """
    if policy == "private":
        return
    confidential = [name for name, one in document.declared_sources.items() if not one.public]
    rows = embedded[embedded["source"].isin(confidential) & (embedded["conversion"] == "copied")]
    found = [
        image
        for image, path, pixels in zip(
            rows["image_id"], rows["jpeg_path"], rows["width"] * rows["height"], strict=True
        )
        if has_metadata((build / path).read_bytes(), int(pixels))
    ]
    if found:
        raise CxrbuildError(
            "a public release would have metadata of patients in files of a source that is not public",
            where=build, expected="JPEGs without EXIF, XMP and comments",
            found=f"{count_of(len(found), 'image')} with them: {name_some(found, 3)}",
            todo="Build the dataset again in a new folder: `curate` encodes these images",
        )  # fmt: skip


def require_no_numbers(build: Path, document: BuildDocument, records: pd.DataFrame, policy: Policy) -> None:
    """Refuse a public release where a name or text of a confidential source holds the number of its patient.

    Numbers are known by their keyed hash alone, so every part of a name is hashed and compared. A corrected
    image has the number that its source gives, and the one that the correction gives.

    Parameters
    ----------
    build
        The build.
    document
        Its ``build.json``.
    records
        Its ledger.
    policy
        ``public`` or ``private``; a private release is not checked.

    Raises
    ------
    CxrbuildError
        A text holds its patient's number, or the environment's key is not that of the build.
    """
    if policy == "private":
        return
    declared = document.declared_sources
    hashed = [name for name, one in declared.items() if not one.public and one.patient_id == "hash"]
    listed = without_unlisted(records, confidential_sources(document, policy))
    rows = _with_corrected_numbers(listed[listed["source"].isin(hashed)], document)
    rows = rows[rows["patient_id"].notna()]
    if rows.empty:
        return
    require_same_key({str(build): document.patient_key})
    key = read_key()
    for column in _COLUMNS:
        texts = rows.loc[rows[column].notna(), [column, "patient_id", "image_id"]]
        texts = texts.drop_duplicates([column, "patient_id"])
        found = dict.fromkeys(
            image
            for text, patient, image in texts.itertuples(index=False)
            if any(hash_identifier(key, token) == patient for token in set(_tokens(text)))
        )
        if found:
            images = count_of(len(found), "image")
            raise CxrbuildError(
                "a public release would give patient numbers away", where=build,
                expected=f"no number of a patient in `{column}` of a source that is not public",
                found=f"{images} with the patient's number there: {name_some(found, 3)}",
                todo="Name the files otherwise and fetch them again: an image id is made from its path"
                if column == "source_path"
                else "Take another column for it, or remove the number where it comes from",
            )  # fmt: skip


def require_no_identities_in_recipe(
    build: Path, document: BuildDocument, records: pd.DataFrame, policy: Policy
) -> None:
    """Refuse a public release whose declarations name a file, patient or image that it must not name.

    Card, report, Croissant and ``build.json`` repeat these texts.

    Parameters
    ----------
    build
        The build.
    document
        Its ``build.json``.
    records
        Its ledger, with the paths.
    policy
        ``public`` or ``private``; a private release is not checked.

    Raises
    ------
    CxrbuildError
        A text is the path of an image or the id of one that the release does not list, that of a correction
        holds one or the name of a file, or a text holds the number of a patient.
    """
    if policy == "private":
        return
    declared = document.declared_sources
    texts = list(_texts(document.recipe.model_dump(mode="json"), "recipe"))
    for name, one in declared.items():
        texts += _texts(
            {"title": one.title, "description": one.description, "citation": one.citation}, f"source {name}"
        )
    confidential = confidential_sources(document, policy)
    corrected: list[tuple[str, str]] = []
    for correction in listed_corrections(document, policy, without_unlisted(records, confidential)).values:
        corrected += _texts(
            correction.model_dump(include={"old", "new", "reason", "reader"}),
            f"{correction.file}, line {correction.line}",
        )
    paths = set(records.loc[records["source"].isin(list(confidential)), "source_path"])
    found = [place for place, text in texts if text in paths]
    in_corrections = _naming(corrected, paths | {path.rpartition("/")[2] for path in paths})
    if found or in_corrections:
        raise CxrbuildError(
            "a public release would give file names away", where=build,
            expected="no path of an image of a source that is not public in recipe, sources and corrections",
            found=f"{count_of(len(found) + len(in_corrections), 'path')}: "
            f"{name_some(found + in_corrections, 3)}",
            todo=_NAME_IN_REVIEW if found else _NAME_IN_CORRECTION,
        )  # fmt: skip
    unlisted = set(records.loc[is_unlisted(records, confidential), "image_id"])
    found = [place for place, text in texts if text in unlisted]
    in_corrections = _naming(corrected, unlisted)
    if found or in_corrections:
        raise CxrbuildError(
            "a public release would name images that it does not include", where=build,
            expected="no id of an excluded image of a source that is not public in recipe, sources and "
            "corrections",
            found=f"{count_of(len(found) + len(in_corrections), 'id')}: "
            f"{name_some(found + in_corrections, 3)}",
            todo=_NAME_IN_REVIEW if found else _NAME_IN_CORRECTION,
        )  # fmt: skip
    hashed = [name for name in confidential if declared[name].patient_id == "hash"]
    of_hashed = _with_corrected_numbers(records[records["source"].isin(hashed)], document)
    patients = set(of_hashed["patient_id"].dropna())
    if not patients:
        return
    key = read_key()
    found = [
        place
        for place, text in texts + corrected
        if any(
            len(token) >= _SHORTEST_IN_RECIPE and hash_identifier(key, token) in patients
            for token in set(_tokens(text))
        )
    ]
    if found:
        raise CxrbuildError(
            "a public release would give patient numbers away", where=build,
            expected="no number of a patient in the texts of the recipe and the sources",
            found=f"{count_of(len(found), 'text')} with one: {name_some(found, 3)}",
            todo="Remove the number there, and build the dataset again",
        )  # fmt: skip


def _naming(texts: Sequence[tuple[str, str]], names: Collection[str]) -> list[str]:
    """Return the places of the texts that hold one of some names, in upper or lower case."""
    if not texts:
        return []
    known = {name.casefold() for name in names if len(name) >= _SHORTEST}
    found = []
    for place, text in texts:
        lower = text.casefold()
        words = [(word.start(), word.start() + len(word[0].rstrip(".!?"))) for word in _WORDS.finditer(lower)]
        if text in names or any(
            lower[start:end] in known
            for i, (start, _) in enumerate(words)
            for _, end in words[i : i + _MOST_WORDS]
        ):
            found.append(place)
    return found


def _with_corrected_numbers(records: pd.DataFrame, document: BuildDocument) -> pd.DataFrame:
    """Return rows, and each corrected one again with the old and the new number of its patient."""
    import pandas as pd

    numbers = [
        (one.image_id, number)
        for one in document.corrections.values
        if one.column == "patient_id"
        for number in (one.old, one.new)
    ]
    if not numbers:
        return records
    of_image = pd.DataFrame(numbers, columns=["image_id", "patient_id"], dtype="str")
    again = records.drop(columns="patient_id").merge(of_image, on="image_id")
    return pd.concat([records, again[records.columns]], ignore_index=True)


def _texts(value: object, place: str) -> Iterator[tuple[str, str]]:
    """Yield every text of a declaration with its place, such as ``recipe.rules.child.reason``."""
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, dict):
        for key, one in value.items():
            yield from _texts(one, f"{place}.{key}")
    elif isinstance(value, list):
        for i, one in enumerate(value):
            name = one.get("name", i) if isinstance(one, dict) else i
            yield from _texts(one, f"{place}.{name}")


def _tokens(text: str) -> Iterator[str]:
    """Yield the parts of a text that can be a number, also without leading zeros and a suffix."""
    for pattern in _TOKENS:
        for token in pattern.findall(text):
            for part in (token, token.rpartition(".")[0], token.lstrip("0")):
                if len(part) >= _SHORTEST:
                    yield part
