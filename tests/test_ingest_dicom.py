"""DICOM files as a source: what is read of the header, whichever reader lists the file."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    generate_uid,
)

from cxrbuild.catalog import read_source
from cxrbuild.errors import CxrbuildError, DeclarationError
from cxrbuild.ingest import ingest, take_inventory
from cxrbuild.patient_key import KEY_VARIABLE

SOURCE = """
name = "hospital"
title = "A hospital"

[reader]
kind = "dicom"
pattern = '^(?P<folder>[^/]+)/'
{more}

[columns.finding]
from = "folder"
"""


def write_dicom(path: Path, syntax: UID = ExplicitVRLittleEndian, **header: object) -> None:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.MediaStorageSOPClassUID = ComputedRadiographyImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    for keyword, value in header.items():
        setattr(dataset, keyword, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)


def read(folder: Path, more: str = ""):
    (folder / "s.toml").write_text(SOURCE.format(more=more))
    source = read_source("s.toml", folder)
    return ingest(source, take_inventory(source, folder / "images")).set_index("source_path")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    write_dicom(
        folder / "normal" / "DOE^JOHN.dcm", PatientID="4711", PatientName="Doe^John", PatientSex="M",
        PatientAge="045Y", Modality="DX", ViewPosition="PA",
    )  # fmt: skip
    write_dicom(folder / "normal" / "b.dcm", PatientID="4711", Modality="CR", ViewPosition="LL")
    write_dicom(folder / "covid" / "c.dcm", PatientID="4712", Modality="DX", BurnedInAnnotation="YES")
    write_dicom(folder / "covid" / "d.dcm", PatientID="4713", Modality="CT", PatientAge="006M")
    (folder / "covid" / "notes.txt").write_text("no image")
    return tmp_path


def test_the_header_becomes_columns_and_patient_numbers_are_hashed(
    images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "a secret of some length")
    records = read(images)
    first, second = records.loc["normal/DOE^JOHN.dcm"], records.loc["normal/b.dcm"]
    assert (first["modality"], first["view_position"], first["patient_sex"]) == ("DX", "PA", "M")
    assert first["patient_age"] == 45
    assert records.loc["covid/d.dcm", "patient_age"] == 0.5
    assert first["finding"] == "normal"
    assert first["patient_id"] == second["patient_id"]
    assert len(first["patient_id"]) == 16
    assert "4711" not in records.to_csv()
    assert "doe" not in "".join(records["image_id"]), "a file name can name the patient"
    assert records["exclusion"].dropna().to_dict() == {
        "covid/c.dcm": "burned_in_annotation",
        "covid/notes.txt": "unreadable_header",
    }
    hashed = first["patient_id"]
    monkeypatch.setenv(KEY_VARIABLE, "another secret of some length")
    assert read(images).loc["normal/b.dcm", "patient_id"] != hashed


def test_a_missing_key_stops_before_headers_are_read(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    with pytest.raises(CxrbuildError, match=KEY_VARIABLE):
        read(images)
    monkeypatch.setenv(KEY_VARIABLE, "short")
    with pytest.raises(CxrbuildError, match="5 characters"):
        read(images)


def test_patient_numbers_and_burned_in_annotation_can_be_kept(
    images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    records = read(images, 'patient_id = "keep"\nburned_in_annotation = "keep"')
    assert records.loc["normal/b.dcm", "patient_id"] == "4711"
    assert records["exclusion"].dropna().to_dict() == {"covid/notes.txt": "unreadable_header"}


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "a secret of some length")


@pytest.mark.usefixtures("key")
@pytest.mark.parametrize("size", [131, 140, 150, 300, -1, -20])
def test_a_damaged_header_is_that_files_exclusion(tmp_path: Path, size: int) -> None:
    good = tmp_path / "images" / "a" / "1.dcm"
    write_dicom(good, PatientID="1", Modality="DX")
    bad = tmp_path / "images" / "a" / "2.dcm"
    write_dicom(bad, DeflatedExplicitVRLittleEndian, PatientID="2", PatientComments="chest " * 30)
    bad.write_bytes(bad.read_bytes()[:size])
    records = read(tmp_path)
    assert records["exclusion"].dropna().to_dict() == {"a/2.dcm": "unreadable_header"}
    assert records.loc["a/2.dcm", "exclusion_detail"]
    assert "chest" not in records.to_csv()


@pytest.mark.usefixtures("key")
def test_a_deflated_header_is_read(tmp_path: Path) -> None:
    write_dicom(
        tmp_path / "images" / "a" / "1.dcm", DeflatedExplicitVRLittleEndian, PatientID="1", Modality="DX"
    )
    assert read(tmp_path)["modality"].tolist() == ["DX"]


@pytest.mark.usefixtures("key")
def test_whatever_the_parser_raises_is_that_files_exclusion(
    images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pydicom

    def fail(path: Path, **options: object) -> Dataset:
        if path.name == "b.dcm":
            raise RecursionError("DOE^JOHN")
        return actual(path, **options)

    actual = pydicom.dcmread
    monkeypatch.setattr(pydicom, "dcmread", fail)
    records = read(images)
    assert records.loc["normal/b.dcm", "exclusion"] == "unreadable_header"
    assert records.loc["normal/b.dcm", "exclusion_detail"].endswith("(RecursionError)")
    assert records.loc["covid/d.dcm", "modality"] == "CT"


@pytest.mark.usefixtures("key")
def test_a_header_without_preamble_is_read(tmp_path: Path) -> None:
    path = tmp_path / "images" / "a" / "1.dcm"
    write_dicom(path, PatientID="1", Modality="DX", SOPClassUID=ComputedRadiographyImageStorage)
    data = path.read_bytes()
    path.write_bytes(data[data.index(b"\x08\0\x16\0") :])
    assert read(tmp_path)["modality"].tolist() == ["DX"]


@pytest.mark.usefixtures("key")
@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({"Modality": ["CR", "DX"]}, r"a/1.dcm, column Modality: 'CR\\DX' is several values"),
        ({"ViewPosition": ["PA", "LL"]}, r"column ViewPosition: 'PA\\LL' is several values"),
        ({"PatientAge": ["045Y", "046Y"]}, r"column PatientAge: '045Y\\046Y' is several values"),
        ({"PatientAge": "000Y"}, "column PatientAge: '000Y' is no age"),
        ({"PatientAge": "999Y"}, "column PatientAge: '999Y' is outside 0 to 130 years"),
        ({"PatientSex": "MALE"}, "column PatientSex: 'MALE' is none of M, F, O"),
    ],
)
def test_header_values_that_a_column_cannot_hold_are_errors(
    tmp_path: Path, header: dict[str, object], message: str
) -> None:
    write_dicom(tmp_path / "images" / "a" / "1.dcm", PatientID="1", **header)
    with pytest.raises(CxrbuildError) as caught:
        read(tmp_path)
    assert message in str(caught.value)


@pytest.mark.usefixtures("key")
def test_a_declared_map_decides_about_several_values(tmp_path: Path) -> None:
    write_dicom(tmp_path / "images" / "a" / "1.dcm", PatientID="1", Modality=["CR", "DX"])
    (tmp_path / "s.toml").write_text(
        SOURCE.format(more="") + '[columns.modality]\nfrom = "Modality"\nmap = { \'CR\\DX\' = "CR" }\n'
    )
    source = read_source("s.toml", tmp_path)
    assert ingest(source, take_inventory(source, tmp_path / "images"))["modality"].tolist() == ["CR"]


@pytest.mark.usefixtures("key")
@pytest.mark.parametrize(("value", "excluded"), [("YES", True), ("Y", True), ("NO", False), ("", False)])
def test_burned_in_annotation_other_than_no_excludes(tmp_path: Path, value: str, excluded: bool) -> None:
    write_dicom(tmp_path / "images" / "a" / "1.dcm", PatientID="1", BurnedInAnnotation=value)
    assert read(tmp_path)["exclusion"].notna().tolist() == [excluded]


def test_a_group_named_like_a_keyword_is_refused(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(SOURCE.replace("<folder>", "<PatientID>").format(more=""))
    with pytest.raises(DeclarationError, match="the group 'PatientID' has the name of a DICOM keyword"):
        read_source("s.toml", tmp_path)
