"""The images of a baseline: found in builds, releases and shards, decoded and resized."""

from __future__ import annotations

import json
import shutil
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cxrbuild.baseline.backend import load_tensorflow
from cxrbuild.baseline.image_table import find_images
from cxrbuild.baseline.input import read_images
from cxrbuild.baseline.pixels import allocate_pixels
from cxrbuild.errors import CxrbuildError
from cxrbuild.progress import silent
from cxrbuild.records import read_records, write_records
from cxrbuild.shards import Description, lay_out, write_shards

# TensorFlow takes seconds to load: all its tests run in one worker.
pytestmark = pytest.mark.xdist_group("tensorflow")

CLASSES = ["COVID-19", "Normal", "Pneumonia"]


@pytest.fixture(scope="module", autouse=True)
def tf():
    return load_tensorflow()


@pytest.fixture
def build(demo: Path, tmp_path: Path) -> Path:
    """A build that a test may damage."""
    return Path(shutil.copytree(demo / "build", tmp_path / "build"))


def test_build_shards_and_tfrecord_have_the_same_images(build: Path) -> None:
    manifest = read_records(build / "manifest.parquet")
    write_shards(lay_out(manifest), build, CLASSES, ["tfrecord"], Description("demo", "1.0.0", "", ""))
    (build / "shards").mkdir()
    (build / "data").rename(build / "shards" / "data")
    folders = [build, build / "shards", build / "tfds" / "demo" / "1.0.0"]
    first, *others = [read_images(folder, CLASSES, 20, 16, silent, scratch=build) for folder in folders]
    assert first.table["image_id"].tolist() == sorted(manifest["image_id"])
    assert first.table["group"].tolist() == manifest.sort_values("image_id")["group"].tolist()
    assert first.for_training[:].std() > 10
    for other in others:
        assert other.fingerprint() == first.fingerprint()


def test_pixels_above_a_limit_are_in_a_file_that_leaves_nothing(build: Path, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    held = read_images(build, CLASSES, 20, 16, silent, scratch=scratch)
    assert not scratch.exists()
    mapped = read_images(build, CLASSES, 20, 16, silent, scratch=scratch, in_memory=1000)
    assert isinstance(mapped.for_training.held, np.memmap)
    assert [*scratch.iterdir()] == []
    assert mapped.fingerprint() == held.fingerprint()
    test = held.select(held.table["split"].to_numpy() == "test")
    assert mapped.select(mapped.table["split"].to_numpy() == "test").fingerprint() == test.fingerprint()


def test_pixels_that_do_not_fit_on_the_disk_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(CxrbuildError) as error:
        allocate_pixels(10**9, (1000,), tmp_path, limit=0)
    message = str(error.value)
    assert f"{tmp_path}: the temporary file of the images' pixels cannot be written." in message
    assert "Expected: 1,000,000.0 GB free." in message
    assert [*tmp_path.iterdir()] == []


def test_images_are_resized_as_tensorflow_does(tf, build: Path) -> None:
    from PIL import Image

    manifest = read_records(build / "manifest.parquet").sort_values("image_id", ignore_index=True)
    images = read_images(build, CLASSES, 20, 16, silent, scratch=build)
    for row in (0, 40, len(manifest) - 1):
        with Image.open(build / manifest["jpeg_path"][row]) as opened:
            grey = np.asarray(opened.convert("L"), np.float32)[..., np.newaxis]
        for found, side in ((images.for_training[row], 20), (images.for_testing[row], 16)):
            expected = tf.image.resize(grey, (side, side))[..., 0].numpy()
            assert np.abs(found - expected).max() < 1.01
        assert CLASSES[images.labels[row]] == manifest["label"][row]


def drop(build: Path, **where: str) -> None:
    records = read_records(build / "manifest.parquet")
    wanted = np.logical_and.reduce([records[name] == value for name, value in where.items()])
    write_records(build / "manifest.parquet", records[~wanted])


def test_missing_classes_and_empty_splits_are_listed_together(build: Path) -> None:
    drop(build, split="test")
    drop(build, split="train", label="Normal")
    with pytest.raises(CxrbuildError) as error:
        find_images(build, CLASSES)
    assert "train has no Normal; test is empty" in str(error.value)
    assert "Found: train COVID-19 38, train Pneumonia 22" in str(error.value)
    assert str(build) in str(error.value)


def test_a_class_that_the_recipe_lacks_is_named(build: Path) -> None:
    with pytest.raises(CxrbuildError, match="the recipe has no class Pneumonia"):
        find_images(build, CLASSES[:2])


def test_every_damaged_jpeg_is_named(build: Path) -> None:
    records = read_records(build / "manifest.parquet")
    paths = [build / path for path in records["jpeg_path"][:5]]
    paths[0].write_bytes(paths[0].read_bytes()[:-200])
    paths[1].write_bytes(b"<html>503 Service Unavailable</html>")
    paths[2].unlink()
    paths[3].write_bytes(paths[4].read_bytes())
    with pytest.raises(CxrbuildError) as error:
        read_images(build, CLASSES, 20, 16, silent, scratch=build)
    message = str(error.value)
    assert "4 images cannot be read" in message
    for path in paths[:4]:
        assert str(path) in message
    assert f"{paths[2]} (no such file)" in message
    assert f"{paths[3]} (its SHA-256 differs from the manifest's)" in message
    assert str(paths[4]) not in message
    # Without a hash, the decoder finds the damage.
    records["jpeg_sha256"] = None
    write_records(build / "manifest.parquet", records)
    with pytest.raises(CxrbuildError) as error:
        read_images(build, CLASSES, 20, 16, silent, scratch=build)
    assert "3 images cannot be read" in str(error.value)
    assert f"{paths[0]} (truncated: the first" in str(error.value)
    assert f"{paths[1]} (unsupported: " in str(error.value)


def test_a_plan_or_an_empty_folder_is_an_error(build: Path, tmp_path: Path) -> None:
    records = read_records(build / "manifest.parquet")
    records["jpeg_path"] = None
    write_records(build / "manifest.parquet", records)
    with pytest.raises(CxrbuildError, match="A plan has no JPEGs: run `cxrbuild curate`"):
        find_images(build, CLASSES)
    (tmp_path / "empty").mkdir()
    with pytest.raises(CxrbuildError, match="no dataset to train on"):
        find_images(tmp_path / "empty", CLASSES)


def test_a_shard_of_another_kind_is_an_error(build: Path) -> None:
    (build / "manifest.parquet").unlink()
    shard = build / "data" / "test-00000-of-00001.parquet"
    pd.DataFrame({"image": [1], "label": [0]}).to_parquet(shard)
    with pytest.raises(CxrbuildError, match=f"{shard}: not a shard of images with labels"):
        find_images(build, CLASSES)


def write_shard(build: Path, images: list[object], labels: list[int | None]) -> Path:
    """Replace the dataset by one shard in the layout of Hugging Face datasets."""
    (build / "manifest.parquet").unlink()
    for path in (build / "data").iterdir():
        path.unlink()
    features = {"label": {"names": CLASSES, "_type": "ClassLabel"}, "image": {"_type": "Image"}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    image = pa.array(images, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    table = pa.table({"image": image, "label": pa.array(labels, pa.int64())})
    path = build / "data" / "train-00000-of-00001.parquet"
    pq.write_table(table.replace_schema_metadata(metadata), path)
    return path


@pytest.mark.parametrize("label", [-1, 3, None])
def test_a_label_that_is_no_class_is_an_error(build: Path, label: int | None) -> None:
    """Hugging Face datasets and TensorFlow Datasets write -1 for no class: it is not the last class."""
    shard = write_shard(build, [{"bytes": b"", "path": None}] * 2, [0, label])
    with pytest.raises(CxrbuildError, match=f"{shard}: not a shard of images with labels"):
        find_images(build, CLASSES)


def test_an_image_without_bytes_is_an_error(build: Path) -> None:
    jpeg = next((build / "images").rglob("*.jpg")).read_bytes()
    shard = write_shard(build, [{"bytes": jpeg, "path": None}] * 3 + [None], [0, 1, 2, 0])
    shutil.copy(shard, shard.with_name("test-00000-of-00001.parquet"))
    with pytest.raises(CxrbuildError, match=r"2 images cannot be read\. Found: test-000003 "):
        read_images(build, CLASSES, 20, 16, silent, scratch=build)


@pytest.mark.parametrize("compression", ["none", "snappy", "zstd"])
def test_jpegs_of_shards_are_read_on_demand(build: Path, compression: str) -> None:
    """Other programs compress the shards; of two equal images, and of none, each row has its own."""
    (build / "manifest.parquet").unlink()
    expected = {}
    for path in sorted((build / "data").glob("*.parquet")):
        table = pq.read_table(path)
        expected |= dict(zip(table["image_id"].to_pylist(), table["image"].to_pylist(), strict=True))
        pq.write_table(table, path, compression=compression, row_group_size=7)
    tracemalloc.start()
    found = find_images(build, CLASSES)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found.rows) == len(expected)
    for row, name in enumerate(found.rows["image_id"]):
        assert found.read(row) == expected[name]["bytes"]
    jpegs = sum(len(image["bytes"]) for image in expected.values())
    # Of an image its row is held, not its JPEG.
    assert held < jpegs / 2


def test_jpegs_of_records_are_read_on_demand(build: Path) -> None:
    manifest = read_records(build / "manifest.parquet")
    write_shards(lay_out(manifest), build, CLASSES, ["tfrecord"], Description("demo", "1.0.0", "", ""))
    paths = dict(zip(manifest["image_id"], manifest["jpeg_path"], strict=True))
    found = find_images(build / "tfds" / "demo" / "1.0.0", CLASSES)
    assert len(found.rows) == len(paths)
    for row, name in enumerate(found.rows["image_id"]):
        assert found.read(row) == (build / paths[name]).read_bytes()


def write_records_of(tf, folder: Path, classes: list[str], labels: list[int]) -> None:
    """Write a TensorFlow Datasets folder that has an image of each label in train and in test."""
    (folder / "dataset_info.json").write_text("{}")
    (folder / "label.labels.txt").write_text("\n".join(classes) + "\n", encoding="utf-8")
    for split in ("train", "test"):
        with tf.io.TFRecordWriter(str(folder / f"d-{split}.tfrecord-00000-of-00001")) as writer:
            for label in labels:
                feature = {
                    "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"jpeg"])),
                    "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
                }
                example = tf.train.Example(features=tf.train.Features(feature=feature))
                writer.write(example.SerializeToString())


def test_a_tfrecord_without_a_class_is_an_error(tf, tmp_path: Path) -> None:
    write_records_of(tf, tmp_path, CLASSES, [-1])
    with pytest.raises(CxrbuildError, match=r"not a TensorFlow Datasets folder.*without a class"):
        find_images(tmp_path, CLASSES)


def test_only_a_line_feed_ends_the_name_of_a_class(tf, tmp_path: Path) -> None:
    classes = ["a\u2028b", "c\x0cd"]
    write_records_of(tf, tmp_path, classes, [0, 1, 1])
    found = find_images(tmp_path, classes)
    assert found.rows["label"].value_counts().to_dict() == {classes[0]: 2, classes[1]: 4}
