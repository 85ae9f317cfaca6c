"""The shards open in the libraries people use, and hold every label and pixel of the JPEGs."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from command import CHECKOUT, run, run_process
from PIL import Image
from releasing import images_of
from systems import largest_file, needs_limits, needs_links

from cxrbuild.errors import CxrbuildError
from cxrbuild.records import read_records
from cxrbuild.shards import layout
from cxrbuild.shards.example import read_example
from cxrbuild.shards.layout import lay_out
from cxrbuild.shards.record_file import read_records as read_records_of
from cxrbuild.shards.tfrecord import Description
from cxrbuild.shards.write import write_shards

# TensorFlow takes seconds to load: all its tests run in one worker.
pytestmark = pytest.mark.xdist_group("tensorflow")

CLASSES = ["COVID-19", "Normal", "Pneumonia"]
DATASET = Description("demo-cxr", "1.0.0", "", "")
BOTH = ("parquet", "tfrecord")


@pytest.fixture(scope="module")
def build(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build in both formats, made by a Python that cannot import TensorFlow."""
    folder = tmp_path_factory.mktemp("shards")
    (folder / "sitecustomize.py").write_text(
        "import sys, importlib.abc\n"
        "class Bar(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name in ('tensorflow', 'google.protobuf'): raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Bar())\n"
    )
    words = ["curate", "--recipe", demo / "declared" / "recipe.toml", "--data", demo / "data"]
    path = os.pathsep.join([str(folder), str(CHECKOUT)])
    ran = run_process(*words, "--out", folder / "build", PYTHONPATH=path)
    assert ran.status == 0, ran.err
    return folder / "build"


def test_both_formats_need_no_tensorflow(build: Path) -> None:
    assert (build / "data" / "train-00000-of-00001.parquet").is_file()
    assert (build / "tfds/demo_cxr/1.0.0/demo_cxr-train.tfrecord-00000-of-00001").is_file()


def test_another_run_keeps_the_shards(demo: Path, build: Path) -> None:
    before = {path: path.stat().st_ctime_ns for path in build.rglob("*-of-*")}
    document = (build / "build.json").read_bytes()
    (build / "build.json").unlink()  # as a run leaves it that is killed at its end
    ran = run("curate", "--recipe", demo / "declared" / "recipe.toml", "--data", demo / "data",
              "--out", build)  # fmt: skip
    assert ran.status == 0, ran.err
    assert {path: path.stat().st_ctime_ns for path in build.rglob("*-of-*")} == before
    assert (build / "build.json").read_bytes() == document


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
def test_tfds_opens_a_release(varied_private: Path) -> None:
    tfds = pytest.importorskip("tensorflow_datasets")
    builder = tfds.builder_from_directory(varied_private / "tfds" / "demo_cxr" / "1.0.0")
    manifest = images_of(varied_private).set_index("image_id")
    assert builder.info.features["label"].names == CLASSES
    seen = []
    for part in ("train", "test"):
        for row in tfds.as_numpy(builder.as_dataset(part)):
            due = manifest.loc[row["image_id"].decode()]
            assert (due["split"], due["width"], due["height"]) == (
                part,
                row["image"].shape[1],
                row["image"].shape[0],
            )
            seen.append(due.name)
    assert sorted(seen) == sorted(manifest.index)


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
def test_a_split_of_several_shards_is_divided_by_size_and_misses_nothing(
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
    files = write_shards(shards, tmp_path, CLASSES, BOTH, DATASET)
    parquet = sorted(name for name in files if name.startswith("data/train"))
    assert parquet == [f"data/train-{n:05d}-of-{len(train):05d}.parquet" for n in range(len(train))]
    ids = [shard.rows["image_id"].tolist() for shard in train]
    assert [pq.read_table(tmp_path / name)["image_id"].to_pylist() for name in parquet] == ids
    records = sorted(name for name in files if name.startswith("tfds/demo_cxr/1.0.0/demo_cxr-train"))
    assert [
        [read_example(record)["image_id"].decode() for record in read_records_of(tmp_path / name)]
        for name in records
    ] == ids


@pytest.mark.parametrize("formats", [BOTH, BOTH[:1], BOTH[1:]])
def test_files_do_not_depend_on_the_other_format_and_are_hashed(
    build: Path, tmp_path: Path, formats: tuple[str, ...]
) -> None:
    document = json.loads((build / "build.json").read_text())
    recipe = document["recipe"]
    dataset = Description(
        recipe["name"], recipe["version"], recipe["description"].strip(), recipe["citation"] or ""
    )
    shards = lay_out(read_records(build / "manifest.parquet"))
    files = write_shards(shards, build, CLASSES, formats, dataset, out=tmp_path)
    folders = tuple({"parquet": "data/", "tfrecord": "tfds/"}[name] for name in formats)
    expected = {name: entry for name, entry in document["files"].items() if name.startswith(folders)}
    assert {name: entry.model_dump() for name, entry in files.items()} == expected
    for name, entry in files.items():
        data = (tmp_path / name).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (entry.bytes, entry.sha256)
        assert data == (build / name).read_bytes()


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
        write_shards(lay_out(rows), tmp_path, CLASSES, BOTH, DATASET)
    assert str(tmp_path / path) in str(raised.value)
    assert not [*tmp_path.rglob("*.parquet"), *tmp_path.rglob("*tfrecord*"), *tmp_path.rglob("*.part")]


@needs_limits
@pytest.mark.parametrize("form", ["parquet", pytest.param("tfrecord", marks=pytest.mark.slow)])
def test_a_full_disk_is_an_error_and_finished_work_is_kept(demo: Path, tmp_path: Path, form: str) -> None:
    out = tmp_path / "b"
    words = ["curate", "--recipe", demo / "declared" / "recipe.toml", "--data", demo / "data",
             "--out", out, "--format", form]  # fmt: skip
    # The JPEGs and the tables have at the most some 24,000 bytes, a shard 100,000.
    with largest_file(60_000):
        full = run(*words)
    assert full.status == 1
    shard = {
        "parquet": r"data/(test|train)-00000-of-00001\.parquet",
        "tfrecord": r"tfds/demo_cxr/1\.0\.0/demo_cxr-(test|train)\.tfrecord-00000-of-00001",
    }[form]
    assert re.search(rf"cxrbuild: {out}/{shard}: File too large", full.err), full.err
    assert "File too large. Run again where files may be as large" in " ".join(full.err.split())
    assert "Traceback" not in full.err
    assert not [*out.rglob("*.part"), *out.rglob("*tfrecord-*"), *out.rglob("data/*.parquet")]
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.jpg")}
    assert len(before) == 89
    ran = run(*words)
    assert ran.status == 0, ran.err
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.jpg")} == before
