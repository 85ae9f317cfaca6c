"""Metadata in DICOM headers; PatientID is replaced by a keyed hash before anything else reads it."""

from __future__ import annotations

import hashlib
import hmac
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field, field_validator

from cxrbuild.catalog.column import Column, check_pattern
from cxrbuild.catalog.reader import Inventory, Reader
from cxrbuild.errors import CxrbuildError
from cxrbuild.ingest.folders import read_groups
from cxrbuild.progress import Progress

if TYPE_CHECKING:
    import pandas as pd

KEY_VARIABLE = "CXRBUILD_PATIENT_KEY"
# PS3.3: C.7.1.1 Patient, C.7.3.1 General Series, C.8.11.5 DX Positioning, C.7.6.1 General Image; nothing else
# of the header is read, so nothing else can leak.
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


class DicomReader(Reader):
    """Metadata in the headers of DICOM files."""

    kind: Literal["dicom"]
    images: list[str] = Field(["**"], description="glob patterns of the files to read")
    pattern: str | None = Field(
        None, description="regular expression on the path; its named groups are columns next to the keywords"
    )
    patient_id: Literal["hash", "keep"] = Field(
        "hash", description="`hash` replaces PatientID by a hash keyed with the environment's secret"
    )
    burned_in_annotation: Literal["drop", "keep"] = Field(
        "drop", description="what to do with an image whose BurnedInAnnotation is YES"
    )

    default_columns = DICOM_COLUMNS
    reads_images = True
    names_identify = True

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        return None if pattern is None else check_pattern(pattern)

    def key_fingerprint(self) -> str | None:
        """Return a value that changes with the secret that hashes PatientID, and does not reveal it."""
        if self.patient_id != "hash":
            return None
        return hmac.new(_key(), b"the key of cxrbuild", hashlib.sha256).hexdigest()

    def read(self, inventory: Inventory, images: Sequence[str], progress: Progress) -> pd.DataFrame:
        """Return the elements of ``KEYWORDS`` and the pattern's named groups."""
        import pandas as pd

        key = _key() if self.patient_id == "hash" else None
        paths = [path for path in images if path in inventory.available]
        rows = []
        with progress("reading DICOM headers", len(paths), "file") as bar:
            for path in paths:
                rows.append(_header(inventory.root / path, self, key))
                bar.update()
        values = pd.DataFrame(rows, columns=[*KEYWORDS, "exclusion"], dtype="str")
        values.index = pd.MultiIndex.from_arrays([paths, paths], names=["place", "path"])
        if self.pattern is not None:
            values = values.join(read_groups(self.pattern, paths)).fillna("")
        return values


def _header(path: Path, reader: DicomReader, key: bytes | None) -> dict[str, str]:
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    blank = dict.fromkeys((*KEYWORDS, "exclusion"), "")
    try:
        with warnings.catch_warnings():
            # pydicom warns of values that break the standard's form; the map checks those that we use.
            warnings.simplefilter("ignore")
            dataset = dcmread(path, stop_before_pixels=True, specific_tags=list(KEYWORDS))
            values = blank | {name: str(dataset.get(name) or "").strip() for name in KEYWORDS}
    except (InvalidDicomError, OSError, ValueError, KeyError, AttributeError, NotImplementedError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the system's: it says nothing about the header
        return blank | {"exclusion": "unreadable_header"}
    if key is not None and values["PatientID"]:
        values["PatientID"] = hmac.new(key, values["PatientID"].encode(), hashlib.sha256).hexdigest()[:16]
    if reader.burned_in_annotation == "drop" and values["BurnedInAnnotation"].upper() == "YES":
        values["exclusion"] = "burned_in_annotation"
    return values


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
