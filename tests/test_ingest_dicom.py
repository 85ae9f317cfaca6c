"""A folder of DICOM files as a source: what the header says, and what of it goes no further."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian, generate_uid

from cxrbuild.catalog import read_source
from cxrbuild.errors import CxrbuildError
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


def write_film(path: Path, **header: object) -> None:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = ComputedRadiographyImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    for keyword, value in header.items():
        setattr(dataset, keyword, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)


def read(folder: Path, more: str = ""):
    (folder / "s.toml").write_text(SOURCE.format(more=more))
    source = read_source("s.toml", folder)
    return ingest(source, take_inventory(source, folder / "films")).set_index("source_path")


@pytest.fixture
def films(tmp_path: Path) -> Path:
    folder = tmp_path / "films"
    write_film(
        folder / "normal" / "DOE^JOHN.dcm", PatientID="4711", PatientName="Doe^John", PatientSex="M",
        PatientAge="045Y", Modality="DX", ViewPosition="PA",
    )  # fmt: skip
    write_film(folder / "normal" / "b.dcm", PatientID="4711", Modality="CR", ViewPosition="LL")
    write_film(folder / "covid" / "c.dcm", PatientID="4712", Modality="DX", BurnedInAnnotation="YES")
    write_film(folder / "covid" / "d.dcm", PatientID="4713", Modality="CT", PatientAge="006M")
    (folder / "covid" / "notes.txt").write_text("no film")
    return tmp_path


def test_the_header_becomes_columns_and_the_patient_a_keyed_hash(
    films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "a secret of some length")
    records = read(films)
    first, second = records.loc["normal/DOE^JOHN.dcm"], records.loc["normal/b.dcm"]
    assert (first["modality"], first["view_position"], first["patient_sex"]) == ("DX", "PA", "M")
    assert first["patient_age"] == 45
    assert records.loc["covid/d.dcm", "patient_age"] == 0.5
    assert first["finding"] == "normal"
    assert first["patient_id"] == second["patient_id"]
    assert len(first["patient_id"]) == 16
    assert "4711" not in records.to_csv()
    assert "doe" not in "".join(records["image_id"]), "a file name may tell who the patient is"
    assert records["exclusion"].dropna().to_dict() == {
        "covid/c.dcm": "burned_in_annotation",
        "covid/notes.txt": "unreadable_header",
    }
    hashed = first["patient_id"]
    monkeypatch.setenv(KEY_VARIABLE, "another secret of some length")
    assert read(films).loc["normal/b.dcm", "patient_id"] != hashed


def test_without_a_key_nothing_is_read(films: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    with pytest.raises(CxrbuildError, match=KEY_VARIABLE):
        read(films)
    monkeypatch.setenv(KEY_VARIABLE, "short")
    with pytest.raises(CxrbuildError, match="5 characters"):
        read(films)


def test_what_is_asked_for_is_kept(films: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    records = read(films, 'patient_id = "keep"\nburned_in_annotation = "keep"')
    assert records.loc["normal/b.dcm", "patient_id"] == "4711"
    assert records["exclusion"].dropna().to_dict() == {"covid/notes.txt": "unreadable_header"}
