"""Find the rows of a ledger that a name means, or list where the image is known, or which name is near."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from cxrbuild.artifact import Artifact, names
from cxrbuild.catalog import Recipe
from cxrbuild.errors import CxrbuildError, name_some, nearest
from cxrbuild.image_decision.elsewhere import (
    find_elsewhere,
    find_patient,
    find_removed,
    listed_ids,
    match_image,
)
from cxrbuild.image_decision.metadata import has_header_identifier
from cxrbuild.image_files import has_image_suffix
from cxrbuild.patient_key import hash_identifier, key_fingerprint, read_key
from cxrbuild.policy import unlisted_sources
from cxrbuild.records import is_image_id

if TYPE_CHECKING:
    import pandas as pd

# A name that shares less with the one that is asked for is another image's.
_LEAST_SHARE = 0.8
_SUFFIX = re.compile(r"\.[^.]*$")
_NOT_A_DIGIT = re.compile(r"[^0-9]+")


def find_rows(artifact: Artifact, name: str, recipe: Recipe | None, data: Path | None = None) -> pd.Series:
    """Return the mask of the rows that a name means: the first kind of name that has any.

    Parameters
    ----------
    artifact
        A build, a release or a plan.
    name
        An image id, the path or name of a file of a source or build, a patient, or an accession number or UID
        of a DICOM header.
    recipe
        The recipe with its sources; ``None``: those that are shipped.
    data
        The data folder whose DICOM headers are read for an identifier; ``None``: none are.

    Raises
    ------
    CxrbuildError
        No image has the name.
    """
    ledger = artifact.ledger
    ids = listed_ids(artifact, name, recipe)
    for mask in (*match_image(ledger, name), ledger["image_id"].isin(ids)):
        if mask.any():
            return mask
    patient = _is_patient(ledger, name)
    if patient.any():
        return patient
    if data is not None and not _is_path(name) and not is_image_id(name):
        identified = has_header_identifier(ledger, name.strip(), data)
        if identified.any():
            return identified
    lines = "".join(f"\n  {line}" for line in find_elsewhere(artifact, name, recipe))
    if removed := find_removed(artifact, name, ids):
        raise CxrbuildError(
            f"{removed.image_id} is not in {artifact.name} {artifact.version}: {removed.cause} "
            f"since version {removed.version}{lines}",
            where=artifact.folder / names.BUILD, found=name,
            todo=f"A public release has no more about it, as {removed.source} is not public: ask the build",
        )  # fmt: skip
    if lines:
        raise CxrbuildError(
            f"{artifact.name} {artifact.version} has no row for this image{lines}",
            where=artifact.folder / names.LEDGER, found=name,
            todo="Ask a version that has it, or compare both with `cxrbuild diff OLD NEW`",
        )  # fmt: skip
    if of_patient := find_patient(artifact, lambda rows: _is_patient(rows, name)):
        raise CxrbuildError(
            f"{artifact.name} {artifact.version} has no patient of this name\n"
            + "\n".join(f"  {line}" for line in of_patient),
            where=artifact.folder / names.LEDGER, found=name,
            todo="Ask for one of these images: the answer names its patient",
        )  # fmt: skip
    near = _nearest_image(ledger, name)
    raise CxrbuildError(
        "no image has this name", where=artifact.folder / names.LEDGER,
        expected="an image id, the path or name of a file of a source or build, a patient, or an accession "
        f"number or UID of a DICOM header{_describe_data(data)}", found=name,
        todo=(None if is_image_id(name) or _is_path(name) else _advise_on_patient(artifact))
        or (f"Write {near}, the nearest name" if near else _where_listed(artifact)),
    )  # fmt: skip


def _describe_data(data: Path | None) -> str:
    """Return which data folder has the headers that were read."""
    if data is None:
        return ""
    return f" in {data}" if data.is_dir() else f" in {data}, which is not there"


def _is_patient(ledger: pd.DataFrame, name: str) -> pd.Series:
    asked = name.strip().casefold()
    hashed = hash_identifier(read_key(), name.strip()) if key_fingerprint() else name
    number = ledger["patient_id"].astype("str")
    patient = (
        number.str.casefold().eq(asked)
        | number.eq(hashed)
        | ledger["patient_id_text"].astype("str").str.casefold().eq(asked)
        | ledger["group"].astype("str").str.casefold().eq(asked)
        | _is_identifier(ledger, (name.strip(), hashed))
    )
    return patient.fillna(value=False).astype("bool")


def _is_identifier(ledger: pd.DataFrame, names: Collection[str]) -> pd.Series:
    """Return the mask of rows without a file that have an identifier, such as an accession number."""
    path = ledger["source_path"].astype("str")
    return ledger["exclusion"].eq("row_without_file") & path.str.partition(" ")[2].isin(list(names))


def _nearest_image(ledger: pd.DataFrame, name: str) -> str | None:
    """Return the image id or file name that a name is most of, or is spelt almost like."""
    asked = PurePath(name.strip().casefold()).name
    if not _SUFFIX.sub("", asked):
        return None
    files = ledger["source_path"].dropna().str.replace(r"^.*/", "", regex=True)
    known: list[str] = [*ledger["image_id"], *files, *files.str.replace(_SUFFIX.pattern, "", regex=True)]
    if parts := [one for one in known if asked in one.casefold() and len(one) <= 2 * len(asked)]:
        return min(parts, key=len)
    # Another number is another image's, not a slip.
    numbers = _NOT_A_DIGIT.sub("", asked)
    known = [one for one in known if _NOT_A_DIGIT.sub("", one) == numbers]
    # Nor is a number alone: `P009` is a patient, and `009` the name of a file.
    known = [one for one in known if asked == numbers or one != numbers]
    return nearest(asked, known, share=_LEAST_SHARE)


def _where_listed(artifact: Artifact) -> str:
    unlisted = unlisted_sources(artifact.document)
    if not unlisted:
        return "`ledger.parquet` lists every upstream image"
    return (
        "Ask the build: a public release lists neither the excluded images nor the file names of "
        f"{name_some(sorted(unlisted))}, which are not public. It finds an image of them by its id, or by "
        "its whole path within the source"
    )


def _is_path(name: str) -> bool:
    return "/" in name or has_image_suffix(name)


def _advise_on_patient(artifact: Artifact) -> str | None:
    """Return what to do if a name is the number of a patient, whom the ledger has as a hash."""
    ledger, document = artifact.ledger, artifact.document
    known = ledger.loc[ledger["patient_id"].notna(), "source"].unique()
    declared = document.declared_sources.items()
    hashed = [name for name, one in declared if one.patient_id == "hash" and name in known]
    fingerprint = key_fingerprint()
    if not hashed or (fingerprint and document.patient_key in (None, fingerprint)):
        return None
    todo = "set CXRBUILD_PATIENT_KEY to the key that they were hashed with"
    return (
        f"If it is the number of a patient: those of {name_some(hashed)} are hashed, so {todo}. Without the "
        "key, name an image by its id or by its whole path"
    )
