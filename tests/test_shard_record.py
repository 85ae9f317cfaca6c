"""A changed image changes one shard, and unchanged shards are kept without reading an image."""

from __future__ import annotations

import hashlib
import json
import os
import random
import time
from pathlib import Path

import pandas as pd
import pytest

from cxrbuild.file_status import status_of
from cxrbuild.records import conform
from cxrbuild.shards import Description, ShardRecord, layout, write_shards
from cxrbuild.shards.layout import lay_out

CLASSES = ["ill", "well"]
BOTH = ("parquet", "tfrecord")
DATASET = Description("some-name", "1.0.0", "", "")


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "SHARD_BYTES", 30_000)


def make_build(folder: Path, images: int = 120) -> pd.DataFrame:
    """Return a manifest, and write files with random bytes in the place of JPEGs."""
    draw = random.Random(1)
    rows = []
    for i in range(images):
        name = f"source_{i}"
        path = f"images/{name}.jpg"
        rows.append({"image_id": name, "source": "source", "split": ("train", "test")[i % 5 == 0], "label":
                     CLASSES[i % 2], "jpeg_path": path, "patient_age": 40.5 if i % 3 else None})  # fmt: skip
        rows[-1] |= put(folder / path, draw.randbytes(draw.randrange(700, 1400)))
    return conform(pd.DataFrame(rows))


def put(path: Path, data: bytes) -> dict[str, object]:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return {"jpeg_bytes": len(data), "jpeg_sha256": hashlib.sha256(data).hexdigest()}


def change(manifest: pd.DataFrame, folder: Path, image: str, data: bytes) -> pd.DataFrame:
    changed = manifest.copy()
    row = changed["image_id"] == image
    values = put(folder / f"images/{image}.jpg", data)
    changed.loc[row, list(values)] = list(values.values())
    return changed


def write(manifest: pd.DataFrame, folder: Path, formats: tuple[str, ...] = BOTH) -> dict[str, object]:
    record = ShardRecord(folder / "state" / "shards", folder)
    entries = write_shards(lay_out(manifest), folder, CLASSES, formats, DATASET, record=record)
    return {name: entry.model_dump() for name, entry in entries.items()}


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*-of-*")}


def times(folder: Path) -> dict[str, int]:
    return {
        path.relative_to(folder).as_posix(): status_of(path).st_ctime_ns for path in folder.rglob("*-of-*")
    }


def places(manifest: pd.DataFrame) -> dict[tuple[str, int, int], list[str]]:
    return {(s.split, s.number, s.of): s.rows["image_id"].tolist() for s in lay_out(manifest)}


def test_another_size_or_image_changes_one_shard(tmp_path: Path) -> None:
    manifest = make_build(tmp_path)
    before = places(manifest)
    assert {(split, of) for split, _, of in before} == {("train", 4), ("test", 1)}
    assert all(before.values())
    bigger = manifest.copy()
    bigger.loc[bigger["image_id"] == "source_7", "jpeg_bytes"] = 9_000
    after = places(bigger)
    assert after == before
    fewer = manifest[manifest["image_id"] != "source_7"]
    after = places(fewer)
    (place,) = [place for place, ids in before.items() if "source_7" in ids]
    assert after == before | {place: [name for name in before[place] if name != "source_7"]}


@pytest.mark.parametrize("total", [1, 29_999, 30_000, 30_001, 60_000, 60_001, 120_000, 120_001, 240_001])
def test_a_shard_has_at_most_the_size_on_average(total: int) -> None:
    rows = [{"image_id": f"i{i}", "split": "train", "jpeg_bytes": 0} for i in range(400)]
    rows[0]["jpeg_bytes"] = total
    shards = lay_out(conform(pd.DataFrame(rows)))
    assert total / len(shards) <= 30_000
    assert len(shards) in (1, 2, 4, 8, 16)
    assert len(shards) == 1 or total / (len(shards) // 2) > 30_000


def test_unchanged_shards_are_kept_and_no_image_of_them_is_read(tmp_path: Path) -> None:
    manifest = make_build(tmp_path)
    first = write(manifest, tmp_path)
    before = times(tmp_path)
    changed = change(manifest, tmp_path, "source_7", b"other bytes")
    (shard,) = [shard for shard in lay_out(changed) if "source_7" in set(shard.rows["image_id"])]
    for path in (tmp_path / "images").iterdir():
        if path.stem not in set(shard.rows["image_id"]):
            path.unlink()
    second = write(changed, tmp_path)
    written = {name for name, changed_at in times(tmp_path).items() if changed_at != before[name]}
    number = f"{shard.number:05d}-of-{shard.of:05d}"
    assert written == {
        f"data/{shard.split}-{number}.parquet",
        f"tfds/some_name/1.0.0/some_name-{shard.split}.tfrecord-{number}",
    }
    assert {name for name in first if first[name] != second[name]} - written == {
        "tfds/some_name/1.0.0/dataset_info.json"
    }


def test_bytes_do_not_depend_on_what_was_built_before(tmp_path: Path) -> None:
    manifest = make_build(tmp_path / "a")
    write(manifest, tmp_path / "a")
    write(manifest[::3], tmp_path / "a", BOTH[:1])
    changed = change(manifest, tmp_path / "a", "source_7", b"other bytes")
    entries = write(changed, tmp_path / "a")
    other = make_build(tmp_path / "b")
    assert write(change(other, tmp_path / "b", "source_7", b"other bytes"), tmp_path / "b") == entries
    written = files(tmp_path / "b")
    assert {name: data for name, data in files(tmp_path / "a").items() if name in written} == written
    for name, entry in entries.items():
        data = (tmp_path / "b" / name).read_bytes()
        assert entry == {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def test_every_cell_of_a_shard_counts(tmp_path: Path) -> None:
    manifest = make_build(tmp_path)
    write(manifest, tmp_path)
    row = manifest["image_id"] == "source_8"
    for column, value in {
        "patient_age": 40.50000000000001, "label": "well", "license": "CC0-1.0", "jpeg_sha256": "0" * 64,
    }.items():  # fmt: skip
        before = times(tmp_path)
        assert (manifest.loc[row, column] != value).all()
        manifest.loc[row, column] = value
        write(manifest, tmp_path)
        assert sum(changed_at != before[name] for name, changed_at in times(tmp_path).items()) == 2, column


def edit(path: Path) -> None:
    old = path.stat().st_atime_ns, path.stat().st_mtime_ns
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    os.utime(path, ns=old)


def replace(path: Path) -> None:
    old = path.stat().st_atime_ns, path.stat().st_mtime_ns
    other = path.with_name("x")
    other.write_bytes(path.read_bytes()[::-1])
    os.utime(other, ns=old)
    other.replace(path)


def test_a_shard_that_another_program_changed_is_written_again(tmp_path: Path) -> None:
    manifest = make_build(tmp_path)
    write(manifest, tmp_path)
    wanted = files(tmp_path)
    path = tmp_path / "data" / "train-00003-of-00004.parquet"
    for change_file in (edit, os.utime, Path.unlink, replace):
        before = times(tmp_path)
        time.sleep(0.02)  # longer than a tick of the clock that stamps files
        change_file(path)
        write(manifest, tmp_path)
        assert files(tmp_path) == wanted, change_file
        same = {name for name, changed_at in times(tmp_path).items() if changed_at == before[name]}
        assert set(before) - same == {"data/train-00003-of-00004.parquet"}, change_file


def test_a_record_that_cannot_be_used_is_written_again(tmp_path: Path) -> None:
    manifest = make_build(tmp_path)
    entries = write(manifest, tmp_path)
    record = tmp_path / "state" / "shards"
    for content in ("", "[]", '{"a": 1}', '{"a": {"content": ""}}', "null"):
        record.write_text(content)
        assert write(manifest, tmp_path) == entries, content
        assert len(json.loads(record.read_text())) == 10, content


def test_a_run_that_ended_early_keeps_its_finished_shards(tmp_path: Path) -> None:
    manifest = make_build(tmp_path)
    shards = lay_out(manifest)
    lost = tmp_path / shards[2].rows["jpeg_path"].iloc[0]
    data = lost.read_bytes()
    lost.unlink()
    with pytest.raises(FileNotFoundError):
        write(manifest, tmp_path)
    before = times(tmp_path)
    assert len(before) == 4
    lost.write_bytes(data)
    write(manifest, tmp_path)
    assert before.items() <= times(tmp_path).items()
