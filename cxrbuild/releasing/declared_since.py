"""Compare a build with what its reviews, corrections and sources declare since it was made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cxrbuild.artifact import BuildDocument
from cxrbuild.artifact.build import SourceDescription
from cxrbuild.catalog import read_reviews, read_source
from cxrbuild.catalog.correction import CORRECTIONS
from cxrbuild.catalog.review import IDENTIFIER
from cxrbuild.curation import read_declaration_files
from cxrbuild.errors import CheckError, CxrbuildError, count_of, name_some
from cxrbuild.files import sha256_of
from cxrbuild.policy import Policy, withheld

if TYPE_CHECKING:
    import pandas as pd


def require_no_identifier_since(
    build: Path, document: BuildDocument, records: pd.DataFrame, policy: Policy
) -> list[str]:
    """Refuse to publish the pixels of an image on which a review found a name since the build was made.

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

    Returns
    -------
    list of str
        The review files that are not where they were, so that nothing is known of them.

    Raises
    ------
    CheckError
        A review marks an image as `identifier` whose pixels the release would include.
    """
    if policy == "private":
        return []
    files = read_declaration_files(build)
    reviews = document.recipe.reviews if files is None else files.reviews
    # The path of a file of which only the name in the recipe is known has no meaning here.
    known = [name for name in reviews if not name.endswith(".csv") or (files and Path(name).is_file())]
    marks = {(one.source, one.path): one.mark for name in known for one in read_reviews(name, Path())}
    marked = {image for image, mark in marks.items() if mark == IDENTIFIER}
    # Few rows are copied: there may be a million.
    named = records["exclusion"].isna() & records["source_path"].isin([path for _, path in marked])
    rows = records.loc[named, ["source", "source_path", "license", "review"]]
    rows = rows[withheld(rows, policy).isna()]
    images = zip(rows["source"], rows["source_path"], strict=True)
    if found := sorted({" ".join(image) for image in images if image in marked}):
        raise CheckError(
            f"{count_of(len(found), 'image')} found to show a name since the build was made", where=build,
            expected="a build that was made with the reviews as they are now",
            found=f"marked `identifier`: {name_some(found)}",
            todo="Run `cxrbuild curate` again with its recipe, and release what it builds",
        )  # fmt: skip
    return sorted(set(reviews) - set(known))


def require_not_corrected_since(build: Path, document: BuildDocument) -> list[str]:
    """Refuse a build of which a file of corrections changed since it was made.

    Parameters
    ----------
    build
        The build.
    document
        Its ``build.json``.

    Returns
    -------
    list of str
        The files of corrections that are not where they were, so that nothing is known of them.

    Raises
    ------
    CheckError
        A file has other bytes than the build records.
    """
    files = read_declaration_files(build)
    places = {Path(name).name: name for name in (files.corrections if files else ())}
    unknown, changed = [], []
    for recorded in document.corrections.files:
        place = places.get(recorded.name)
        if place is None or (place.endswith(".csv") and not Path(place).is_file()):
            unknown.append(recorded.name)
        elif sha256_of(CORRECTIONS.find(place, Path())) != recorded.sha256:
            changed.append(place)
    if changed:
        raise CheckError(
            f"{count_of(len(changed), 'file')} of corrections changed since the build was made", where=build,
            expected="a build that was made with the corrections as they are now", found=name_some(changed),
            todo="Run `cxrbuild curate` again with its recipe, and release what it builds",
        )  # fmt: skip
    return unknown


def read_descriptions(build: Path, document: BuildDocument) -> dict[str, SourceDescription]:
    """Return what the declarations of a build's own sources say of them now, where that differs.

    Parameters
    ----------
    build
        The build.
    document
        Its ``build.json``.

    Returns
    -------
    dict
        By source. It lacks sources that say the same, and those whose declaration cannot be read.
    """
    files = read_declaration_files(build)
    changed = {}
    for name, place in (files.sources if files else {}).items():
        if place.endswith(".toml") and Path(place).is_file():
            try:
                now = SourceDescription.of(read_source(place))
            except CxrbuildError:
                continue
            if now != document.declared_sources.get(name):
                changed[name] = now
    return changed


def describe_changed(changed: Mapping[str, SourceDescription], document: BuildDocument) -> str:
    """Return a note on sources whose declarations say otherwise than the build; empty without any.

    Parameters
    ----------
    changed
        See `read_descriptions`.
    document
        The build's ``build.json``.
    """
    found = []
    for name, now in changed.items():
        before = document.declared_sources.get(name)
        keys = [
            key for key in SourceDescription.model_fields if getattr(now, key) != getattr(before, key, None)
        ]
        found.append(f"{name} ({', '.join(keys)})")
    if not found:
        return ""
    return (
        f"The declarations of these sources changed since the build was made: {name_some(found)}. The "
        "release has their former content. To release the present content, run `cxrbuild curate`, then "
        "`release`."
    )


def describe_unknown(unknown: Sequence[str]) -> str:
    """Return a note on declarations that cannot be read; empty where all can.

    Parameters
    ----------
    unknown
        Names of sources, review files, and files of corrections.
    """
    if not unknown:
        return ""
    return (
        "Whether an image was withdrawn, found to show a name or corrected since the build was made is not "
        f"known of {name_some(unknown)}: the build does not record where their files are, or they are no "
        "longer there. Run `cxrbuild curate` again before you publish the release: it reads them, and "
        "records where they are."
    )
