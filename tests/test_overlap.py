"""Fingerprints, and the overlap of two datasets: by hash, by keypoints, by thumbnails."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from audited import Row, crop, different_images, jpeg, write_build
from command import run
from PIL import Image, ImageOps
from releasing import varied_build

import cxrbuild
from cxrbuild.demo.phantom import phantom
from cxrbuild.errors import CxrbuildError
from cxrbuild.files import sha256_of, write_json
from cxrbuild.overlapping import read_fingerprint

ONE, TWO = phantom("one", "COVID-19"), phantom("two", "Normal")
CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "resized": lambda image: image.resize((image.width * 2 // 3, image.height * 2 // 3)),
    "stretched": lambda image: image.resize((224, 180)),
    "brighter": lambda image: image.point(lambda grey: min(255, round(grey * 0.7 + 60))),
    "cropped": crop,
    "mirrored": ImageOps.mirror,
}


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two builds: the second has an equal file, and changed copies, of two images of the first."""
    folder = tmp_path_factory.mktemp("overlap")
    a, b = folder / "a", folder / "b"
    a.mkdir()
    b.mkdir()
    equal = jpeg(phantom("equal", "Normal"))
    images: list[tuple[bytes, Row]] = [
        (jpeg(ONE), {"split": "train"}),
        (jpeg(TWO), {"split": "test"}),
        (equal, {"split": "train", "patient_id": "shared", "group": "g"}),
        # Not in B, but of the patient of an image that is.
        (jpeg(phantom("same patient", "Normal")), {"split": "train", "patient_id": "shared", "group": "g"}),
        *different_images(12),
    ]
    write_build(a, images)
    others = [(jpeg(phantom(f"other {i}", "Normal")), {"split": "train"}) for i in range(8)]
    copies = [
        (jpeg(change(ONE), quality=60), {"split": "test", "patient_id": "x", "group": "x"})
        for change in CHANGES.values()
    ]
    write_build(b, [*others, (equal, {"split": "test"}), *copies])
    return a / "build", b / "build"


@pytest.fixture(scope="module")
def fingerprints(pair: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The fingerprints of both builds at both levels, as ``a``, ``b``, ``a-thumbnails``, ``b-thumbnails``."""
    folder = tmp_path_factory.mktemp("fingerprints")
    made = {}
    for side, build in zip("ab", pair, strict=True):
        for name, options in ((side, []), (f"{side}-thumbnails", ["--thumbnails"])):
            made[name] = folder / f"{name}.parquet"
            ran = run("fingerprint", build, "--out", made[name], "--workers", 1, *options)
            assert ran.status == 0, ran.err
    return made


@pytest.mark.parametrize("suffix", ["", "-thumbnails"])
def test_changed_copies_are_found_from_fingerprints(fingerprints: dict[str, Path], suffix: str) -> None:
    found = cxrbuild.overlap(fingerprints[f"a{suffix}"], fingerprints[f"b{suffix}"], workers=1)
    pairs = {(pair.a[-2:], pair.b[-2:]): pair for pair in found.duplicates}
    copies = {f"{9 + i:02d}": name for i, name in enumerate(CHANGES)}
    assert set(pairs) == {("02", "08"), *(("00", number) for number in copies)}
    assert pairs["02", "08"].kind == "same bytes"
    for number, name in copies.items():
        pair = pairs["00", number]
        assert (pair.kind, pair.split_a, pair.split_b) == ("near-duplicate", "train", "test"), name
        assert ("mirrored" in pair.changes) == (name == "mirrored")
    assert found.level == (suffix[1:] or "keypoints")
    assert found.count_shared() == {"train": {"test": 2}}


def test_builds_are_compared_like_their_fingerprints(
    pair: tuple[Path, Path], fingerprints: dict[str, Path]
) -> None:
    by_file = cxrbuild.overlap(fingerprints["a-thumbnails"], fingerprints["b-thumbnails"], workers=1)
    assert cxrbuild.overlap(*pair, workers=1).to_dict() == by_file.to_dict()
    # What one side does not give is not compared.
    mixed = cxrbuild.overlap(fingerprints["a-thumbnails"], fingerprints["b"])
    assert mixed.to_dict() == cxrbuild.overlap(fingerprints["a"], fingerprints["b"]).to_dict() | {
        "a": mixed.a.to_dict()
    }


def test_sides_can_be_exchanged(fingerprints: dict[str, Path]) -> None:
    there = cxrbuild.overlap(fingerprints["a"], fingerprints["b"], workers=1)
    back = cxrbuild.overlap(fingerprints["b"], fingerprints["a"], workers=1)
    assert {(p.a, p.b) for p in there.pairs} == {(p.b, p.a) for p in back.pairs}


def test_dataset_compared_with_itself(fingerprints: dict[str, Path]) -> None:
    found = cxrbuild.overlap(fingerprints["b"], fingerprints["b"], workers=1)
    equal = {(pair.a, pair.b) for pair in found.pairs if pair.kind == "same bytes"}
    assert len(equal) == 14
    assert all(a == b for a, b in equal)
    # Its own near-duplicates are duplicates of the other's images, in both orders.
    near = {(pair.a, pair.b) for pair in found.duplicates} - equal
    assert {("cohen_image-09", "cohen_image-11"), ("cohen_image-12", "cohen_image-09")} <= near
    assert near == {(b, a) for a, b in near}
    assert found.leak_free("a").empty


def test_tables_are_written_although_the_reader_has_closed_the_pipe(
    fingerprints: dict[str, Path], tmp_path: Path
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "cxrbuild", "overlap", fingerprints["a"], fingerprints["b"]]
    with os.fdopen(writer, "w") as pipe:
        done = subprocess.run([*command, "--out", tmp_path / "out"], stdout=pipe, check=False)
    assert done.returncode == 1
    assert (tmp_path / "out" / "pairs.csv").is_file()


def test_leak_free_lists_exclude_whole_patients(fingerprints: dict[str, Path], tmp_path: Path) -> None:
    both = fingerprints["a"], fingerprints["b"]
    ran = run("overlap", *both, "--out", tmp_path / "out", "--json")
    assert ran.status == 0, ran.err
    rows = {side: read_csv(tmp_path / "out" / f"leak-free-{side}.csv") for side in "ab"}
    excluded = {f"cohen_image-{i:02d}" for i in (0, 2, 3)}
    assert {row["image_id"] for row in rows["a"]} == {f"cohen_image-{i:02d}" for i in range(16)} - excluded
    assert {row["image_id"] for row in rows["b"]} == {f"cohen_image-{i:02d}" for i in range(8)}
    pairs = read_csv(tmp_path / "out" / "pairs.csv")
    document = json.loads(ran.out)
    assert [(row["a"], row["b"]) for row in pairs] == [(p["a"], p["b"]) for p in document["pairs"]]
    assert document["leak_free"] == {"a": {"test": 5, "train": 8}, "b": {"train": 8}}

    ran = run("overlap", *both, "--against", "train", "--json")
    assert json.loads(ran.out)["leak_free"]["a"] == {"test": 5, "train": 11}


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_same_build_gives_the_same_bytes(
    pair: tuple[Path, Path], fingerprints: dict[str, Path], tmp_path: Path
) -> None:
    before = fingerprints["a"].read_bytes()
    # An earlier fingerprint of the dataset is replaced.
    assert run("fingerprint", pair[0], "--out", fingerprints["a"], "--workers", 1).status == 0
    assert fingerprints["a"].read_bytes() == before
    manifest = sha256_of(pair[0] / "manifest.parquet")
    assert read_fingerprint(fingerprints["a"]).document.manifest_sha256 == manifest
    # The hash of a closed source's manifest would confirm a guess of an age or a path.
    written = (pair[0] / "build.json").read_bytes()
    closed = {"title": "T", "homepage": None, "description": "", "citation": None, "license": "unknown",
              "public": False, "patient_id": "hash", "pin": {}}  # fmt: skip
    write_json(pair[0] / "build.json", json.loads(written) | {"declared_sources": {"cohen": closed}})
    assert run("fingerprint", pair[0], "--out", tmp_path / "closed", "--workers", 1).status == 0
    (pair[0] / "build.json").write_bytes(written)
    assert read_fingerprint(tmp_path / "closed").document.manifest_sha256 is None


def test_fingerprint_has_no_patient_and_no_label(fingerprints: dict[str, Path]) -> None:
    table = pq.read_table(fingerprints["a"])
    assert table.column_names == [
        "image_id", "split", "group", "source_sha256", "jpeg_sha256", "keypoints", "dct_coefficients",
    ]  # fmt: skip
    group = dict(zip(table["image_id"].to_pylist(), table["group"].to_pylist(), strict=True))
    assert group["cohen_image-02"] == group["cohen_image-03"]
    assert len(set(group.values())) == 15
    document = read_fingerprint(fingerprints["a"]).document
    assert (document.images, document.described, document.level) == (16, 16, "keypoints")


@pytest.mark.slow
def test_release_is_compared_by_its_pixels_and_the_rest_by_hashes(demo: Path, tmp_path: Path) -> None:
    build = varied_build(demo, tmp_path, ["parquet"])
    assert run("release", "1.0.0", "--build", build, "--out", tmp_path / "release").status == 0
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "release").rglob("*")}
    ran = run("fingerprint", tmp_path / "release", "--out", tmp_path / "a", "--workers", 1)
    assert "6 images have no pixels here" in ran.out, ran.err
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "release").rglob("*")} == before
    cxrbuild.fingerprint(build, tmp_path / "b", workers=1)
    found = cxrbuild.overlap(tmp_path / "a", tmp_path / "b")
    assert found.a.images == found.b.images == found.b.described == found.a.described + 6
    ids = {pair.a for pair in found.pairs if pair.a == pair.b and pair.kind == "same bytes"}
    assert len(ids) == found.a.images
    # The same pixels without equal hashes: another party has other files.
    without_hashes(tmp_path / "a")
    matched = cxrbuild.overlap(tmp_path / "a", tmp_path / "b")
    assert len({pair.a for pair in matched.duplicates if pair.a == pair.b}) == found.a.described


def without_hashes(path: Path) -> None:
    """Replace the hashes of a fingerprint by others, as if every file had been encoded again."""
    table = pq.read_table(path)
    for name, values in (
        ("source_sha256", [None] * len(table)),
        ("jpeg_sha256", [f"{i:064x}" for i in range(len(table))]),
    ):
        place = table.column_names.index(name)
        table = table.set_column(place, table.schema.field(name), pa.array(values, pa.string()))
    pq.write_table(table, path)


def test_nothing_shared(fingerprints: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "c").mkdir()
    build = write_build(tmp_path / "c", [(jpeg(phantom("alone", "Normal")), {})])
    ran = run("overlap", build, fingerprints["b"], "--workers", 1)
    assert ran.status == 0, ran.err
    assert "A, small 1.0.0: 1 image, 1 leak-free." in ran.out
    assert "B, small 1.0.0: 14 images, 14 leak-free." in ran.out


def changed(path: Path, target: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """Write a copy of a fingerprint with a changed document."""
    table = pq.read_table(path)
    document = json.loads(table.schema.metadata[b"cxrbuild_fingerprint"])
    change(document)
    metadata = {b"cxrbuild_fingerprint": json.dumps(document).encode()}
    pq.write_table(table.replace_schema_metadata(metadata), target)
    return target


def test_files_that_are_no_fingerprints(fingerprints: dict[str, Path], tmp_path: Path) -> None:
    a = fingerprints["a"]

    def error(path: Path) -> str:
        ran = run("overlap", path, fingerprints["b"])
        assert ran.status == 1, ran.err
        return " ".join(ran.err.split())

    (tmp_path / "text").write_text("no Parquet")
    assert "not a Parquet file" in error(tmp_path / "text")
    pq.write_table(pa.table({"image_id": ["a"]}), tmp_path / "table")
    assert "no cxrbuild_fingerprint in its metadata" in error(tmp_path / "table")
    assert "format: this version of cxrbuild reads 1; found 9" in error(
        changed(a, tmp_path / "format", lambda document: document.update(format=9))
    )
    found = error(changed(a, tmp_path / "version", lambda document: document.update(descriptors=99)))
    assert "descriptors of another version" in found
    assert "Make both fingerprints with the same version" in found
    found = error(changed(a, tmp_path / "level", lambda document: document.update(level="thumbnails")))
    assert "thumbnail: expected a column of type fixed_size_binary[16384]" in found
    assert "no finished build in this folder" in error(tmp_path / "none")


@pytest.mark.parametrize("value", [np.nan, np.inf, -1, 2])
def test_values_that_are_no_descriptors_are_refused(
    fingerprints: dict[str, Path], tmp_path: Path, value: float
) -> None:
    table = pq.read_table(fingerprints["a"])
    place = table.column_names.index("keypoints")
    data = [np.frombuffer(one, "<f2").copy() for one in table["keypoints"].to_pylist()]
    data[3][2] = value
    column = pa.array([one.tobytes() for one in data], table.schema.field(place).type)
    pq.write_table(table.set_column(place, table.schema.field(place), column), tmp_path / "f")
    with pytest.raises(CxrbuildError, match="values that are not those of descriptors"):
        cxrbuild.overlap(tmp_path / "f", fingerprints["b"], workers=1)


def test_out_that_holds_something_else(
    pair: tuple[Path, Path], fingerprints: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("mine")
    ran = run("fingerprint", pair[0], "--out", tmp_path / "file")
    assert (ran.status, (tmp_path / "file").read_text()) == (1, "mine")
    assert "a file that is no fingerprint" in " ".join(ran.err.split())
    ran = run("overlap", fingerprints["a"], fingerprints["b"], "--out", tmp_path / "file")
    assert (ran.status, (tmp_path / "file").read_text()) == (1, "mine")
    assert run("fingerprint", pair[0], "--out", tmp_path / "file" / "none").status == 1


def test_changed_image_is_an_error(pair: tuple[Path, Path], tmp_path: Path) -> None:
    shutil.copytree(pair[0], tmp_path / "build")
    image = next((tmp_path / "build" / "images").rglob("*.jpg"))
    image.write_bytes(image.read_bytes() + b"x")
    ran = run("fingerprint", tmp_path / "build", "--out", tmp_path / "f", "--workers", 1)
    assert ran.status == 1
    assert f"{image.stem} (changed since the build)" in " ".join(ran.err.split())
    assert not (tmp_path / "f").exists()
