"""TFRecord and Example have the bytes of TensorFlow's own writer, and reading shows every damage."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from cxrbuild.shards.example import ExampleError, Value, read_example, write_example
from cxrbuild.shards.record_file import FRAME_BYTES, RecordError, frame, read_records

JPEG = b"\xff\xd8\xff\xd9"
FEATURES: dict[str, Value] = {"image_id": "é_1".encode(), "label": 300, "patient_age": math.nan, "group": b""}
# Written by TensorFlow 2.21, `image_id` before `image`; the file has an empty record in addition.
EXAMPLE = (
    b"\nb\n\r\n\x05group\x12\x04\n\x02\n\x00\n\x14\n\x08image_id\x12\x08\n\x06\n\x04\xc3\xa9_1\n\x11\n\x05image"
    b"\x12\x08\n\x06\n\x04\xff\xd8\xff\xd9\n\x0f\n\x05label\x12\x06\x1a\x04\n\x02\xac\x02\n\x17\n\x0bpatient_age"
    b"\x12\x08\x12\x06\n\x04\x00\x00\xc0\x7f"
)
FILE = (
    b"d\x00\x00\x00\x00\x00\x00\x00C_\x1c\xdf" + EXAMPLE + b"\xe3Q,\xc5"
    b"\x00\x00\x00\x00\x00\x00\x00\x00)\x03\x98\x07\xd8\xea\x82\xa2"
)


def test_example_and_file_have_tensorflows_bytes(tmp_path: Path) -> None:
    assert write_example(FEATURES, memoryview(JPEG)) == EXAMPLE
    assert b"".join(frame(EXAMPLE) + frame(b"")) == FILE
    (tmp_path / "x").write_bytes(FILE)
    assert list(read_records(tmp_path / "x")) == [EXAMPLE, b""]
    found = read_example(EXAMPLE)
    age = found.pop("patient_age")
    assert isinstance(age, float)
    assert math.isnan(age)
    assert found == {"image": JPEG, "image_id": "é_1".encode(), "label": 300, "group": b""}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_tensorflow_writes_the_same_bytes(tmp_path: Path) -> None:
    tf = pytest.importorskip("tensorflow")
    train = tf.train
    draw = random.Random(1)
    names = ["a", "ab", "abc", "b", "image_", "image_id", "imagf", "imag", "é", "label", "x" * 200]

    def value(kind: int) -> Value:
        if kind == 0:
            return draw.randbytes(draw.choice((0, 1, 127, 128, 20_000)))
        if kind == 1:
            return draw.choice((0.0, -0.0, 1.0, math.nan, math.inf, 0.1, 85.0, draw.gauss(0, 1e6)))
        return draw.choice((0, 1, 127, 128, draw.getrandbits(62)))

    def feature(value: Value) -> object:
        if isinstance(value, int):
            return train.Feature(int64_list=train.Int64List(value=[value]))
        if isinstance(value, float):
            return train.Feature(float_list=train.FloatList(value=[value]))
        return train.Feature(bytes_list=train.BytesList(value=[value]))

    ours = b""
    with tf.io.TFRecordWriter(str(tmp_path / "x")) as writer:
        for size in [*range(1, len(names) + 1), *[len(names)] * 300]:
            features = {name: value(draw.randrange(3)) for name in draw.sample(names, size)}
            image = draw.randbytes(draw.choice((1, 200, 70_000)))
            all_features = {name: feature(it) for name, it in (features | {"image": image}).items()}
            example = train.Example(features=train.Features(feature=all_features))
            theirs = example.SerializeToString(deterministic=True)
            assert write_example(features, memoryview(image)) == theirs
            writer.write(theirs)
            ours += b"".join(frame(theirs))
    assert (tmp_path / "x").read_bytes() == ours


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data[:-1], "is truncated"),
        (lambda data: data[:5], "is truncated"),
        (lambda data: data[:40], "is truncated"),
        (lambda data: b"\x01" + data[1:], "no record at byte 0"),
        (lambda data: bytes(len(data)), "no record at byte 0"),
        (lambda data: frame(bytes(2**20))[0] + data[12:], "is truncated"),
        (lambda data: data[:50] + b"\x00" + data[51:], "the record at byte 0 differs from its checksum"),
        (lambda data: data[:-1] + b"\x00", f"the record at byte {len(EXAMPLE) + FRAME_BYTES} differs"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, change: Callable[[bytes], bytes], message: str) -> None:
    (tmp_path / "x").write_bytes(change(FILE))
    with pytest.raises(RecordError, match=message):
        list(read_records(tmp_path / "x"))


def test_an_empty_file_has_no_records(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    assert list(read_records(tmp_path / "x")) == []


TWO = b"\n\x0f\n\x05label\x12\x06\x1a\x04\n\x02\xac\x02"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no Example"),
        (bytes(20), "no Example"),
        (EXAMPLE[:-1], "no Example"),
        (EXAMPLE + b"\x00", "no Example"),
        (EXAMPLE * 2, "no Example"),
        (b"\n\x22" + TWO * 2, "the feature label occurs twice"),
        (TWO.replace(b"\x1a\x04\n\x02", b"\x22\x04\n\x02").join([b"\n\x11", b""]), "no Example"),
        (b"\n\x13\n\x11\n\x05label\x12\x08\x1a\x06\n\x01\x01\n\x01\x02", "no Example"),
        (b"\n\x10\n\x0e\n\x02\xff\xff\x12\x08\x12\x06\n\x04\x00\x00\xc0\x7f", "no Example"),
        (b"\n\x11\n\x0f\n\x01a\x12\x0a\x12\x08\n\x06\x00\x00\xc0\x7f\x00\x00", "no Example"),
    ],
)
def test_other_bytes_are_no_example(data: bytes, message: str) -> None:
    with pytest.raises(ExampleError, match=message):
        read_example(data)


def test_truncated_anywhere_an_example_is_refused() -> None:
    for end in range(len(EXAMPLE)):
        with pytest.raises(ExampleError):
            read_example(EXAMPLE[:end])
