"""Folders laid out as published datasets of chest radiographs are, with synthetic images and patients.

The names of files and columns are those of each dataset's documentation:

- ChestX-ray14: ``Data_Entry_2017_v2020.csv`` next to ``images_001`` ... of the NIH's distribution;
- CheXpert: ``train.csv`` in ``CheXpert-v1.0-small``, whose paths begin with that folder;
- PadChest: ``PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv`` next to numbered folders;
- VinDr-CXR 1.0.0 (PhysioNet): ``annotations/image_labels_train.csv``, three rows an image, DICOM files;
- MIMIC-CXR-JPG 2.0.0 (PhysioNet): ``mimic-cxr-2.0.0-metadata.csv``, images in ``files/p10/...``.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from dicom_files import dicom
from PIL import Image

CHEXPERT = (
    "No Finding", "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion", "Edema",
    "Consolidation", "Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion", "Pleural Other",
    "Fracture", "Support Devices",
)  # fmt: skip
VINDR = ("Aortic enlargement", "Cardiomegaly", "Pleural effusion", "Nodule/Mass", "No finding")


def write_image(path: Path, number: int) -> None:
    """Write a small image; each number gives another one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(number).integers(0, 256, (24, 24), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]], **form: str) -> None:
    """Write a CSV file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    encoding, delimiter = form.get("encoding", "utf-8"), form.get("delimiter", ",")
    with path.open("w", encoding=encoding, newline="") as stream:
        csv.writer(stream, delimiter=delimiter, lineterminator="\n").writerows([header, *rows])


def chestxray14(root: Path) -> Path:
    """Lay out ChestX-ray14: commas in the header's brackets, images in several folders, an odd age."""
    lines = [
        "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
        "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],"
    ]
    findings = ("No Finding", "Cardiomegaly", "Effusion", "Effusion|Infiltration", "Infiltration")
    for number in range(30):
        patient, follow = divmod(number, 3)
        name = f"{patient + 1:08d}_{follow:03d}.png"
        write_image(root / f"images_{1 + number // 12:03d}" / "images" / name, number)
        age = 148 if number == 7 else 40 + patient
        lines.append(
            f"{name},{findings[number % 5]},{follow},{patient + 1},{age},{'MF'[patient % 2]},"
            f"{('PA', 'AP')[number % 2]},2682,2749,0.143,0.143,"
        )
    (root / "Data_Entry_2017_v2020.csv").write_text("\n".join(lines) + "\n")
    return root


def chexpert(root: Path) -> Path:
    """Lay out CheXpert: paths that begin with the folder, and 1.0, 0.0, -1.0 or blank for each finding."""
    root = root / "CheXpert-v1.0-small"
    rows = []
    for number in range(24):
        patient, view = number // 2 + 1, number % 2
        name = f"train/patient{patient:05d}/study1/view{view + 1}_{('frontal', 'lateral')[view]}.jpg"
        write_image(root / name, 100 + number)
        marks = dict.fromkeys(CHEXPERT, "")
        marks[("No Finding", "Edema", "Fracture")[patient % 3]] = "1.0"
        marks["Pneumonia"] = ("0.0", "-1.0")[view]
        sex = ("Female", "Male")[patient % 2]
        side = ["Frontal", ("AP", "PA")[patient % 2]] if view == 0 else ["Lateral", ""]
        rows.append([f"CheXpert-v1.0-small/{name}", sex, 50 + patient, *side, *marks.values()])
    write_table(root / "train.csv", ["Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *CHEXPERT], rows)
    return root


def padchest(root: Path) -> Path:
    """Lay out PadChest: folders by number, labels as Python prints a list, a year of birth and no age."""
    header = [
        "", "ImageID", "ImageDir", "StudyDate_DICOM", "StudyID", "PatientID", "PatientBirth",
        "PatientSex_DICOM", "ViewPosition_DICOM", "Projection", "MethodProjection", "Pediatric",
        "Modality_DICOM", "Manufacturer_DICOM", "Report", "MethodLabel", "Labels", "Localizations",
        "LabelsLocalizationsBySentence", "labelCUIS", "LocalizationsCUIS",
    ]  # fmt: skip
    labels = ("normal", "pneumonia", "cardiomegaly', 'pleural effusion", "pleural effusion")
    cells = [*(f"['{one}']" for one in labels), "[]"]
    rows = []
    for number in range(30):
        patient, folder = number // 2, number % 3
        name = f"2168401113669640{number:04d}.png"
        write_image(root / str(folder) / name, 200 + number)
        view = ("PA", "L", "AP_horizontal", "COSTAL")[number % 4]
        method = "Physician" if number % 2 else "RNN_model"
        rows.append(
            [number, name, folder, 20120512, 7000 + patient, 3000 + patient, 1950 + patient,
             "MF"[patient % 2], "POSTEROANTERIOR", view, "Manual review of DICOM fields", "No", "CR",
             "ImagingDynamicsCompanyLtd", "sin hallazgo", method, cells[number % 5], "[]", "[]", "[]", "[]"]
        )  # fmt: skip
    write_table(root / "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv", header, rows)
    return root


def vindr(root: Path) -> Path:
    """Lay out VinDr-CXR: DICOM files named after an id, three rows for each, no patient."""
    rows = []
    for number in range(12):
        name = f"{number:032x}"
        path = root / "train" / f"{name}.dicom"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(300 + number).integers(0, 4096, (24, 24))
        age = ("057Y", "", "000Y")[number % 3]
        path.write_bytes(
            dicom(pixels, SOPInstanceUID=f"1.2.{number}", PatientSex="MFO"[number % 3], PatientAge=age)
        )
        marks = ["0"] * len(VINDR)
        marks[(0, 1, 4)[number % 3]] = "1"
        rows += [[name, f"R{reader}", *marks] for reader in (8, 9, 10)]
    write_table(root / "annotations" / "image_labels_train.csv", ["image_id", "rad_id", *VINDR], rows)
    return root


def mimic(root: Path) -> Path:
    """Lay out MIMIC-CXR-JPG: names without a folder or suffix, and the labels by study in another file."""
    rows, labels = [], []
    for number in range(18):
        subject, study = 10000032 + number // 3, 50414267 + number // 2
        name = f"{number:08x}-e7909ef8-3c9b5f52-bde34ca1-6f1d7a2{number % 10}"
        write_image(root / f"files/p10/p{subject}/s{study}/{name}.jpg", 400 + number)
        view = ("PA", "LATERAL", "AP", "LL", "SWIMMERS")[number % 5]
        rows.append(
            [name, subject, study, "CHEST (PA AND LAT)", view, 3056, 2544, 21800506, "213014.531",
             "CHEST (PA AND LAT)", "postero-anterior", "Erect"]
        )  # fmt: skip
        labels.append([subject, study, "1.0", "", "0.0"])
    header = [
        "dicom_id", "subject_id", "study_id", "PerformedProcedureStepDescription", "ViewPosition", "Rows",
        "Columns", "StudyDate", "StudyTime", "ProcedureCodeSequence_CodeMeaning",
        "ViewCodeSequence_CodeMeaning", "PatientOrientationCodeSequence_CodeMeaning",
    ]  # fmt: skip
    write_table(root / "mimic-cxr-2.0.0-metadata.csv", header, rows)
    wanted = ["subject_id", "study_id", "Atelectasis", "Cardiomegaly", "No Finding"]
    write_table(root / "mimic-cxr-2.0.0-chexpert.csv", wanted, labels)
    return root
