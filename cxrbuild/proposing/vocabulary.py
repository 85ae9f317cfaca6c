"""The names and words by which datasets of chest radiographs usually call what our columns hold.

Taken from the metadata of Cohen, Figure 1, ActualMed, ChestX-ray14, CheXpert, MIMIC-CXR-JPG, PadChest and
VinDr-CXR, and from the DICOM keywords.
"""

from __future__ import annotations

import re
import unicodedata

# Our column, with names that columns of metadata have for it: letters and digits in lower case. The first
# names are the better ones.
NAMES: dict[str, tuple[str, ...]] = {
    "patient_id": (
        "patientid", "subjectid", "patient", "subject", "patientnumber", "patientno", "patientkey",
        "personid", "person", "mrn", "caseid", "case", "pid", "participantid",
    ),
    "finding": (
        "finding", "findings", "findinglabels", "findinglabel", "labels", "label", "classname", "class",
        "diagnosis", "diagnoses", "disease", "diseases", "pathology", "pathologies", "condition", "target",
        "category", "result",
    ),
    "modality": ("modality", "modalitydicom", "imagingmodality"),
    "view_position": (
        "viewposition", "view", "projection", "appa", "viewpositiondicom", "frontallateral", "position",
        "orientation",
    ),
    "patient_sex": ("patientsex", "sex", "patientsexdicom", "patientgender", "gender"),
    "patient_age": ("patientage", "age", "ageyears", "ageinyears", "patientagedicom"),
    "license": ("license", "licence", "rights"),
    "attribution": ("doi", "attribution", "url", "sourceurl", "citation"),
    "upstream_split": ("split", "set", "subset", "partition", "fold", "usage", "datasetsplit"),
}  # fmt: skip

# Words that say that a value is not known.
BLANK = ("", "?", "-", "--", "n/a", "na", "nan", "none", "null", "unknown", "unk", "todo", "not stated", "[]")

VIEWS = {
    "pa": "PA", "ap": "AP", "ap supine": "AP", "ap erect": "AP", "ap horizontal": "AP", "ap portable": "AP",
    "pa erect": "PA", "l": "LATERAL", "lat": "LATERAL", "lateral": "LATERAL", "xtable lateral": "LATERAL",
    "ll": "LL", "rl": "RL", "left lateral": "LL", "right lateral": "RL", "posteroanterior": "PA",
    "postero anterior": "PA", "anteroposterior": "AP", "antero posterior": "AP",
}  # fmt: skip
# A view that is neither PA nor AP alone, so that ours stays unknown.
FRONTAL = ("frontal",)
SEXES = {
    "m": "M", "male": "M", "man": "M", "f": "F", "female": "F", "woman": "F", "o": "O", "other": "O",
}  # fmt: skip
MODALITIES = {
    "x ray": "XR", "xray": "XR", "xr": "XR", "cxr": "XR", "radiograph": "XR", "cr": "CR", "dx": "DX",
    "dr": "DX", "ct": "CT", "mr": "MR", "mri": "MR", "us": "US",
}  # fmt: skip
SPLITS = {
    "train": "train", "training": "train", "val": "validation", "valid": "validation",
    "validation": "validation", "validate": "validation", "dev": "validation", "test": "test",
    "testing": "test",
}  # fmt: skip
# Findings that say that there is none.
NORMAL = ("no finding", "no findings", "normal", "healthy", "control")
# The cells of columns that each say whether one finding is there. CheXpert has 1.0, 0.0, -1.0 and blank.
PRESENT = ("1", "1.0", "true")
ABSENT = ("0", "0.0", "false", "", "-1", "-1.0", "nan")
# A folder or part of a name that is a patient's: `patient00001`, `p10000032`, `sub-01`, `person1_virus`.
PATIENT_PART = r"(?:patient|subject|person|case|sub|pat|p)[-_]?\d+"


def plain(name: str) -> str:
    """Return the letters and digits of a column's name, in lower case.

    Examples
    --------
    >>> plain("Patient ID"), plain("PatientSex_DICOM"), plain("AP/PA")
    ('patientid', 'patientsexdicom', 'appa')
    """
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", name).lower())


def spaced(word: str) -> str:
    """Return a word in lower case, with one space for each run of other signs than letters and digits.

    Examples
    --------
    >>> spaced("X-ray"), spaced("AP_horizontal"), spaced("?")
    ('x ray', 'ap horizontal', '?')
    """
    return re.sub(r"[\W_]+", " ", word).strip().lower() or word.strip()


def is_blank(word: str) -> bool:
    """Return whether a word says that the value is not known."""
    return word.strip().lower() in BLANK


def name_rank(column: str, name: str) -> int | None:
    """Return how well a name fits one of our columns, 0 the best, ``None`` where it does not."""
    names = NAMES[column]
    return names.index(plain(name)) if plain(name) in names else None
