"""`init` proposes a source and a recipe: right, or not sure, and both pass `plan` and `curate`."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import layouts
import pandas as pd
import pytest
from command import run
from dicom_files import dicom, ramp
from layouts import write_image, write_table
from systems import needs_shell

import cxrbuild
from cxrbuild import shell
from cxrbuild.catalog import read_recipe, read_source
from cxrbuild.image_files import has_image_suffix
from cxrbuild.progress import silent
from cxrbuild.proposing import Answers, propose
from cxrbuild.proposing.columns import propose_patient
from cxrbuild.proposing.keys import find_keys, find_rows_without_zeros
from cxrbuild.proposing.layout import Layout
from cxrbuild.proposing.table import read_table

KEY = {"CXRBUILD_PATIENT_KEY": "sixteen-characters-and-more"}
Decided = dict[str, tuple[str | None, str]]
Layouter = Callable[[Path], Path]
Published = Callable[[Layouter], tuple[dict[str, Any], Path]]


def proposed(path: Path, out: Path, *words: object) -> dict[str, Any]:
    """Run `init` and return its JSON document."""
    done = run("init", path, "--out", out, "--name", "mine", "--json", *words)
    assert done.status == 0, done.err
    document: dict[str, Any] = json.loads(done.out)
    return document


def decided(document: dict[str, Any]) -> Decided:
    """Return the choice and the certainty of each decision."""
    return {one["subject"]: (one["choice"], one["certainty"]) for one in document["decisions"]}


def built(document: dict[str, Any], out: Path, *, curate: bool = False) -> dict[str, Any]:
    """Fetch, pin and plan what `init` wrote, or curate it too by the command, and return the plan."""
    data = out / "data"
    done = run("fetch", out / "mine.toml", f"--from=mine={document['root']}", "--pin", "--data", data, **KEY)
    assert done.status == 0, done.err
    assert "git tree" in done.out
    recipe = out / "mine-recipe.toml"
    with pytest.MonkeyPatch.context() as patch:
        for name, value in KEY.items():
            patch.setenv(name, value)
        plan = cxrbuild.plan(recipe, data).to_dict()
    if curate:
        words = ["--data", data, "--out", out / "build", "--format", "parquet", "--workers", 1, "--json"]
        done = run("curate", "--recipe", recipe, *words, **KEY)
        assert done.status == 0, done.err
        kept = pd.read_parquet(out / "build" / "manifest.parquet")
        assert len(kept) == plan["funnel"][-1]["images"]
    return plan


# Of each layout: how it is made, what is decided, and the images that the plan keeps.
LAYOUTS: list[tuple[Layouter, Decided, int]] = [
    (
        layouts.chestxray14,
        {
            "images": ("Image Index", "sure"), "finding": ("Finding Labels", "sure"),
            "patient_id": ("Patient ID", "sure"), "view_position": ("View Position", "sure"),
            "patient_sex": ("Patient Gender", "sure"), "patient_age": ("Patient Age", "likely"),
            "classes": ("4 classes", "not sure"),
        },
        24,
    ),
    (
        layouts.chexpert,
        {
            "images": ("Path", "sure"), "finding": ("No Finding ... Fracture", "likely"),
            "patient_id": ("Path", "likely"), "view_position": ("AP/PA or Frontal/Lateral", "sure"),
            "patient_sex": ("Sex", "sure"), "patient_age": ("Age", "sure"),
            "classes": ("3 classes", "likely"),
        },
        12,
    ),
    (
        layouts.padchest,
        {
            "images": ("ImageID", "sure"), "finding": ("Labels", "sure"), "patient_id": ("PatientID", "sure"),
            "view_position": ("Projection", "likely"), "patient_sex": ("PatientSex_DICOM", "sure"),
            "patient_age": (None, "not sure"), "modality": ("Modality_DICOM", "sure"),
            "classes": ("3 classes", "not sure"),
        },
        18,
    ),
    (
        layouts.vindr,
        {
            "images": ("image_id", "not sure"), "finding": ("Aortic enlargement ... No finding", "likely"),
            "patient_id": (None, "not sure"), "patient_sex": ("PatientSex", "sure"),
            "patient_age": ("PatientAge", "likely"),
        },
        12,
    ),
    (
        layouts.mimic,
        {
            "images": ("dicom_id", "sure"), "finding": (None, "not sure"),
            "patient_id": ("subject_id", "sure"),
            "view_position": ("ViewPosition", "likely"), "patient_sex": (None, "not found"),
            "classes": ("unlabelled", "not sure"),
        },
        11,
    ),
]  # fmt: skip


# One of tables, one of DICOM files, and one without findings; the others are much like the first.
QUICK = (layouts.chestxray14, layouts.vindr, layouts.mimic)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Published:
    """Return a function that proposes a layout, once, and returns the proposal and its folder."""

    @cache
    def proposal_of(layout: Layouter) -> tuple[dict[str, Any], Path]:
        folder = tmp_path_factory.mktemp(layout.__name__)
        return proposed(layout(folder / "files"), folder), folder

    return proposal_of


@pytest.mark.parametrize(
    ("layout", "expected", "kept"),
    [pytest.param(*one, marks=[] if one[0] in QUICK else pytest.mark.slow) for one in LAYOUTS],
    ids=[layout.__name__ for layout, *_ in LAYOUTS],
)
def test_published_layouts(
    layout: Layouter,
    expected: Decided,
    kept: int,
    published: Published,
) -> None:
    document, folder = published(layout)
    assert {name: one for name, one in decided(document).items() if name in expected} == expected
    plan = built(document, folder, curate=layout is layouts.vindr)
    assert plan["funnel"][-1]["images"] == kept
    assert plan["unpinned"] == []


def test_the_words_are_counted(published: Published) -> None:
    document, _ = published(layouts.chestxray14)
    words = {(one["column"], one["word"]): (one["rows"], one["meaning"]) for one in document["words"]}
    assert words["finding", "Effusion"] == (12, "Effusion")
    assert words["view_position", "PA"] == (15, "PA")
    assert words["patient_age", "148"] == (1, None)
    assert 'blank = ["", "148"]' in document["source"]


def test_a_table_that_may_have_the_findings_is_named(
    published: Published,
) -> None:
    document, _ = published(layouts.mimic)
    (finding,) = [one for one in document["decisions"] if one["subject"] == "finding"]
    assert "if mimic-cxr-2.0.0-chexpert.csv has it, join the two tables" in finding["reason"]


REAL: list[tuple[str, Decided, dict[str, dict[str, int]]]] = [
    (
        "figure1",
        {
            "images": ("patientid", "sure"), "finding": ("finding", "sure"),
            "patient_id": ("patientid", "likely"),
            "view_position": ("view", "sure"), "patient_age": ("age", "likely"),
            "modality": ("modality", "sure"),
        },
        {"COVID-19": {"train": 28, "test": 7}, "No finding": {"train": 2, "test": 1},
         "Pneumonia": {"train": 1, "test": 1}},
    ),
    (
        "actualmed",
        {
            "images": ("imagename", "sure"), "finding": ("finding", "sure"),
            "patient_id": ("patientid", "sure"),
            "view_position": ("view", "sure"), "patient_age": (None, "not found"),
            "patient_sex": (None, "not found"),
        },
        {},
    ),
    (
        "cohen",
        {
            "images": ("filename", "not sure"), "finding": ("finding", "sure"),
            "patient_sex": ("sex", "sure"),
            "patient_age": ("age", "sure"), "view_position": ("view", "likely"),
            "license": ("license", "likely"),
            "modality": ("modality", "sure"), "classes": ("10 classes", "not sure"),
        },
        {},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("name", "expected", "classes"), REAL, ids=[name for name, *_ in REAL])
def test_real_metadata(
    name: str, expected: Decided, classes: dict[str, dict[str, int]], shared: Path, tmp_path: Path
) -> None:
    root = shared / "originals" / name
    if name != "figure1":
        # The image files that are not available: `init` looks at their names alone.
        root = tmp_path / name
        (root / "images").mkdir(parents=True)
        (root / "metadata.csv").write_bytes((shared / "originals" / name / "metadata.csv").read_bytes())
        for line in (shared / "registry" / f"{name}.tsv").read_text(encoding="utf-8").splitlines()[1:]:
            if (path := line.split("\t")[2]).startswith("images/"):
                (root / path).touch()
    document = proposed(root, tmp_path, "--public")
    found = decided(document)
    if name == "cohen":  # the listing does not have every file of the metadata
        assert found.pop("classes")[1] == expected.pop("classes")[1]
    assert {subject: one for subject, one in found.items() if subject in expected} == expected
    if classes:
        assert document["classes"] == classes


def test_real_folders(shared: Path, tmp_path: Path) -> None:
    root = tmp_path / "mooney"
    # Every ninth file, which has all folders too.
    paths = (shared / "registry" / "mooney.txt").read_text(encoding="utf-8").splitlines()[::9]
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    document = proposed(root, tmp_path, "--public", "--license", "CC-BY-4.0")
    assert decided(document) == {
        "table": (None, "not found"),
        "finding": ("folder 3", "sure"),
        "patient_id": ("file name", "not sure"),
        "upstream_split": ("folder 2", "sure"),
        "classes": ("2 classes", "likely"),
        "split": ("declared", "sure"),
    }
    folders = Counter(tuple(path.split("/")[1:3]) for path in paths if path.endswith(".jpeg"))
    splits = {"train": "train", "val": "validation", "test": "test"}
    assert document["classes"] == {
        label: {ours: folders[theirs, label] for theirs, ours in splits.items()}
        for label in ("PNEUMONIA", "NORMAL")
    }
    assert len(folders) == 6


def hospital(root: Path) -> Path:
    """Write DICOM files in folders by finding, with a sex and an age that our columns do not hold."""
    for number in range(12):
        path = root / ("covid", "normal")[number % 2] / f"{number}.dcm"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(
            dicom(
                ramp(0, 4000 + number), PatientID=f"MRN-{number // 3}-77",
                PatientSex=("M", "FEMALE")[number % 2], PatientAge=("045Y", "999Y")[number == 5],
                Modality="DX", SOPInstanceUID=f"1.2.{number}",
                ViewPosition=("PA", "LL", "AP")[number % 3],
            )
        )  # fmt: skip
    return root


def test_dicom_folder(tmp_path: Path) -> None:
    document = proposed(hospital(tmp_path / "scans"), tmp_path)
    found = decided(document)
    assert found["finding"] == ("folder 1", "sure")
    assert found["patient_id"] == ("PatientID", "sure")
    assert 'blank = ["", "999Y"]' in document["source"]
    assert '"FEMALE" = "F"' in document["source"]
    assert "MRN" not in document["source"] + document["recipe"]
    assert 'values = ["LL"]' in document["recipe"]
    assert built(document, tmp_path)["funnel"][-1]["images"] == 8


def test_table_next_to_dicom_files_finds_them_by_their_identifier(tmp_path: Path) -> None:
    root = hospital(tmp_path / "scans")
    rows = [[f"1.2.{number}", ("sick", "well")[number % 2]] for number in range(12)]
    write_table(root / "labels.csv", ["uid", "diagnosis"], rows, delimiter=";", encoding="utf-8-sig")
    document = proposed(root, tmp_path)
    assert decided(document)["images"] == ("uid", "sure")
    assert 'sop_instance_uid = "{uid}"' in document["source"]
    assert decided(document)["patient_id"] == ("PatientID", "sure")
    assert built(document, tmp_path)["funnel"][-1]["images"] == 8


@pytest.mark.parametrize("table", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_elements_that_could_show_a_blank_view_are_named(
    table: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in KEY.items():
        monkeypatch.setenv(name, value)
    root = tmp_path / "scans"
    for number in range(12):
        path = root / ("covid", "normal")[number % 2] / f"{number}.dcm"
        path.parent.mkdir(parents=True, exist_ok=True)
        view = {"ViewPosition": ("PA", "")[number % 2], "SeriesDescription": ("CHEST", "LATERAL")[number % 2]}
        header = {"PatientID": f"MRN-{number // 3}-77", "Modality": "DX", "PatientAge": "045Y"}
        path.write_bytes(dicom(ramp(0, 4000 + number), SOPInstanceUID=f"1.2.{number}", **header, **view))
    if table:
        rows = [[f"1.2.{number}", ("sick", "well")[number // 3 % 2]] for number in range(12)]
        write_table(root / "labels.csv", ["uid", "diagnosis"], rows)
    document = proposed(root, tmp_path)
    (view_position,) = (one for one in document["decisions"] if one["subject"] == "view_position")
    assert view_position["certainty"] == "likely"
    expected = "SeriesDescription could show that of 6 images without one, as it has 'LATERAL': "
    assert expected + '`from = ["ViewPosition", "SeriesDescription"]`' in view_position["reason"]
    # As the reason says, in either kind of reader.
    source = tmp_path / "mine.toml"
    section = r"(?m)^\[columns\.view_position[^\]]*\]\n(?:[^\[\n].*\n|\n)*"
    added = '\n[columns.view_position]\nfrom = ["ViewPosition", "SeriesDescription"]\n'
    added += 'map = { PA = "PA", LATERAL = "LATERAL" }\nblank = ["", "CHEST"]\n'
    source.write_text(re.sub(section, "", source.read_text()) + added)
    built(document, tmp_path)
    rows = cxrbuild.plan(tmp_path / "mine-recipe.toml", tmp_path / "data").records
    assert rows["view_position"].value_counts().to_dict() == {"PA": 6, "LATERAL": 6}


def test_identifiers_without_their_leading_zeros_are_found(tmp_path: Path) -> None:
    root = tmp_path / "scans"
    root.mkdir()
    for number in range(4):
        header = {"PatientID": f"MRN{number}", "AccessionNumber": f"000471{number}"}
        (root / f"scan{number}.dcm").write_bytes(dicom(ramp(0, 4000 + number), **header))
    write_table(root / "labels.csv", ["accession", "finding"], [[f"471{n}", "sick"] for n in range(4)])
    expected = "'accession' is the AccessionNumber of the headers without its leading zeros, in 4 of 4 rows, "
    expected += "such as row 2, which is that of scan0.dcm"
    (table, *_) = proposed(root, tmp_path)["decisions"]
    assert f"labels.csv: {expected}" in table["reason"]
    ran = run("init", root / "labels.csv", "--name", "mine", "--yes", "--out", tmp_path / "other")
    assert (ran.status, expected in " ".join(ran.err.split())) == (1, True)
    assert "4710" not in ran.err


def test_numbers_that_lost_their_leading_zeros_in_some_rows_are_found(tmp_path: Path) -> None:
    root = tmp_path / "scans"
    for number in range(8):
        write_image(root / f"{number + 1:04d}.png", number)
    # The rows 3 and 7 lost their zeros, and so did the patient of row 9; row 10 has no image.
    files = ["0001", "2", "0003", "0004", "0005", "6", "0007", "0008", "77"]
    patients = ["0017", "0018", "0017", "0018", "0019", "0019", "0020", "17", "0021"]
    rows = [[file, patient, ("sick", "well")[n % 2]] for n, (file, patient) in
            enumerate(zip(files, patients, strict=True))]  # fmt: skip
    write_table(root / "labels.csv", ["file", "patient", "finding"], rows)
    document = proposed(root, tmp_path, "--public")
    reasons = {one["subject"]: one["reason"] for one in document["decisions"]}
    assert (
        "'file' lacks leading zeros in 2 of 3 rows, such as row 3, which is that of 0002.png"
        in (reasons["images"])
    )
    assert (
        "1 number of a patient with and without leading zeros, such as rows 2 and 9"
        in (reasons["patient_id"])
    )
    assert decided(document)["images"] == ("file", "not sure")
    assert decided(document)["patient_id"] == ("patient", "not sure")
    # Of all rows, too.
    plain = [[file.lstrip("0"), patient.zfill(4), finding] for file, patient, finding in rows]
    write_table(root / "labels.csv", ["file", "patient", "finding"], plain)
    (table, *_) = proposed(root, tmp_path / "all", "--public")["decisions"]
    expected = "labels.csv: 'file' is the name of the files without its leading zeros, in 8 of 9 rows"
    assert table["reason"].startswith(expected)


@pytest.mark.parametrize("source", ["cohen", "figure1", "actualmed"])
def test_real_tables_have_no_number_without_its_zeros(source: str, shared: Path) -> None:
    table = read_table(shared / "originals" / source / "metadata.csv")
    images = tuple(path for path in read_source(source).listing or {} if has_image_suffix(path))
    layout = Layout(Path(), images, (), (), ())
    key = find_keys(table.values, layout, silent)[0]
    assert find_rows_without_zeros(key, table.values, layout, silent) == ""
    assert "zeros" not in propose_patient(table.values, key.column, None).decision.reason


def clinic(root: Path) -> Path:
    """Write DICOM files and a table as a German clinic exports it; four files have no row."""
    for number in range(24):
        path = root / "bilder" / f"IM{number}.dcm"
        path.parent.mkdir(parents=True, exist_ok=True)
        header = {
            "PatientID": f"MRN-{number // 2}",
            "PatientSex": "M",
            "PatientAge": "045Y",
            "Modality": "DX",
        }
        path.write_bytes(dicom(ramp(0, 4000 + number), SOPInstanceUID=f"1.2.{number}", **header))
    rows = [
        [f"IM{n}.dcm", f"MRN-{n // 2}", ("männlich", "weiblich", "divers", "k.A.")[n // 2 % 4],
         "" if n == 4 else ("45,5", "60")[n % 2], ("Pneumonie", "unauffällig")[n // 2 % 2],
         ("p.a.", "a.p. liegend", "seitlich")[n % 3], f"Text {n}"]
        for n in range(20)
    ]  # fmt: skip
    header_row = ["Datei", "Pat.-Nr.", "Geschlecht", "Alter (Jahre)", "Befund", "Strahlengang", "Befundtext"]
    write_table(root / "befunde.csv", header_row, rows, delimiter=";", encoding="cp1252")
    return root


def test_a_german_export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in KEY.items():
        monkeypatch.setenv(name, value)
    document = proposed(clinic(tmp_path / "klinik"), tmp_path)
    expected = {
        "table": ("befunde.csv", "likely"), "images": ("Datei", "sure"), "finding": ("Befund", "sure"),
        "patient_id": ("Pat.-Nr.", "sure"), "view_position": ("Strahlengang", "sure"),
        "patient_sex": ("Geschlecht", "sure"), "patient_age": ("Alter (Jahre)", "sure"),
        # What the table has no column for comes from the headers.
        "modality": ("Modality", "sure"), "license": (None, "not found"),
    }  # fmt: skip
    found = decided(document)
    assert {subject: found[subject] for subject in expected} == expected
    assert document["unused"] == ["Befundtext"]
    assert "no row names the other 4, all of them DICOM files, such as" in document["decisions"][0]["reason"]
    meanings = {one["word"]: one["meaning"] for one in document["words"] if one["column"] == "patient_sex"}
    assert meanings == {"männlich": "M", "weiblich": "F", "divers": "O", "k.A.": None}
    built(document, tmp_path)
    rows = cxrbuild.plan(tmp_path / "mine-recipe.toml", tmp_path / "data").records.set_index("source_path")
    assert rows.loc["bilder/IM0.dcm", ["patient_age", "view_position", "exclusion"]].fillna("").tolist() == [
        45.5, "PA", "",
    ]  # fmt: skip
    assert rows.loc["bilder/IM4.dcm", "patient_age"] == 45  # blank in the table, 045Y in the header
    assert rows.loc["bilder/IM20.dcm", "exclusion"] == "file_without_row"


def ward(root: Path) -> Path:
    """Write the export of a ward: studies of two images, a name without suffix, images of another site."""
    number = 0
    for study in range(12):
        views = ("PA", "LL") if study % 3 == 0 else ("PA",)
        for view in views:
            header = {
                "PatientID": f"MRN-{study // 2}", "PatientSex": "WEIBLICH", "ViewPosition": view,
                "Modality": ("DX", "CR")[study % 2], "AccessionNumber": f"A{study}",
            }  # fmt: skip
            path = root / "pacs" / f"IM{number:04d}{'' if number == 2 else '.dcm'}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(dicom(ramp(0, 4000 + number), SOPInstanceUID=f"1.2.{number}", **header))
            number += 1
    (root / "pacs" / "EXPORT.txt").write_text("exported\n")
    for number in range(5):
        write_image(root / "praxis" / "Normal" / f"normal_{number:03d}.png", number)
    rows = [
        [f"A{n}", f"MRN-{n // 2}", "selten" if n == 0 else ("Pneumonie", "unauffällig")[n % 2], "M" * (n < 6)]
        for n in range(12)
    ]
    write_table(root / "ris.csv", ["Aufnahme", "Pat.-Nr.", "Befund", "Geschlecht"], rows, delimiter=";")
    return root


@needs_shell
def test_studies_of_several_images_next_to_those_of_another_site(tmp_path: Path) -> None:
    root = ward(tmp_path / "archive")
    document = proposed(root / "ris.csv", tmp_path, "--images", root / "pacs")
    # The lateral image of a study is its second, and all 16 images count.
    words = {(one["column"], one["word"]): (one["rows"], one["meaning"]) for one in document["words"]}
    assert words["view_position", "LL"] == (4, "LL")
    assert words["view_position", "PA"] == (12, "PA")
    assert (document["images"], document["excluded"]) == (16, {})
    # The table leaves the sex of half of the patients blank, and the word of the headers is German.
    assert '"WEIBLICH" = "F"  # 8 images' in document["source"]
    # `pacs/*` alone would match EXPORT.txt.
    assert 'images = ["pacs/*"]\nignore = ["pacs/*.txt"]' in document["source"]
    # A class of one patient cannot be in train and test.
    classes = next(one for one in document["decisions"] if one["subject"] == "classes")
    assert "so none has 'selten' (1 kept image of 1 patient)" in classes["reason"]
    # The commands copy what belongs to the source, and not the other site.
    commands = [line for line in document["next"] if line.startswith(("mkdir", "cp"))]
    for command in commands:
        subprocess.run(command, shell=True, check=True)
    copied = tmp_path / "mine-files"
    assert f"--from mine={copied} --pin" in document["next"][-3]
    assert sorted(path.name for path in copied.iterdir()) == ["pacs", "ris.csv"]
    plan = built(document | {"root": str(copied)}, tmp_path)
    assert plan["funnel"][0]["images"] == 16
    assert plan["funnel"][-1]["images"] == 11  # without four lateral images and the rare finding
    assert plan["findings_without_class"] == {"selten": 1}
    words = ("--recipe", tmp_path / "mine-recipe.toml", "--data", tmp_path / "data")
    assert "Findings without a class: selten 1." in run("plan", *words, **KEY).out


def test_both_files_are_written_where_the_source_does_not_fit_yet(tmp_path: Path) -> None:
    root = ward(tmp_path / "archive")
    words = ["--images", root / "pacs", "--column", "patient_sex=none"]
    document = proposed(root / "ris.csv", tmp_path, *words)
    assert document["undecided"][-1] == "trial"
    reason = document["decisions"][-1]["reason"]
    assert "correct both files before you fetch" in reason
    assert "'WEIBLICH' is none of M, F, O" in reason
    assert set(read_recipe(str(tmp_path / "mine-recipe.toml")).labels) == {
        "Pneumonie",
        "unauffällig",
        "selten",
    }
    assert read_source("mine.toml", tmp_path).columns.finding is not None


def test_a_column_without_a_finding_is_said_to_have_none(tmp_path: Path) -> None:
    rows: list[list[object]] = [[f"{n}.png", f"P{n}", "", "M", 1] for n in range(8)]
    document = proposed(simple(tmp_path / "files", rows), tmp_path, "--column", "finding=status")
    assert decided(document)["finding"] == (None, "not sure")
    assert "'status' has a finding of no image" in document["source"]
    assert built(document, tmp_path)["funnel"][-1]["images"] == 8


@pytest.mark.parametrize(
    ("names", "patients"),
    [
        # A class that is the patient of all its images.
        ([f"{label}/{label.lower()}_{n:03d}.png" for label in ("Normal", "Covid") for n in range(4)], None),
        pytest.param(
            [f"{label}/{label[:1]}{n:03d}.png" for label in ("Normal", "Covid") for n in range(9)],
            None,
            marks=pytest.mark.slow,
        ),
        # Few patients of many images: numbered exports.
        ([f"{label}/{'ab'[n % 2]}_{n:03d}.png" for label in ("Normal", "Covid") for n in range(12)], None),
        (
            [f"{label}/{'abcdef'[n // 2]}{label}x_{n}.png" for label in ("A", "B") for n in range(12)],
            "file name",
        ),
    ],
)
def test_no_guess_makes_a_class_a_patient(names: list[str], patients: str | None, tmp_path: Path) -> None:
    for number, name in enumerate(names):
        write_image(tmp_path / "files" / name, number)
    document = proposed(tmp_path / "files", tmp_path)
    assert decided(document)["patient_id"] == (patients, "not sure")
    assert decided(document)["classes"] == ("2 classes", "likely")
    assert "allow_empty" not in document["recipe"]
    assert min(built(document, tmp_path)["counts"]["test"].values()) > 0


@pytest.mark.parametrize(
    ("header", "row", "expected"),
    [
        (
            ["fichier", "N° patient", "Sexe", "Âge", "Diagnostic", "Incidence"],
            ["HF", ("45 ans", "7 ans"), ("pneumonie", "normal"), ("face", "profil")],
            {"H": "M", "F": "F"},
        ),
        (
            ["archivo", "ID Paciente", "Sexo", "Edad", "Diagnóstico", "Proyección"],
            ["HM", ("45", "7"), ("neumonía", "sin hallazgos"), ("PA", "lateral")],
            {"H": "M", "M": "F"},
        ),
    ],
    ids=["French", "Spanish"],
)
def test_other_languages(
    header: list[str], row: list[Sequence[str]], expected: dict[str, str], tmp_path: Path
) -> None:
    rows = []
    for n in range(12):
        write_image(tmp_path / "files" / f"{n}.png", n)
        rows.append([f"{n}.png", f"P{n // 2}", *(words[n // 2 % 2] for words in row)])
    write_table(tmp_path / "files" / "table.csv", header, rows)
    document = proposed(tmp_path / "files", tmp_path)
    found = decided(document)
    ours = ("images", "patient_id", "patient_sex", "patient_age", "finding", "view_position")
    assert [found[subject][0] for subject in ours] == header
    assert found["patient_sex"][1] == ("likely" if "M" in expected else "sure")
    words = {one["word"]: one["meaning"] for one in document["words"] if one["column"] == "patient_sex"}
    assert words == expected
    rows_of = (tmp_path / "mine.toml").read_text()
    assert ("pattern = " in rows_of) == (" ans" in row[1][0])


def simple(root: Path, rows: list[list[object]] | None = None) -> Path:
    """Write a table of eight images."""
    for number in range(8):
        write_image(root / "pngs" / f"{number}.png", number)
    default = [[f"{n}.png", f"P{n // 2}", ("sick", "well")[n // 2 % 2], "M", n % 4] for n in range(8)]
    write_table(root / "table.csv", ["file", "patient", "status", "letter", "code"], rows or default)
    return root


def test_a_table_without_a_header_is_refused(tmp_path: Path) -> None:
    """Its first row would be taken as the header, and its image would be lost."""
    root = simple(tmp_path / "files")
    table = root / "table.csv"
    table.write_text(table.read_text().partition("\n")[2])
    for path in (root, table):
        ran = run("init", path, "--yes", "--name", "files", "--out", tmp_path / "out")
        assert ran.status == 1
        said = " ".join(ran.err.split())
        assert "the table has no header: its first row is that of an image" in said
        assert "Found: 0.png, which names pngs/0.png." in said


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("0", "pngs/0.png (rows 2, 10). Rows of an image are equal, and the first counts"),
        ("7", "pngs/0.png (rows 2, 10). They differ, here in 'code': `plan` refuses rows that"),
    ],
)
def test_rows_of_one_image_are_shown_and_compared(code: str, expected: str, tmp_path: Path) -> None:
    rows: list[list[object]] = [
        [f"{n}.png", f"P{n}", "sick|rare" if n == 4 else ("sick", "well")[n % 2], "M", n % 4]
        for n in range(8)
    ]
    document = proposed(
        simple(tmp_path, [*rows, ["0.png", "P0", "sick", "M", code], ["x.png", "P9", "sick", "M", 1]]),
        tmp_path / "out",
        "--column",
        "finding=status",
    )
    (images,) = (one for one in document["decisions"] if one["subject"] == "images")
    assert f"1 image has several rows, {expected}" in images["reason"]
    assert "the other 1 row becomes `row_without_file`" in images["reason"]
    assert document["other_findings"] == {"images": 1, "findings": {"rare": 1}}
    (classes,) = (one for one in document["decisions"] if one["subject"] == "classes")
    assert (
        "1 kept image with a class by one finding and another finding without a class: 'rare'"
        in (classes["reason"])
    )


def test_init_says_what_it_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cxrbuild.cli.bars._FIRST_LINE_S", 0)
    root = simple(tmp_path / "files")
    ran = run("init", root, "--yes", "--name", "files", "--out", tmp_path / "out", COLUMNS="300")
    assert ran.err.startswith(f"looking at {root}")


def test_the_finding_is_named_by_an_option(tmp_path: Path) -> None:
    root = simple(tmp_path / "files")
    first = proposed(root, tmp_path / "a")
    assert decided(first)["finding"] == (None, "not sure")
    (finding,) = [one for one in first["decisions"] if one["subject"] == "finding"]
    counts = pd.read_csv(root / "table.csv")["status"].value_counts()
    shown = ", ".join(f"{word} {n}" for word, n in counts.items())
    assert f"name it, such as --column finding=status ({shown})" in finding["reason"]
    document = proposed(root / "table.csv", tmp_path, "--column", "finding=status")
    assert decided(document)["finding"] == ("status", "sure")
    assert decided(document)["patient_id"] == ("patient", "sure")
    plan = built(document, tmp_path)
    assert set(plan["counts"]["train"]) == {"sick", "well"}
    assert min(plan["counts"]["test"].values()) > 0


def test_folders_of_others_are_skipped(tmp_path: Path) -> None:
    """A virtual environment, which has tables and images, a build, a hidden folder, the data folder."""
    root = simple(tmp_path / "files")
    text = (root / "table.csv").read_text()
    (root / "table.csv").write_text(text.replace("status", "Radiologist reading"))
    expected = proposed(root, tmp_path / "a")
    assert decided(expected)["finding"] == ("Radiologist reading", "likely")
    for folder, mark in {
        "env": "pyvenv.cfg", "my [env]": "pyvenv.cfg", ".cache": "x", "build/mine": "ledger.parquet",
        "data": "sources.lock.json", "node_modules": "x",
    }.items():  # fmt: skip
        write_image(root / folder / "deep" / "0.png", 99)
        (root / folder / mark).write_text("")
        for name in ("a.csv", "b.csv.gz"):
            (root / folder / "deep" / name).write_text(text)
    document = proposed(root, tmp_path / "b")
    assert document["decisions"] == expected["decisions"]
    assert document["images"] == expected["images"]
    assert document["classes"] == expected["classes"]
    plan = built(document, tmp_path / "b")
    assert plan["funnel"][0]["images"] == expected["images"]
    assert sorted(path.name for path in (tmp_path / "b/data/sources/mine").iterdir()) == ["pngs", "table.csv"]
    listed = proposed(root / "table.csv", tmp_path / "c", "--images", root / ".cache")
    assert listed["images"] == 1


def test_images_elsewhere(tmp_path: Path) -> None:
    root = simple(tmp_path / "files")
    # `fetch` refuses a folder that holds the data folder, so the commands copy the files.
    ran = run("init", "table.csv", "--images", "pngs", "--name", "mine", "--yes", cwd=root)
    assert "cp -R pngs mine-files/" in ran.out
    assert "fetch mine.toml --from mine=mine-files --pin" in ran.out
    (tmp_path / "files" / "lists").mkdir()
    (root / "table.csv").rename(root / "lists" / "table.csv")
    document = proposed(root / "lists" / "table.csv", tmp_path, "--images", root / "pngs")
    assert 'file = "lists/table.csv"' in document["source"]
    assert 'path = "pngs/{file}"' in document["source"]


def test_the_same_files_give_the_same_bytes_and_nothing_is_overwritten(tmp_path: Path) -> None:
    root = simple(tmp_path / "files")
    first = proposed(root, tmp_path / "a")
    assert proposed(root, tmp_path / "b")["source"] == first["source"]
    written = (tmp_path / "a" / "mine.toml").read_bytes()
    again = run("init", root, "--out", tmp_path / "a", "--name", "mine", "--yes")
    assert again.status == 1
    assert "it is not overwritten" in again.err
    there = [str(tmp_path / "a" / name) for name in ("mine.toml", "mine-recipe.toml")]
    assert f"run `{shell.remove(there)}` and this command again" in " ".join(again.err.split())
    assert (tmp_path / "a" / "mine.toml").read_bytes() == written


def test_names_that_toml_or_folders_do_not_take(tmp_path: Path) -> None:
    words = ['say "x" \\ #', "a\tb", "Nodule/Mass", "aux", "Ödem", "ödem"]
    rows = [[f"{n}.png", f"P{n}", words[n % 6], "M", 1] for n in range(8)]
    root = simple(tmp_path / "Röntgen 1.0", rows)
    document = proposed(root, tmp_path, "--column", "finding=status")
    recipe = read_recipe(str(tmp_path / "mine-recipe.toml"))
    assert set(recipe.labels) <= {"say -x- - #".replace("#", "-").strip(" -"), "Ödem", *recipe.labels}
    assert sorted(recipe.labels["Ödem"]["mine"]) == ["Ödem", "ödem"]
    assert built(document, tmp_path)["funnel"][-1]["images"] > 0


def test_the_name_of_the_source_comes_from_the_folder(tmp_path: Path) -> None:
    assert propose(simple(tmp_path / "Röntgen 2020")).name == "rontgen-2020"
    assert propose(simple(tmp_path / "2020")).name == "source-2020"


def test_the_same_file_name_in_several_folders(tmp_path: Path) -> None:
    for number in range(20):
        write_image(tmp_path / "files" / str(number // 5) / f"{number % 5}.png", number)
    rows = [[n // 5, f"{n % 5}.png", n // 2, "xy"[n // 2 % 2]] for n in range(20)]
    write_table(tmp_path / "files" / "t.csv", ["folder", "file", "patient", "class"], rows)
    document = proposed(tmp_path / "files", tmp_path)
    assert decided(document)["images"] == ("file", "sure")
    assert 'path = "{folder}/{file}"' in document["source"]
    assert built(document, tmp_path)["funnel"][-1]["images"] == 20


def test_a_class_in_the_names_of_files(tmp_path: Path) -> None:
    for number in range(12):
        write_image(tmp_path / "files" / f"{('COVID', 'Normal')[number % 2]}-{number}.png", number)
    document = proposed(tmp_path / "files", tmp_path)
    assert decided(document)["finding"] == ("file name", "likely")
    assert decided(document)["patient_id"] == (None, "not sure")
    assert set(built(document, tmp_path)["counts"]["test"]) == {"COVID", "Normal"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nothing"], "there is no such file or folder"),
        (["empty"], "no image is there"),
        (["text"], "no image is there"),
        (["files/table.csv", "--images", "nothing"], "there is no such folder"),
        (["files", "--images", "files"], "--images is for a CSV file"),
        (["files", "--column", "finding=stat"], "the nearest column is 'status'"),
        (["files", "--column", "view=letter"], "Expected: one of images, finding, patient_id"),
        (["files", "--column", "finding"], "'finding' is not OURS=THEIRS"),
        (["files", "--name", "My Source"], "not a name for a source"),
        (["odd/bare.csv"], "the CSV file has no rows"),
        (["odd/short.csv"], "rows of another length than the header"),
        (["odd/twice.csv"], "two columns have one name"),
        (["odd/quote.csv"], "not a CSV file"),
        (["odd/other.csv"], "no row names an image that is there"),
        (["odd/zipped.csv"], "the file is compressed"),
        (["s3://bucket/files"], "only files and folders of this machine work here"),
    ],
)
def test_wrong_uses(words: list[str], message: str, tmp_path: Path) -> None:
    simple(tmp_path / "files")
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.txt").write_text("text")
    odd = {
        "bare": b"a,b\n", "short": b"a,b\n1,2\n3\n", "twice": b"a,a\n1,2\n", "quote": b'a,b\n"1,2\n',
        "other": b"a,b\nx.png,2\n", "zipped": b"\x1f\x8b\x08\x00",
    }  # fmt: skip
    write_image(tmp_path / "odd" / "0.png", 0)
    for name, data in odd.items():
        (tmp_path / "odd" / f"{name}.csv").write_bytes(data)
    done = run("init", *words, "--yes", "--out", "out", cwd=tmp_path)
    assert done.status in (1, 2)
    assert message in " ".join(done.err.split())
    assert not (tmp_path / "out").exists()


def test_without_a_terminal_it_asks_nothing(tmp_path: Path) -> None:
    done = run("init", simple(tmp_path / "files"), cwd=tmp_path)
    assert done.status == 2
    assert "add --yes or --json" in done.err


@needs_shell
def test_on_a_terminal_it_asks_what_it_is_not_sure_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = simple(tmp_path / "files")
    master, slave = os.openpty()
    with os.fdopen(slave, encoding="utf-8") as terminal, os.fdopen(master, "w", encoding="utf-8") as person:
        monkeypatch.setattr(sys, "stdin", terminal)
        # The second of the columns to choose from, then yes.
        person.write("2\ny\n")
        person.flush()
        done = run("init", root, "--out", tmp_path, "--name", "mine")
    assert done.status == 0, done.err
    assert "Which column is finding?" in done.out
    source = read_source("mine.toml", tmp_path)
    assert source.columns.finding is not None
    assert source.columns.finding.origin == "status"


def test_python(tmp_path: Path) -> None:
    assert cxrbuild.propose(simple(tmp_path / "other"), columns={"finding": "code"}).write(tmp_path / "new")
    proposal = propose(simple(tmp_path / "files"), answers=Answers({"finding": "status"}, name="mine"))
    assert proposal.classes["sick"] == {"train": 2, "test": 2}
    assert "<td>status</td>" in proposal._repr_html_()


def test_a_given_licence_and_name_are_in_the_proposal(tmp_path: Path) -> None:
    document = proposed(simple(tmp_path / "files") / "table.csv", tmp_path, "--license", "CC-BY-4.0")
    assert decided(document)["license"] == ("--license CC-BY-4.0", "sure")
    source = (tmp_path / "mine.toml").read_text()
    assert 'title = "Chest radiographs of mine"' in source
    assert 'license = "CC-BY-4.0"' in source
    # A public release is refused without an attribution.
    assert "# CC-BY-4.0 requires attribution, and a public release is refused without it" in source
    assert source.count("# [columns.attribution]\n# value = ") == 1
    assert 'title = "Chest radiographs of mine"' in (tmp_path / "mine-recipe.toml").read_text()
    (tmp_path / "mine.toml").write_text(
        source.replace("# [columns.att", "[columns.att").replace("# value", "value")
    )
    assert read_source("mine.toml", tmp_path).columns.attribution is not None
    ran = run(
        "init", tmp_path / "files" / "table.csv", "--out", tmp_path / "new", "--license", "CC-BY-4.0", "--yes"
    )
    assert "Required by CC-BY-4.0: write whom to credit under [columns.attribution] in " in " ".join(
        ran.out.split()
    )


def test_the_current_folder_is_named_for_other_folders(tmp_path: Path) -> None:
    simple(tmp_path / "files")
    ran = run("init", ".", "--yes", "--name", "mine", cwd=tmp_path / "files")
    assert ran.status == 0, ran.err
    origin = shell.quote(f"mine={tmp_path / 'files'}")
    assert f"--from {origin} --pin" in ran.out


def test_files_are_written_although_the_reader_has_closed_the_pipe(tmp_path: Path) -> None:
    root = simple(tmp_path / "files")
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "cxrbuild", "init", root, "--yes", "--name", "mine", "--out", tmp_path]
    with os.fdopen(writer, "w") as pipe:
        done = subprocess.run(command, stdout=pipe, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 1
    assert (tmp_path / "mine.toml").is_file()
    assert (tmp_path / "mine-recipe.toml").is_file()


def test_the_split_of_a_share_is_an_estimate_where_patient_numbers_are_hashed(tmp_path: Path) -> None:
    """The draw of a share depends on the key; exact counts do not, nor do numbers that are kept."""
    rows: list[list[object]] = [[f"{n}.png", f"P{n}", ("sick", "well")[n % 2], "M", n] for n in range(90)]
    for number in range(90):
        write_image(tmp_path / "many" / "pngs" / f"{number}.png", number)
    many, few = simple(tmp_path / "many", rows), simple(tmp_path / "few")
    for root, words, expected in ((many, (), True), (many, ("--public",), False), (few, (), False)):
        out = tmp_path / f"out-{len(words)}-{root.name}"
        ran = run("init", root, "--yes", "--name", "mine", "--column", "finding=status", "--out", out, *words)
        assert ran.status == 0, ran.err
        assert ("\nshare = 0.2" in (out / "mine-recipe.toml").read_text()) == (root == many)
        assert ("The images of each split are an estimate: `plan` and `curate` hash" in ran.out) == expected


def test_a_general_name_of_the_folder_is_a_decision_to_check(tmp_path: Path) -> None:
    root = simple(tmp_path / "data")
    ran = run("init", root, "--yes", "--out", tmp_path)
    assert ran.status == 0, ran.err
    assert "name (not sure): the folder's name, which does not describe the images" in ran.out
    assert "renames all images" in " ".join((tmp_path / "data.toml").read_text().replace("#", "").split())
    assert "name" not in decided(proposed(root, tmp_path / "named"))
    assert "name" not in {one.subject for one in propose(simple(tmp_path / "ward-3")).decisions}
