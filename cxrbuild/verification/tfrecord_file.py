"""Read TFRecord files of ``tf.train.Example`` without TensorFlow."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# A record's length and its CRC before it, the record's own CRC after it:
# https://www.tensorflow.org/tutorials/load_data/tfrecord
_HEAD, _FOOT = 12, 4
FRAME_BYTES = _HEAD + _FOOT
_POLYNOMIAL = 0x82F63B78


class RecordError(ValueError):
    """The bytes are not a TFRecord of Examples."""


def read_examples(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the records of a file, a feature as its single value: bytes, a float or an integer.

    Raises
    ------
    RecordError
        The file is cut off, or is not a TFRecord.
    """
    with path.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        while head := stream.read(_HEAD):
            if len(head) < _HEAD:
                raise RecordError("is cut off")
            length, check = struct.unpack("<QI", head)
            # The record's own CRC is left to TensorFlow: what it protects is compared with the manifest.
            if check != _masked_crc(head[:8]) or length > size:
                raise RecordError(f"no record at byte {stream.tell() - _HEAD}")
            data = stream.read(length)
            if len(data) < length or len(stream.read(_FOOT)) < _FOOT:
                raise RecordError("is cut off")
            try:
                yield _example(data)
            except (
                IndexError,
                KeyError,
                TypeError,
                AttributeError,
                UnicodeDecodeError,
                struct.error,
            ) as error:
                raise RecordError(f"no Example before byte {stream.tell()}") from error


def _masked_crc(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ _POLYNOMIAL * (crc & 1)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _example(data: bytes) -> dict[str, Any]:
    """Parse an Example: https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/example/feature.proto."""
    features: dict[str, Any] = {}
    for _, message in _fields(data):
        for _, entry in _fields(message):
            parts = dict(_fields(entry))
            for kind, values in _fields(parts.get(2, b"")):
                found = list(_fields(values))
                value = found[0][1] if found else b""
                if kind == 2:
                    value = struct.unpack("<f", value[:4])[0]
                elif kind == 3:
                    value = value if isinstance(value, int) else _varint(value, 0)[0]
                features[parts[1].decode()] = value
    return features


def _fields(data: Any) -> Iterator[tuple[int, Any]]:
    """Yield the fields of a message of protocol buffers: number and value."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield number, value
            continue
        if wire == 2:
            length, at = _varint(data, at)
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
        else:
            raise IndexError(wire)
        if at + length > len(data):
            raise IndexError(at)
        yield number, data[at : at + length]
        at += length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not byte & 0x80:
            return value, at
