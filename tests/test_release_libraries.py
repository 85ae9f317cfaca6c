"""Releases: what other libraries load from them."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pandas as pd
import pytest
from libraries import library
from PIL import Image
from releasing import WITHHELD, images_of

from cxrbuild.files import read_json

pytestmark = pytest.mark.xdist_group("release")


def test_hugging_face_datasets_loads_it(
    varied: Path, varied_public: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    loaded = datasets.load_dataset(str(varied_public), cache_dir=str(tmp_path))
    manifest = images_of(varied_public).set_index("image_id")
    embedded = manifest[manifest["withheld"].isna()]
    assert {part: len(rows) for part, rows in loaded.items()} == embedded["split"].value_counts().to_dict()
    assert loaded["train"].features["label"].names == ["COVID-19", "Normal", "Pneumonia"]
    for part, rows in loaded.items():
        names = rows.features["label"].names
        for row in rows:
            due = embedded.loc[row["image_id"]]
            assert (due["split"], due["label"]) == (part, names[row["label"]])
            assert row["image"].tobytes() == Image.open(varied / due["jpeg_path"]).tobytes()


def test_card_is_valid_for_the_hub(varied_public: Path) -> None:
    hub = pytest.importorskip("huggingface_hub")
    card = hub.DatasetCard.load(varied_public / "README.md")
    assert card.data.license == "other"
    assert card.data.configs[0]["data_files"][0] == {"split": "train", "path": "data/train-*.parquet"}
    splits = {split["name"]: split["num_examples"] for split in card.data.dataset_info["splits"]}
    embedded = images_of(varied_public)
    assert splits == embedded[embedded["withheld"].isna()]["split"].value_counts().to_dict()
    for reason in WITHHELD:
        assert f"\n| {reason} | 1 |" in card.text


# rdflib, which mlcroissant reads with, warns of itself.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_croissant_loads_images_and_manifest(
    varied: Path, varied_public: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mlc = pytest.importorskip("mlcroissant")
    dataset = mlc.Dataset(varied_public / "croissant.json")
    assert not dataset.metadata.ctx.issues.errors
    assert not dataset.metadata.ctx.issues.warnings
    manifest = images_of(varied_public).set_index("image_id")
    records = list(dataset.records("images"))
    assert len(records) == manifest["withheld"].isna().sum()
    for record in records:
        due = manifest.loc[record["images/image_id"].decode()]
        assert due["split"].encode() == record["images/split"]
        assert record["images/image"].tobytes() == Image.open(varied / due["jpeg_path"]).tobytes()
    rows = list(dataset.records("manifest"))
    assert {row["manifest/image_id"].decode() for row in rows} == set(manifest.index)
    assert not caplog.records


def test_croissant_has_biases_and_missing_data(varied_public: Path) -> None:
    document = read_json(varied_public / "croissant.json")
    assert any("Every Normal image is from mooney" in text for text in document["rai:dataBiases"])
    assert "license_unknown: 1" in document["rai:dataCollectionMissingData"]


def test_pandas_and_duckdb_read_the_tables(varied_public: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    manifest = pd.read_parquet(varied_public / "manifest.parquet")
    query = f"SELECT label, count(*) FROM '{varied_public}/manifest.parquet' GROUP BY label"
    assert dict(duckdb.sql(query).fetchall()) == manifest["label"].value_counts().to_dict()
    query = f"SELECT image_id, octet_length(image.bytes) FROM '{varied_public}/data/*.parquet'"
    sizes = manifest.set_index("image_id")["jpeg_bytes"]
    found = dict(duckdb.sql(query).fetchall())
    assert found == {image: sizes[image] for image in found}
    assert len(found) == 83


def test_torchxrayvision_reads_the_list(varied: Path, varied_public: Path) -> None:
    xrv = library("torchxrayvision")
    found = xrv.datasets.COVID19_Dataset(
        imgpath=str(varied), csvpath=str(varied_public / "images.csv"), views=["*"]
    )
    assert len(found) == 89
    assert found[0]["img"].shape[0] == 1


def test_image_list_leads_to_the_images(varied: Path, varied_public: Path) -> None:
    rows = list(csv.DictReader(io.StringIO((varied_public / "images.csv").read_text())))
    assert {"patientid", "offset", "sex", "age", "finding", "view", "filename"} <= set(rows[0])
    assert all((varied / row["filename"]).is_file() for row in rows)
    assert len(rows) == 89
