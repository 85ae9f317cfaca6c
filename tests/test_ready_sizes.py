"""Releases with ready sizes: written, described, loaded and verified."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from command import run
from PIL import Image
from releasing import sum_again, varied_build

import cxrbuild
from cxrbuild.artifact import open_release
from cxrbuild.errors import CxrbuildError
from cxrbuild.files import read_json, sha256_of
from cxrbuild.loading.resizing import resize
from cxrbuild.verification import verify

SHARD = "train-00000-of-00001.parquet"


@pytest.fixture(scope="module")
def build(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return varied_build(demo, tmp_path_factory.mktemp("sizes"), ["parquet"])


@pytest.fixture(scope="module")
def sized(build: Path) -> Path:
    """A release with the images at 64 and 32 pixels."""
    out = build.parent / "sized"
    ran = run("release", "1.0.0", "--build", build, "--out", out, "--size", 64, "--size", 32, "--size", 64)
    assert ran.status == 0, ran.err
    return out


def test_ready_images_are_those_of_the_loaders(sized: Path) -> None:
    assert open_release(sized).document.sizes == [32, 64]
    with pytest.warns(cxrbuild.MissingPixelsWarning):
        dataset = cxrbuild.load(sized)
    for size in (32, 64):
        rows = pq.read_table(sized / "sizes" / str(size) / SHARD).to_pylist()
        assert [row["image_id"] for row in rows] == dataset.select("train").rows["image_id"].tolist()
        for row in rows[:5]:
            with Image.open(BytesIO(row["image"]["bytes"])) as image:
                assert (image.format, image.mode, image.size) == ("PNG", "L", (size, size))
                expected = resize(dataset.read_image(row["image_id"]), size)
                assert np.array_equal(np.asarray(image), np.asarray(expected))
            assert row["image"]["path"] == f"{row['image_id']}.png"
    # A public release withholds them at every size.
    assert len(dataset) == sum(
        pq.read_metadata(path).num_rows for path in (sized / "sizes" / "64").glob("*.parquet")
    )


def test_documents_list_the_sizes(sized: Path) -> None:
    card = (sized / "README.md").read_text()
    front = yaml.safe_load(card.split("---")[1])
    assert {one["config_name"]: one["data_files"][0]["path"] for one in front["configs"]} == {
        "default": "data/train-*.parquet",
        "32": "sizes/32/train-*.parquet",
        "64": "sizes/64/train-*.parquet",
    }
    assert "32 x 32 pixels in `sizes/32`, 64 x 64 pixels in `sizes/64`" in card
    croissant = read_json(sized / "croissant.json")
    files = {entry["@id"]: entry for entry in croissant["distribution"]}
    assert files[f"sizes/64/{SHARD}"]["sha256"] == sha256_of(sized / "sizes" / "64" / SHARD)
    assert files["shards-64"]["includes"] == ["sizes/64/train-*.parquet", "sizes/64/test-*.parquet"]
    crate = {entity["@id"]: entity for entity in read_json(sized / "ro-crate-metadata.json")["@graph"]}
    assert crate[f"sizes/32/{SHARD}"]["description"] == "images of 32 x 32 pixels and labels"


def test_hugging_face_datasets_loads_a_size(
    sized: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    small = datasets.load_dataset(str(sized), "64", cache_dir=str(tmp_path))
    whole = datasets.load_dataset(str(sized), cache_dir=str(tmp_path))
    assert small["train"]["image_id"] == whole["train"]["image_id"]
    assert small["train"]["label"] == whole["train"]["label"]
    assert small["test"][0]["image"].size == (64, 64)
    assert small["test"].features["label"].names == whole["test"].features["label"].names


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_croissant_loads_a_size(sized: Path) -> None:
    mlc = pytest.importorskip("mlcroissant")
    record = next(iter(mlc.Dataset(sized / "croissant.json").records("images-32")))
    assert record["images-32/image"].size == (32, 32)
    assert record["images-32/split"] in (b"train", b"test")


@pytest.mark.slow
def test_same_build_gives_the_same_bytes(build: Path, sized: Path, tmp_path: Path) -> None:
    cxrbuild.release(build, "1.0.0", tmp_path / "again", sizes=[64, 32])
    assert (tmp_path / "again" / "SHA256SUMS").read_bytes() == (sized / "SHA256SUMS").read_bytes()


@pytest.mark.slow
def test_other_sizes_are_another_release(build: Path, sized: Path) -> None:
    with pytest.raises(CxrbuildError, match="holds another release"):
        cxrbuild.release(build, "1.0.0", sized, sizes=[64])


def test_sound_release_is_verified(sized: Path) -> None:
    result = verify(sized)
    assert result.passed, result.findings
    assert {check.id: check.status for check in result.checks}["sizes"] == "passed"


def replaced(row: int, column: str, value: Any) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        table = pq.read_table(path)
        values = table[column].to_pylist()
        values[row] = value(values[row]) if callable(value) else value
        place = table.column_names.index(column)
        pq.write_table(
            table.set_column(
                place, table.schema.field(place), pa.array(values, table.schema.field(place).type)
            ),
            path,
        )

    return change


def drawn(image: dict[str, Any]) -> dict[str, Any]:
    with Image.open(BytesIO(image["bytes"])) as opened:
        pixels = np.asarray(opened).copy()
    pixels[:4] = 255 - pixels[:4]
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return image | {"bytes": stream.getvalue()}


def as_jpeg(image: dict[str, Any]) -> dict[str, Any]:
    stream = BytesIO()
    Image.open(BytesIO(image["bytes"])).save(stream, "JPEG")
    return image | {"bytes": stream.getvalue()}


@pytest.mark.parametrize(
    "changes",
    [
        {
            "64/train": (Path.unlink, "is missing"),
            "64/test": (lambda path: path.write_bytes(b"none"), "cannot be read"),
            "32/train": (lambda path: pq.write_table(pq.read_table(path).slice(1), path), "rows, not"),
            "32/test": (
                lambda path: pq.write_table(pq.read_table(path).drop(["group"]), path),
                "other columns",
            ),
        },
        {
            "64/train": (replaced(1, "image", as_jpeg), "is JPEG L of 64 x 64, not PNG L of 64 x 64"),
            "64/test": (replaced(1, "image", {"bytes": b"x", "path": "x"}), "cannot be decoded"),
            "32/train": (replaced(1, "image", drawn), "has other pixels than the image in data"),
            "32/test": (replaced(0, "label", lambda label: (label + 1) % 3), "another label than in data"),
        },
    ],
    ids=["shards", "rows"],
)
def test_changed_sizes_are_found(
    sized: Path, tmp_path: Path, changes: dict[str, tuple[Callable[[Path], object], str]]
) -> None:
    """Each shard of a size has another change."""
    shutil.copytree(sized, tmp_path / "copy")
    for shard, (change, _) in changes.items():
        change(tmp_path / "copy" / "sizes" / f"{shard}-00000-of-00001.parquet")
    sum_again(tmp_path / "copy")
    found = [finding for finding in verify(tmp_path / "copy").findings if finding.check == "sizes"]
    for shard, (_, message) in changes.items():
        of_shard = [one.message for one in found if f"sizes/{shard}" in (one.file or "")]
        assert any(message in one for one in of_shard), (shard, found)


def test_documents_say_which_hash_is_the_changed_file_s(sized: Path, tmp_path: Path) -> None:
    shutil.copytree(sized, tmp_path / "copy")
    path = tmp_path / "copy" / "sizes" / "64" / SHARD
    recorded, before = sha256_of(path), path.stat().st_size
    path.write_bytes(path.read_bytes() + b"more")
    found = {str(finding) for finding in verify(tmp_path / "copy").findings}
    for document, key in (("croissant.json", "distribution"), ("ro-crate-metadata.json", "@graph")):
        unit = " B" if key == "distribution" else ""
        entry = f"{document}: {key}[sizes/64/{SHARD}]"
        assert f"{entry}.sha256: is {recorded}, the file's is {sha256_of(path)}" in found
        assert f"{entry}.contentSize: is {before}{unit}, the file's is {before + 4}{unit}" in found


def test_sizes_that_no_image_can_have(build: Path, tmp_path: Path) -> None:
    for size in (0, -1, 10_000):
        ran = run("release", "1.0.0", "--build", build, "--out", tmp_path / "out", "--size", size)
        assert ran.status == 1
        assert "images cannot have this size" in ran.err
    assert not (tmp_path / "out").exists()


def test_publish_sends_the_sizes(sized: Path, tmp_path: Path) -> None:
    ran = run("publish", sized, tmp_path / "target")
    assert ran.status == 0, ran.err
    assert (tmp_path / "target" / "sizes" / "32" / SHARD).is_file()
    assert contents(tmp_path / "target") == contents(sized)


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
