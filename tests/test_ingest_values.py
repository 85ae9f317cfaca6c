"""Values that do not parse are errors with their place; declared blanks are not known."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

from cxrbuild.catalog import read_source
from cxrbuild.errors import CxrbuildError
from cxrbuild.ingest import ingest, take_inventory

SOURCE = """
name = "mine"
title = "Mine"

[reader]
kind = "csv"
file = "meta.csv"
path = "{{file}}"
images = ["*.png"]

[columns.patient_age]
from = "age"
{age}

[columns.patient_sex]
from = "sex"
{sex}
"""


def read(folder: Path, rows: list[tuple[str, str]], age: str = "", sex: str = "") -> pd.DataFrame:
    """Ingest images with an age and a sex each."""
    (folder / "s.toml").write_text(SOURCE.format(age=age, sex=sex))
    root = folder / "root"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    table = pd.DataFrame(rows, columns=["age", "sex"])
    table["file"] = [f"{number}.png" for number in range(len(rows))]
    for name in table["file"]:
        (root / name).write_bytes(b"image")
    table.to_csv(root / "meta.csv", index=False)
    source = read_source("s.toml", folder)
    return ingest(source, take_inventory(source, root))


@pytest.mark.parametrize(
    ("text", "years"),
    [("45", 45), ("12.5", 12.5), ("0", 0), ("130", 130), (" 45 ", 45), ("045Y", 45), ("45Y", 45),
     ("006M", 0.5), ("052W", 52 * 7 / 365.25), ("010D", 10 / 365.25), ("000D", 0)],
)  # fmt: skip
def test_ages_are_years(tmp_path: Path, text: str, years: float) -> None:
    assert read(tmp_path, [(text, "")])["patient_age"].tolist() == [pytest.approx(years)]


@pytest.mark.parametrize(
    "text",
    ["12,5", "16 years", "16-17", "6m", "6M", "45M", "000Y", "000M", "045y", "0045Y", "Y", "45 Y", "50+",
     "early 40s", "-3", "1e1", "nan", "\u0664\u0665", "\uff14\uff15", "unknown", "45.", ".5"],
)  # fmt: skip
def test_text_that_is_no_age_is_an_error_with_its_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(CxrbuildError) as caught:
        read(tmp_path, [("45", ""), (text, "")])
    assert f"meta.csv, line 3, column age: {text!r} is no age" in str(caught.value)


@pytest.mark.parametrize("text", ["450", "999", "131", "999Y", "130.5"])
def test_an_age_outside_the_range_is_an_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(CxrbuildError, match=rf"line 2, column age: '{text}' is outside 0 to 130 years"):
        read(tmp_path, [(text, "")])


def test_the_range_of_ages_is_declared(tmp_path: Path) -> None:
    assert read(tmp_path, [("140", "")], age="most = 150")["patient_age"].tolist() == [140]
    with pytest.raises(CxrbuildError, match=r"'12' is outside 18 to 130 years"):
        read(tmp_path, [("12", "")], age="least = 18")


def test_declared_blanks_and_maps_are_not_errors(tmp_path: Path) -> None:
    declared = 'blank = ["", "50+", "999"]'
    records = read(tmp_path, [("50+", ""), ("999", ""), ("7", ""), ("", "")], age=declared)
    assert records["patient_age"].fillna(-1).tolist() == [-1, -1, 7, -1]
    assert records["patient_age_text"].fillna("").tolist() == ["50+", "999", "7", ""]
    records = read(tmp_path, [("16 years", ""), ("999", "")], age='map = { "16 years" = "16", "999" = "" }')
    assert records["patient_age"].fillna(-1).tolist() == [16, -1]
    # Only the exceptions are mapped.
    records = read(tmp_path, [("newborn", ""), ("45", ""), ("006M", "")], age='map = { "newborn" = "0" }')
    assert records["patient_age"].tolist() == [0, 45, 0.5]
    with pytest.raises(CxrbuildError, match="'old' is no age"):
        read(tmp_path, [("newborn", ""), ("old", "")], age='map = { "newborn" = "0" }')
    records = read(tmp_path, [("16 years", "")], age='pattern = "^([0-9]+) years$"')
    assert records["patient_age"].tolist() == [16]


def test_the_decimal_sign_is_declared(tmp_path: Path) -> None:
    ages = [("12,5", ""), ("7", ""), ("006M", "")]
    assert read(tmp_path, ages, age='decimal = ","')["patient_age"].tolist() == [12.5, 7, 0.5]
    with pytest.raises(CxrbuildError, match=r"'12\.5' is no age with the decimal sign ',': declare"):
        read(tmp_path, [("12.5", "")], age='decimal = ","')
    with pytest.raises(CxrbuildError, match=r"'12,5' is no age with the decimal sign '\.': declare `decimal"):
        read(tmp_path, [("12,5", "")])


def test_a_sex_that_dicom_does_not_know_is_an_error(tmp_path: Path) -> None:
    assert read(tmp_path, [("", "M"), ("", "F"), ("", "O")])["patient_sex"].tolist() == ["M", "F", "O"]
    with pytest.raises(CxrbuildError) as caught:
        read(tmp_path, [("", "M"), ("", "male"), ("", "f")])
    assert "line 3, column sex: 'male' is none of M, F, O" in str(caught.value)
    assert "line 4, column sex: 'f' is none of M, F, O" in str(caught.value)
    records = read(tmp_path, [("", "male")], sex='map = { "male" = "M" }')
    assert records["patient_sex"].tolist() == ["M"]


def test_all_problems_are_reported_at_once(tmp_path: Path) -> None:
    with pytest.raises(CxrbuildError) as caught:
        read(tmp_path, [("x", "x")] * 15)
    assert "'x' is no age" in str(caught.value)
    assert "'x' is none of M, F, O" in str(caught.value)
    assert "and 10 more" in str(caught.value)


def test_a_constant_that_a_column_cannot_hold_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(
        'name = "mine"\ntitle = "Mine"\n[reader]\nkind = "folders"\nimages = ["*.png"]\npattern = "."\n'
        '[columns.patient_age]\nvalue = "adult"\n[columns.patient_sex]\nvalue = "F"\n'
    )
    (tmp_path / "root").mkdir()
    for name in ("a.png", "b.png"):
        (tmp_path / "root" / name).write_bytes(b"image")
    source = read_source("s.toml", tmp_path)
    with pytest.raises(CxrbuildError) as caught:
        ingest(source, take_inventory(source, tmp_path / "root"))
    assert "a.png, the declared `value`: 'adult' is no age" in str(caught.value)
    assert "b.png" not in str(caught.value)
