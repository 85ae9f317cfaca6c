"""Metadata in DICOM headers; PatientID is replaced by a keyed hash before anything else sees it."""

from __future__ import annotations

import hashlib
import hmac
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cxrbuild.catalog.source import Column, DicomReader
from cxrbuild.errors import CxrbuildError
from cxrbuild.ingest.folders import path_words
from cxrbuild.progress import Progress

if TYPE_CHECKING:
    import pandas as pd

KEY_VARIABLE = "CXRBUILD_PATIENT_KEY"
# PS3.3: C.7.1.1 Patient, C.7.3.1 General Series, C.8.11.5 DX Positioning, C.7.6.1 General Image; nothing else
# of the header is looked at, so nothing else can leak.
KEYWORDS = (
    "PatientID",
    "PatientSex",
    "PatientAge",
    "Modality",
    "ViewPosition",
    "BodyPartExamined",
    "StudyDescription",
    "SeriesDescription",
    "BurnedInAnnotation",
)

# What the header says unless the source's declaration says otherwise.
DICOM_COLUMNS = {
    name: Column.model_validate({"from": keyword})
    for name, keyword in {
        "patient_id": "PatientID",
        "patient_sex": "PatientSex",
        "patient_age": "PatientAge",
        "modality": "Modality",
        "view_position": "ViewPosition",
    }.items()
}


def read_dicom(reader: DicomReader, root: Path, paths: Sequence[str], progress: Progress) -> pd.DataFrame:
    """Read upstream's words out of DICOM headers.

    Parameters
    ----------
    reader
        How the folder is declared.
    root
        The source's folder.
    paths
        The files' paths.
    progress
        Told how many headers are read.

    Returns
    -------
    pandas.DataFrame
        The keywords of ``KEYWORDS`` and the pattern's named groups as text, indexed by (place, path);
        the column ``exclusion`` where the header itself says no.

    Raises
    ------
    CxrbuildError
        PatientID is to be hashed and the environment holds no key.
    OSError
        A file cannot be read.
    """
    import pandas as pd

    key = _key() if reader.patient_id == "hash" else None
    rows = []
    with progress("reading DICOM headers", len(paths), "file") as bar:
        for path in paths:
            rows.append(_header(root / path, reader, key))
            bar.update()
    words = pd.DataFrame(rows, columns=[*KEYWORDS, "exclusion"], dtype="str")
    words.index = pd.MultiIndex.from_arrays([list(paths), list(paths)], names=["place", "path"])
    if reader.pattern is not None:
        words = words.join(path_words(reader.pattern, paths)).fillna("")
    return words


def key_mark(reader: object) -> str | None:
    """Return what changes with the secret that hashes PatientID, and does not tell it; else ``None``.

    Raises
    ------
    CxrbuildError
        PatientID is to be hashed and the environment holds no key.
    """
    if not isinstance(reader, DicomReader) or reader.patient_id != "hash":
        return None
    return hmac.new(_key(), b"the key of cxrbuild", hashlib.sha256).hexdigest()


def _header(path: Path, reader: DicomReader, key: bytes | None) -> dict[str, str]:
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    blank = dict.fromkeys((*KEYWORDS, "exclusion"), "")
    try:
        with warnings.catch_warnings():
            # pydicom warns of values that break the standard's form; what we use is checked by the map.
            warnings.simplefilter("ignore")
            dataset = dcmread(path, stop_before_pixels=True, specific_tags=list(KEYWORDS))
            words = blank | {name: str(dataset.get(name) or "").strip() for name in KEYWORDS}
    except (InvalidDicomError, OSError, ValueError, KeyError, AttributeError, NotImplementedError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the system's: it says nothing of the header
        return blank | {"exclusion": "unreadable_header"}
    if key is not None and words["PatientID"]:
        words["PatientID"] = hmac.new(key, words["PatientID"].encode(), hashlib.sha256).hexdigest()[:16]
    if reader.burned_in_annotation == "drop" and words["BurnedInAnnotation"].upper() == "YES":
        words["exclusion"] = "burned_in_annotation"
    return words


def _key() -> bytes:
    key = os.environ.get(KEY_VARIABLE, "")
    if len(key) < 16:
        raise CxrbuildError(
            "no key to hash the PatientID with",
            where=f"environment variable {KEY_VARIABLE}",
            expected="a secret of 16 characters or more, the same at every run, kept apart from the dataset",
            found="none" if not key else f"{len(key)} characters",
            todo="Set it to what `python -c 'import secrets; print(secrets.token_hex())'` prints, "
            'and keep it; or declare `patient_id = "keep"` in the reader',
        )
    return key.encode()
