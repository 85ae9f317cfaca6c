"""The patient numbers of metadata are compared with those of DICOM headers: one patient, one number."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from dicom_files import dicom, ramp

from cxrbuild.catalog import read_source
from cxrbuild.errors import CxrbuildError
from cxrbuild.ingest import ingest, take_inventory
from cxrbuild.ingest.patient_numbers import count_named_files
from cxrbuild.patient_key import hash_identifier

KEY = "0123456789abcdef0123456789abcdef"
SOURCE = """
name = "mine"
title = "Mine"

[reader]
kind = "csv"
file = "metadata.csv"
path = "{name}"
images = ["*.dcm"]

[columns.patient_id]
from = "patient"

[columns.finding]
from = "finding"
"""


def patients(folder: Path, numbers: list[tuple[str, str]], conflicts: str = "") -> list[str]:
    """Return the patient ids of images with these numbers in the table and in the header."""
    (folder / "in").mkdir(exist_ok=True)
    rows = ["name,patient,finding"]
    for i, (number, in_header) in enumerate(numbers):
        (folder / "in" / f"{i}.dcm").write_bytes(dicom(ramp(0, 4095), PatientID=in_header))
        rows.append(f"{i}.dcm,{number},sick")
    (folder / "in" / "metadata.csv").write_text("\n".join(rows) + "\n")
    more = f'images = ["*.dcm"]\npatient_conflicts = "{conflicts}"' if conflicts else 'images = ["*.dcm"]'
    (folder / "source.toml").write_text(SOURCE.replace('images = ["*.dcm"]', more))
    source = read_source("source.toml", folder)
    return list(ingest(source, take_inventory(source, folder / "in"))["patient_id"].fillna(""))


def hashed(number: str) -> str:
    return hash_identifier(KEY.encode(), number)


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXRBUILD_PATIENT_KEY", KEY)


@pytest.mark.parametrize(
    "numbers",
    [
        [("85954", "00085954"), ("00085954", "00085954")],  # zeros that a spreadsheet removed
        [("85954", ""), ("00085954", "")],
        [("17", "A"), ("18", "A")],
        [("17", "A"), ("17", "B")],
    ],
)
def test_numbers_that_contradict_each_other_are_refused_without_showing_them(
    tmp_path: Path, numbers: list[tuple[str, str]]
) -> None:
    with pytest.raises(CxrbuildError, match="source mine: 1 patient may have several numbers") as error:
        patients(tmp_path, numbers)
    message = str(error.value)
    for number, in_header in numbers:
        assert hashed(number) in message
        assert not in_header or hashed(in_header) in message
    assert "metadata.csv, line 2: 0.dcm" in message
    assert "metadata.csv, line 3: 1.dcm" in message
    assert "85954" not in message
    joined = patients(tmp_path, numbers, "join")
    assert joined == [hashed(max((number for number, _ in numbers), key=lambda n: (len(n), n)))] * 2
    assert patients(tmp_path, numbers, "ignore") == [hashed(number) for number, _ in numbers]


def test_consistent_pseudonyms_are_no_contradiction(tmp_path: Path) -> None:
    numbers = [("1001", "P7"), ("1001", "P7"), ("1002", "P8"), ("1003", ""), ("", "P9")]
    found = patients(tmp_path, numbers)
    # Where the table has no number, the header's counts.
    assert found == [hashed(number) for number in ("1001", "1001", "1002", "1003", "P9")]


def test_a_number_that_only_a_header_gives_is_joined_too(tmp_path: Path) -> None:
    numbers = [("85954", "00085954"), ("", "00085954")]
    with pytest.raises(CxrbuildError, match="1 patient may have several numbers"):
        patients(tmp_path, numbers)
    assert patients(tmp_path, numbers, "join") == [hashed("00085954")] * 2


def test_paths_that_hold_the_number_of_their_patient_are_counted() -> None:
    rows = [
        ("00349563", "MUELLER_00349563/IM1.dcm"), ("349563", "a/00349563.dcm"), ("00349563", "349563-2.dcm"),
        ("00349563", "1349563.dcm"), ("00349563", "3495631.dcm"), ("123", "123.dcm"), (None, "349563.dcm"),
        ("P7777", "xP7777.dcm"), ("P7777", "x_P7777.dcm"),
    ]  # fmt: skip
    numbers, paths = zip(*rows, strict=True)
    assert count_named_files(pd.Series(numbers, dtype="str"), paths) == 4
