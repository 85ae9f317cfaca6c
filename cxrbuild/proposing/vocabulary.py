"""The names and words by which datasets of chest radiographs usually call what our columns hold.

Taken from the metadata of Cohen, Figure 1, ActualMed, ChestX-ray14, CheXpert, MIMIC-CXR-JPG, PadChest and
VinDr-CXR, and from the DICOM keywords; next to English, the words of German, French and Spanish exports. All
of them are without accents, as `plain` and `spaced` compare them.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

# Our column, with names that columns of metadata have for it: letters and digits in lower case. The first
# names are the better ones.
NAMES: dict[str, tuple[str, ...]] = {
    "patient_id": (
        "patientid", "subjectid", "patient", "subject", "patientnumber", "patientno", "patientkey",
        "personid", "person", "mrn", "caseid", "case", "pid", "participantid", "patientennummer",
        "patientenid", "patientennr", "patnr", "patid", "patientnr", "piz", "fallnummer", "fallnr", "fallid",
        "idpatient", "npatient", "nopatient", "npaciente", "numeropatient",
        "paciente", "idpaciente", "pacienteid", "numeropaciente",
    ),
    "finding": (
        "finding", "findings", "findinglabels", "findinglabel", "labels", "label", "classname", "class",
        "diagnosis", "diagnoses", "disease", "diseases", "pathology", "pathologies", "condition", "target",
        "category", "result", "reading", "impression", "dx", "interpretation", "conclusion", "befund",
        "befunde", "diagnose", "diagnosen", "klasse", "klassifikation",
        "erkrankung", "kategorie", "beurteilung", "ergebnis", "diagnostic", "resultat", "maladie", "constat",
        "pathologie", "categorie", "classe", "hallazgo", "hallazgos", "diagnostico", "diagnosticos",
        "patologia", "enfermedad", "categoria", "clase", "etiqueta", "resultado",
    ),
    "modality": (
        "modality", "modalitydicom", "imagingmodality", "modalitat", "modalitaet", "modalite", "modalidad",
    ),
    "view_position": (
        "viewposition", "view", "projection", "appa", "viewpositiondicom", "frontallateral", "position",
        "orientation", "projektion", "aufnahmerichtung", "strahlengang", "ansicht", "incidence", "vue",
        "proyeccion", "vista", "posicion",
    ),
    "patient_sex": (
        "patientsex", "sex", "patientsexdicom", "patientgender", "gender", "geschlecht",
        "patientengeschlecht", "sexe", "genre", "sexo", "genero",
    ),
    "patient_age": (
        "patientage", "age", "ageyears", "ageinyears", "patientagedicom", "alter", "patientenalter",
        "alterjahre", "alterinjahren", "agepatient", "ageans", "agedupatient", "edad", "edadanos",
        "edadpaciente", "edaddelpaciente",
    ),
    "license": ("license", "licence", "rights", "lizenz", "licencia"),
    "attribution": ("doi", "attribution", "url", "sourceurl", "citation"),
    "upstream_split": ("split", "set", "subset", "partition", "fold", "usage", "datasetsplit", "aufteilung",
                       "teilmenge", "repartition", "particion", "conjunto"),
}  # fmt: skip

# A column is of findings too if its name ends in one of these: `Radiologist reading`, `Final diagnosis`.
FINDING_ENDS = {
    "reading", "finding", "findings", "diagnosis", "diagnoses", "impression", "dx", "interpretation",
    "report",
    "befund", "diagnose", "diagnostic", "diagnostico", "hallazgo", "hallazgos",
}  # fmt: skip

# Words that say that a value is not known.
BLANK = (
    "",
    "?",
    "-",
    "--",
    "n/a",
    "na",
    "nan",
    "none",
    "null",
    "unknown",
    "unk",
    "todo",
    "not stated",
    "[]",
    "unbekannt",
    "keine angabe",
    "k.a.",
    "k. a.",
    "nicht bekannt",
    "inconnu",
    "inconnue",
    "non precise",
    "desconocido",
    "desconocida",
    "no consta",
    "sin datos",
)

VIEWS = {
    "pa": "PA", "ap": "AP", "ap supine": "AP", "ap erect": "AP", "ap horizontal": "AP", "ap portable": "AP",
    "pa erect": "PA", "l": "LATERAL", "lat": "LATERAL", "lateral": "LATERAL", "xtable lateral": "LATERAL",
    "ll": "LL", "rl": "RL", "left lateral": "LL", "right lateral": "RL", "posteroanterior": "PA",
    "postero anterior": "PA", "anteroposterior": "AP", "antero posterior": "AP",
    "p a": "PA", "a p": "AP", "pa stehend": "PA", "p a stehend": "PA", "ap liegend": "AP",
    "a p liegend": "AP",
    "dorsoventral": "PA", "ventrodorsal": "AP", "d v": "PA", "v d": "AP", "seitlich": "LATERAL",
    "seitenaufnahme": "LATERAL", "profil": "LATERAL", "de profil": "LATERAL", "lateralis": "LATERAL",
    "posteroanterieur": "PA", "antero posterieur": "AP", "anteroposterieur": "AP", "postero anterieur": "PA",
    "posteroanterior de pie": "PA",
}  # fmt: skip
# A view that is neither PA nor AP alone, so that ours stays unknown.
FRONTAL = ("frontal", "frontale", "de face", "face")
SEXES = {
    "m": "M", "male": "M", "man": "M", "f": "F", "female": "F", "woman": "F", "o": "O", "other": "O",
    "mannlich": "M", "maennlich": "M", "mann": "M", "w": "F", "weiblich": "F", "frau": "F", "d": "O",
    "divers": "O", "homme": "M", "masculin": "M", "h": "M", "femme": "F", "feminin": "F", "hombre": "M",
    "masculino": "M", "varon": "M", "v": "M", "mujer": "F", "femenino": "F",
}  # fmt: skip
MODALITIES = {
    "x ray": "XR", "xray": "XR", "xr": "XR", "cxr": "XR", "radiograph": "XR", "cr": "CR", "dx": "DX",
    "dr": "DX", "ct": "CT", "mr": "MR", "mri": "MR", "us": "US",
    "rontgen": "XR", "roentgen": "XR", "rontgenbild": "XR", "rx": "XR", "rg": "XR", "radiographie": "XR",
    "radiografia": "XR", "radiologie conventionnelle": "XR", "mrt": "MR", "irm": "MR", "rm": "MR",
    "tdm": "CT", "scanner": "CT", "tac": "CT", "tc": "CT",
}  # fmt: skip
SPLITS = {
    "train": "train", "training": "train", "val": "validation", "valid": "validation",
    "validation": "validation", "validate": "validation", "dev": "validation", "test": "test",
    "testing": "test", "trainingsdaten": "train", "validierung": "validation", "testdaten": "test",
    "apprentissage": "train", "entrainement": "train", "entrenamiento": "train", "validacion": "validation",
    "prueba": "test",
}  # fmt: skip
# Findings that say that there is none.
NORMAL = (
    "no finding",
    "no findings",
    "normal",
    "healthy",
    "control",
    "ohne befund",
    "kein befund",
    "o b",
    "ob",
    "unauffallig",
    "unauffaellig",
    "normalbefund",
    "gesund",
    "kontrolle",
    "sain",
    "sans anomalie",
    "normale",
    "sano",
    "sin hallazgos",
    "sin hallazgo",
)
# The cells of columns that each say whether one finding is there. CheXpert has 1.0, 0.0, -1.0 and blank.
PRESENT = ("1", "1.0", "true")
ABSENT = ("0", "0.0", "false", "", "-1", "-1.0", "nan")
# A folder or part of a name that is a patient's: `patient00001`, `p10000032`, `sub-01`, `person1_virus`.
PATIENT_PART = r"(?:patient|subject|person|case|sub|pat|p)[-_]?\d+"


def plain(name: str) -> str:
    """Return the letters and digits of a column's name, in lower case and without accents.

    Examples
    --------
    >>> plain("Patient ID"), plain("PatientSex_DICOM"), plain("AP/PA"), plain("Modalität")
    ('patientid', 'patientsexdicom', 'appa', 'modalitat')
    """
    return re.sub(r"[\W_]+", "", _without_accents(name).lower())


def spaced(word: str) -> str:
    """Return a word in lower case without accents, with one space for each run of other signs.

    Examples
    --------
    >>> spaced("X-ray"), spaced("AP_horizontal"), spaced("?"), spaced("Männlich")
    ('x ray', 'ap horizontal', '?', 'mannlich')
    """
    return re.sub(r"[\W_]+", " ", _without_accents(word)).strip().lower() or word.strip()


def _without_accents(text: str) -> str:
    parts = unicodedata.normalize("NFKD", text)
    return "".join(sign for sign in parts if not unicodedata.combining(sign))


def known_values(values: pd.Series) -> pd.Series:
    """Return the values that are not blank."""
    return values[~values.map(is_blank)]


def is_blank(word: str) -> bool:
    """Return whether a word says that the value is not known."""
    return _without_accents(word).strip().lower() in BLANK


def name_rank(column: str, name: str) -> int | None:
    """Return how well a name fits one of our columns, 0 the best, ``None`` where it does not."""
    names = NAMES[column]
    if plain(name) in names:
        return names.index(plain(name))
    return len(names) if column == "finding" and spaced(name).rpartition(" ")[2] in FINDING_ENDS else None
