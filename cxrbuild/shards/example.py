"""Write and read ``tf.train.Example``, a message of protocol buffers, without TensorFlow.

The message: https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/example/feature.proto
Its encoding: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import TypeAlias

Value: TypeAlias = bytes | float | int
# The fields of `Feature`: the lists of values of a type.
_TEXTS, _FLOATS, _INTEGERS = 1, 2, 3
# A field of bytes, of packed numbers or of another message.
_DELIMITED = 2


class ExampleError(ValueError):
    """The bytes are no Example with a single value for each feature."""


def write_example(features: Mapping[str, Value], image: memoryview) -> bytes:
    """Return an Example with a single value for each feature.

    The bytes are those of TensorFlow's ``Example.SerializeToString(deterministic=True)``.

    Parameters
    ----------
    features
        The features by name. An ``int`` is stored with 64 bits, a ``float`` with 32.
    image
        The feature ``image``.
    """
    entries = [
        _entry(name, _TEXTS, image) if name == "image" else _small_entry(name, *_encode(features[name]))
        for name in sorted([*features, "image"], key=_map_order)
    ]
    return b"".join(_field(1, *(part for entry in entries for part in entry)))


def read_example(data: bytes) -> dict[str, Value]:
    """Return the features of an Example by name.

    Raises
    ------
    ExampleError
        The bytes are no Example, or a feature occurs twice or has no single value.
    """
    features: dict[str, Value] = {}
    try:
        ((_, entries),) = _fields(data)
        for _, entry in _fields(entries):
            (_, name), (_, feature) = _fields(entry)
            if name.decode() in features:
                raise ExampleError(f"the feature {name.decode()} occurs twice")
            features[name.decode()] = _value(feature)
    # A byte or a field too few or too many, or text that is no UTF-8.
    except (IndexError, ValueError, struct.error) as error:
        raise error if isinstance(error, ExampleError) else ExampleError("no Example") from error
    return features


def _map_order(name: str) -> bytes:
    """Return what the deterministic order compares: bytes, but a name before its beginning, `image`.

    The implementation of protocol buffers in TensorFlow's wheels, upb, writes and sorts a map backwards.
    """
    return name.encode() + b"\xff"


def _encode(value: Value) -> tuple[int, bytes]:
    if isinstance(value, int):
        # A number below 0 as its two's complement.
        return _INTEGERS, _varint(value % (1 << 64))
    if isinstance(value, float):
        return _FLOATS, struct.pack("<f", value)
    return _TEXTS, value


# Most values are those of many images.
@lru_cache(maxsize=4096)
def _small_entry(name: str, kind: int, value: bytes) -> tuple[bytes]:
    return (b"".join(_entry(name, kind, value)),)


def _entry(name: str, kind: int, value: bytes | memoryview) -> list[bytes | memoryview]:
    return _field(1, *_field(1, name.encode()), *_field(2, *_field(kind, *_field(1, value))))


def _field(number: int, *parts: bytes | memoryview) -> list[bytes | memoryview]:
    """Return a field in parts: the bytes of an image are copied once, when all parts are joined."""
    return [_varint(number << 3 | _DELIMITED), _varint(sum(map(len, parts))), *parts]


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _value(feature: bytes) -> Value:
    ((kind, values),) = _fields(feature)
    ((_, value),) = _fields(values)
    if kind == _INTEGERS:
        integer = _read_varint(value, 0)[0]
        return integer - (integer >> 63 << 64)
    if kind == _FLOATS:
        number: float = struct.unpack("<f", value)[0]
        return number
    if kind == _TEXTS:
        return value
    raise ExampleError("no Example")


def _fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the fields of a message: number and bytes."""
    at = 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        length, at = _read_varint(data, at)
        if tag & 7 != _DELIMITED or at + length > len(data):
            raise IndexError(at)
        yield tag >> 3, data[at : at + length]
        at += length


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not byte & 0x80:
            return value, at
