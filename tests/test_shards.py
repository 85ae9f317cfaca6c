"""The shards open in the libraries people use, and hold every label and pixel of the JPEGs."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from command import run, run_process
from PIL import Image
from systems import largest_file, needs_limits, needs_links

from cxrbuild.errors import CxrbuildError
from cxrbuild.records import read_records
from cxrbuild.shards import layout
from cxrbuild.shards.layout import lay_out
from cxrbuild.shards.parquet import write_parquet

# TensorFlow takes seconds to load: all its tests run in one worker.
pytestmark = pytest.mark.xdist_group("tensorflow")

CLASSES = ["COVID-19", "Normal", "Pneumonia"]


@pytest.fixture(scope="module")
def build(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("shards") / "build"
    # TensorFlow's own imports warn.
    ran = run("curate", "--recipe", demo / "declared" / "recipe.toml", "--data", demo / "data",
              "--out", out, PYTHONWARNINGS="default")  # fmt: skip
    assert ran.status == 0, ran.err
    return out


def expected(build: Path) -> Iterator[tuple[dict, np.ndarray]]:
    for row in read_records(build / "manifest.parquet").to_dict("records"):
        with Image.open(build / row["jpeg_path"]) as image:
            yield row, np.asarray(image)


@pytest.mark.filterwarnings("ignore")
def test_datasets_opens_parquet_with_images_and_class_names(build: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    loaded = datasets.load_dataset("parquet", data_dir=str(build / "data"), cache_dir=str(tmp_path))
    rows = {row["image_id"]: (split, row) for split in loaded for row in loaded[split]}
    assert loaded["train"].features["label"].names == CLASSES
    assert isinstance(loaded["train"].features["image"], datasets.Image)
    for row, pixels in expected(build):
        split, found = rows.pop(row["image_id"])
        assert split == row["split"]
        assert CLASSES[found["label"]] == row["label"]
        assert np.array_equal(np.asarray(found["image"]), pixels)
        assert found["patient_id"] == row["patient_id"]
        assert found["license"] == row["license"]
        assert found["patient_age"] == (None if pd.isna(row["patient_age"]) else row["patient_age"])
    assert not rows


@pytest.mark.filterwarnings("ignore")
def test_tfds_opens_tfrecord(build: Path) -> None:
    tfds = pytest.importorskip("tensorflow_datasets")
    tf = pytest.importorskip("tensorflow")
    builder = tfds.builder_from_directory(str(build / "tfds" / "demo_cxr" / "1.0.0"))
    assert builder.info.features["label"].names == CLASSES
    assert {name: split.num_examples for name, split in builder.info.splits.items()} == {
        "train": 74,
        "test": 15,
    }
    rows = {
        row["image_id"].decode(): (split, row)
        for split in ("train", "test")
        for row in tfds.as_numpy(builder.as_dataset(split=split))
    }
    undecoded = {"image": tfds.decode.SkipDecoding()}
    stored = {
        row["image_id"].decode(): row["image"]
        for split in ("train", "test")
        for row in tfds.as_numpy(builder.as_dataset(split=split, decoders=undecoded))
    }
    for row, pixels in expected(build):
        split, found = rows.pop(row["image_id"])
        assert split == row["split"]
        assert CLASSES[found["label"]] == row["label"]
        jpeg = (build / row["jpeg_path"]).read_bytes()
        assert stored[row["image_id"]] == jpeg
        # TensorFlow's default inverse DCT is faster than Pillow's: single pixels are a few levels apart.
        assert np.array_equal(found["image"], tf.io.decode_jpeg(jpeg).numpy())
        assert np.abs(found["image"][..., 0].astype(int) - pixels).mean() < 1
        assert found["patient_id"].decode() == row["patient_id"]
        age = row["patient_age"]
        assert math.isnan(found["patient_age"]) if pd.isna(age) else found["patient_age"] == age
    assert not rows


@pytest.mark.filterwarnings("ignore")
def test_tfds_writes_the_same_features_as_we_do(build: Path, tmp_path: Path) -> None:
    """What we declare by hand is what TFDS itself would have written for these features."""
    features = pytest.importorskip("tensorflow_datasets").features
    ours = json.loads((build / "tfds" / "demo_cxr" / "1.0.0" / "features.json").read_text())
    features.FeaturesDict({
        "image": features.Image(shape=(None, None, 1), dtype=np.uint8, encoding_format="jpeg"),
        "label": features.ClassLabel(names=CLASSES),
        "patient_age": features.Scalar(np.float32),
        "source": features.Text(),
    }).save_config(tmp_path)  # fmt: skip
    made = json.loads((tmp_path / "features.json").read_text())
    for name, theirs in made["featuresDict"]["features"].items():
        mine = ours["featuresDict"]["features"][name]
        assert {k: v for k, v in mine.items() if k != "pythonClassName"} == {
            k: v for k, v in theirs.items() if k != "pythonClassName"
        }
        assert mine["pythonClassName"].rsplit(".", 1)[1] == theirs["pythonClassName"].rsplit(".", 1)[1]


@needs_links
def test_a_part_of_several_shards_is_cut_by_size_and_misses_nothing(
    build: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = read_records(build / "manifest.parquet")
    monkeypatch.setattr(layout, "SHARD_BYTES", int(manifest["jpeg_bytes"].sum()) // 5)
    shards = lay_out(manifest)
    train = [shard for shard in shards if shard.split == "train"]
    assert len(train) > 3
    assert [(shard.number, shard.of) for shard in train] == [(n, len(train)) for n in range(len(train))]
    assert sorted(name for shard in shards for name in shard.rows["image_id"]) == sorted(manifest["image_id"])
    (tmp_path / "images").symlink_to(build / "images")
    paths = write_parquet(shards, tmp_path, CLASSES)
    assert paths[0].name == f"train-00000-of-{shards[0].of:05d}.parquet"
    found = [
        name for path in paths for name in pq.read_table(path, columns=["image_id"])["image_id"].to_pylist()
    ]
    assert sorted(found) == sorted(manifest["image_id"])


def test_a_shard_taken_as_it_comes_mixes_the_classes(build: Path) -> None:
    train = pq.read_table(build / "data" / "train-00000-of-00001.parquet", columns=["label"])[
        "label"
    ].to_pylist()
    assert len(set(train[:12])) == 3


@pytest.mark.parametrize("change", [lambda data: data[:-1], lambda data: data + b"\0"])
def test_a_jpeg_of_another_size_than_the_table_says_is_not_packed(
    build: Path, tmp_path: Path, change: Callable[[bytes], bytes]
) -> None:
    rows = read_records(build / "manifest.parquet")
    path = rows["jpeg_path"].iloc[3]
    shutil.copytree(build / "images", tmp_path / "images")
    (tmp_path / path).write_bytes(change((build / path).read_bytes()))
    with pytest.raises(CxrbuildError, match="a JPEG changed while the shards were written") as raised:
        write_parquet(lay_out(rows), tmp_path, CLASSES)
    assert str(tmp_path / path) in str(raised.value)
    assert not [*tmp_path.rglob("*.parquet"), *tmp_path.rglob("*.part")]


@needs_limits
def test_a_full_disk_is_an_error_and_finished_work_is_kept(demo: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorflow")
    out = tmp_path / "b"
    words = ["curate", "--recipe", demo / "declared" / "recipe.toml", "--data", demo / "data",
             "--out", out, "--format", "tfrecord"]  # fmt: skip
    # The JPEGs and the tables have at the most some 24,000 bytes, a shard 100,000.
    with largest_file(60_000):
        full = run_process(*words, COLUMNS="1000", PYTHONWARNINGS="default")
    assert full.status == 1
    assert re.search(
        rf"cxrbuild: {out}/tfds/demo_cxr/1\.0\.0/demo_cxr-(test|train)\.tfrecord-00000-of-00001: "
        r"cannot write TFRecord\. Found: File too large\. Free space on the disk and run the command again",
        full.err,
    )
    assert "Traceback" not in full.err
    assert not [*out.rglob("*.part"), *out.rglob("*tfrecord-*")]
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.jpg")}
    assert len(before) == 89
    ran = run_process(*words, PYTHONWARNINGS="default")
    assert ran.status == 0, ran.err
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.jpg")} == before


def test_without_tensorflow_tfrecord_is_refused_with_the_install_command(demo: Path, tmp_path: Path) -> None:
    # A Python without TensorFlow: this one, with the module's name barred at its start.
    (tmp_path / "sitecustomize.py").write_text(
        "import sys, importlib.abc\n"
        "class Bar(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'tensorflow': raise ModuleNotFoundError(name)\n"
        "import importlib.util as u\n"
        "found = u.find_spec\n"
        "u.find_spec = lambda name, package=None: None if name == 'tensorflow' else found(name, package)\n"
    )
    words = ["curate", "--recipe", demo / "declared" / "recipe.toml", "--data", demo / "data"]
    ran = run_process(*words, "--out", tmp_path / "b", PYTHONPATH=str(tmp_path))
    assert ran.status == 1
    assert "pip install 'cxrbuild[train]'" in ran.err
    assert not (tmp_path / "b").exists()
    ran = run_process(*words, "--out", tmp_path / "b", "--format", "parquet", PYTHONPATH=str(tmp_path))
    assert ran.status == 0, ran.err
