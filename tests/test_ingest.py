"""Metadata becomes rows: the four shipped sources with their quirks, and errors on any other layout."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from cxrbuild.catalog import Source, read_source
from cxrbuild.errors import CxrbuildError
from cxrbuild.ingest import ingest, take_inventory
from cxrbuild.lockfile import source_folder
from cxrbuild.shell import quote

CSV = """
name = "mine"
title = "Mine"
license = "CC-BY-4.0"

[reader]
kind = "csv"
file = "meta.csv"
header = ["id", "name", "view", "age", "licence"]
path = "images/{name}"
images = ["images/*"]
patient_id = "keep"

[columns.patient_id]
from = "id"

[columns.view_position]
from = "view"
map = { "PA" = "PA", "L" = "LATERAL" }
blank = ["", "?"]

[columns.patient_age]
from = "age"
blank = ["", "early 40s"]

[columns.license]
from = "licence"
map = { "CC0" = "CC0-1.0" }
"""


def make(folder: Path, text: bytes, files: tuple[str, ...] = ()) -> tuple[Source, Path]:
    (folder / "s.toml").write_text(CSV)
    root = folder / "root"
    (root / "images").mkdir(parents=True)
    (root / "meta.csv").write_bytes(text)
    for name in files:
        (root / "images" / name).write_bytes(b"image")
    return read_source("s.toml", folder), root


def test_ingest_maps_values_and_keeps_every_row_and_file(tmp_path: Path) -> None:
    text = (
        b"id,name,view,age,licence\n"
        b'7,a.png,PA,065Y,"CC0"\n'
        b"7,b.png,?,early 40s,\n"
        b"8,lost.png,L,12,\n"
        b"9,a.png,PA,030M,\n"
    )
    source, root = make(tmp_path, text, ("a.png", "b.png", "stray.png"))
    with pytest.raises(CxrbuildError) as error:
        ingest(source, take_inventory(source, root))
    assert (
        "images/a.png: patient_id '7' (meta.csv, line 2), '9' (meta.csv, line 5); "
        "patient_age '65.0' (meta.csv, line 2), '2.5' (meta.csv, line 5); license"
    ) in str(error.value)
    (tmp_path / "s.toml").write_text(CSV.replace("[reader]", '[reader]\ndiffering_rows = "first"'))
    source = read_source("s.toml", tmp_path)
    records = ingest(source, take_inventory(source, root)).set_index("source_path", drop=False)
    assert records["exclusion"].fillna("").tolist() == [
        "", "", "row_without_file", "listed_twice", "file_without_row",
    ]  # fmt: skip
    first, second = records.iloc[0], records.iloc[1]
    assert (first["view_position"], first["patient_age"], first["license"]) == ("PA", 65, "CC0-1.0")
    assert (second["view_position_text"], second["patient_age_text"]) == ("?", "early 40s")
    assert second[["view_position", "patient_age"]].isna().all()
    assert second["license"] == "CC-BY-4.0"
    assert records.iloc[3]["patient_age"] == 2.5
    assert records["image_id"].is_unique
    assert records["image_id"].str.fullmatch(r"[a-z0-9_-]+").all()


def test_rows_of_an_image_that_are_equal_where_they_are_mapped_are_no_error(tmp_path: Path) -> None:
    text = b"id,name,view,age,licence\n7,a.png,PA,65,CC0\n7,A.PNG,PA,065Y,CC0\n8,b.png,L,1,\n9,b.png,L,2,\n"
    source, root = make(tmp_path, text, ("a.png",))  # rows without a file decide nothing
    found = ingest(source, take_inventory(source, root))["exclusion"].fillna("").tolist()
    assert found == ["", "listed_twice", "row_without_file", "row_without_file"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"id,name,view,age\n1,a.png,PA,3\n", 'column "licence" is missing'),
        (b"id,name,view,age,licence,x\n1,a.png,PA,3,,\n", 'column "x" is unknown'),
        (b"name,id,view,age,licence\n", "the columns in another order"),
        (b"id,name,view,age,licence\n1,a.png,PA,3\n", "line 2: 4 cells, not 5"),
        (b"id,name,view,age,licence\n1,a.png,APS,3,\n", "meta.csv, line 2, column view: 'APS' is unknown"),
        (b'id,name,view,age,licence\n1,"a\nb.png",PA,3,\n2,c.png,XX,,\n', "line 4, column view: 'XX'"),
        (b"id,name,view,age,licence\n1,caf\xe9.png,PA,3,\n", "not in the declared encoding, at line 2"),
        (b'id,name,view,age,licence\n1,"a.png,PA,3,\n', "not CSV from line 2 on"),
    ],
)
def test_an_unknown_layout_is_refused_with_its_place(tmp_path: Path, text: bytes, message: str) -> None:
    source, root = make(tmp_path, text)
    with pytest.raises(CxrbuildError) as caught:
        ingest(source, take_inventory(source, root))
    assert message in str(caught.value)


def test_a_byte_order_mark_is_removed(tmp_path: Path) -> None:
    source, root = make(tmp_path, b"\xef\xbb\xbfid,name,view,age,licence\n1,a.png,PA,3,\n", ("a.png",))
    assert ingest(source, take_inventory(source, root))["patient_id"].tolist() == ["1"]


def test_a_fetched_file_that_is_missing_keeps_its_row(tmp_path: Path) -> None:
    text = b"id,name,view,age,licence\n1,a.png,PA,1,\n2,b.png,PA,1,\n"
    source, root = make(tmp_path, text, ("a.png",))
    without = ingest(source, take_inventory(source, root))
    assert without["exclusion"].fillna("").tolist() == ["", "row_without_file"]
    inventory = take_inventory(source, root, fetched=["meta.csv", "images/a.png", "images/b.png"])
    assert ingest(source, inventory)["exclusion"].isna().all()
    assert inventory.available == {"meta.csv", "images/a.png"}


def test_a_source_that_is_not_fetched_is_refused(tmp_path: Path) -> None:
    command = f"cxrbuild fetch cohen --data {quote(tmp_path)}"
    with pytest.raises(CxrbuildError, match=re.escape(f"Run `{command}`")):
        take_inventory(read_source("cohen"), source_folder(tmp_path, "cohen"))


def test_planning_as_pinned_refuses_other_metadata(metadata_only: Path, tmp_path: Path) -> None:
    shutil.copytree(metadata_only / "sources" / "cohen", tmp_path / "cohen")
    with (tmp_path / "cohen" / "metadata.csv").open("a") as stream:
        stream.write("\n")
    with pytest.raises(CxrbuildError, match="not the pinned metadata"):
        take_inventory(read_source("cohen"), tmp_path / "cohen", as_pinned=True)
    with pytest.raises(CxrbuildError, match=r"is not there. Run `.*`, or put its metadata alone there"):
        take_inventory(read_source("cohen"), tmp_path / "none" / "sources" / "cohen", as_pinned=True)


def test_cohen_at_its_pin(metadata_only: Path) -> None:
    source = read_source("cohen")
    records = ingest(source, take_inventory(source, metadata_only / "sources" / "cohen", as_pinned=True))
    assert len(records) == 751 + 13
    assert records["exclusion"].value_counts().to_dict() == {
        "row_without_file": 21,
        "file_without_row": 13,
        "listed_twice": 5,
    }
    rows = records[records["exclusion"] != "file_without_row"]
    assert rows["modality"].value_counts().to_dict() == {"XR": 667, "CT": 84}
    images = rows[rows["modality"] == "XR"]
    assert images["view_position"].isin(["AP", "PA"]).sum() == 570
    assert (images["view_position"] == "LATERAL").sum() == 58
    assert images["view_position"].isna().sum() == 39
    assert rows["patient_id"].nunique() == 380
    assert (records["finding"] == "todo").sum() == 0
    covid = rows[rows["finding"].str.contains("COVID-19", na=False) & (rows["modality"] == "XR")]
    frontal = covid[covid["view_position"].isin(["AP", "PA"])]
    assert len(frontal) == 434
    assert records["source_blob"].notna().sum() == len(records) - 21


def test_figure1_at_its_pin(shared: Path) -> None:
    source = read_source("figure1")
    records = ingest(source, take_inventory(source, shared / "originals" / "figure1"))
    assert len(records) == 55
    assert records["exclusion"].isna().all()
    covid = records[records["finding"] == "COVID-19"]
    assert len(covid) == 35
    assert covid["view_position"].isna().sum() == 27
    assert set(records.loc[records["patient_id"] == "COVID-00003", "patient_id_text"]) == {
        "COVID-00003a",
        "COVID-00003b",
    }
    not_a_number = records[records["patient_age_text"].isin(["50+", "67+", "early 40s", "mid 50s"])]
    assert len(not_a_number) == 8
    assert not_a_number["patient_age"].isna().all()
    assert records["patient_age"].notna().sum() == 55 - 26 - 8


def test_actualmed_at_its_pin(metadata_only: Path) -> None:
    source = read_source("actualmed")
    records = ingest(source, take_inventory(source, metadata_only / "sources" / "actualmed", as_pinned=True))
    assert len(records) == 238
    assert records["view_position"].value_counts().to_dict() == {"PA": 199, "AP": 39}
    assert records["patient_id"].nunique() == 215


def test_mooney_at_its_pin(metadata_only: Path) -> None:
    source = read_source("mooney")
    records = ingest(source, take_inventory(source, metadata_only / "sources" / "mooney", as_pinned=True))
    assert len(records) == 5856
    assert records["exclusion"].isna().all()
    assert records["upstream_split"].value_counts().to_dict() == {"train": 5216, "test": 624, "val": 16}
    odd = records[records["source_path"].str.endswith("person447_virus_921_1.jpeg")]
    assert odd["patient_id"].tolist() == ["person447_virus"]
    number = records["patient_id"].str.extract(r"^person(\d+)_")[0]
    parts = (
        records.assign(part=records["upstream_split"].replace("val", "train"))
        .groupby(number)["part"]
        .nunique()
    )
    assert (parts == 2).sum() > 100, "bare numbers are in both splits"
    assert (records.groupby("patient_id")["upstream_split"].nunique() == 1).all(), (
        "with their tag they never do"
    )
