"""Write and read TFRecord, a file of records with checksums, without TensorFlow.

A record has its length and the length's checksum before it, and its own checksum after it:
https://www.tensorflow.org/tutorials/load_data/tfrecord
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_HEAD, _FOOT = struct.Struct("<QI"), struct.Struct("<I")
# The bytes that a file has for each record in addition to the record.
FRAME_BYTES = _HEAD.size + _FOOT.size


class RecordError(ValueError):
    """The bytes are not a TFRecord."""


def frame(record: bytes) -> tuple[bytes, bytes, bytes]:
    """Return a record with what a file has before and after it."""
    length = struct.pack("<Q", len(record))
    return length + _FOOT.pack(_checksum(length)), record, _FOOT.pack(_checksum(record))


def read_records(path: Path) -> Iterator[bytes]:
    """Yield the records of a file.

    Raises
    ------
    RecordError
        The file is truncated, a checksum differs, or the file is not a TFRecord.
    """
    with path.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        while head := stream.read(_HEAD.size):
            at = stream.tell() - len(head)
            if len(head) < _HEAD.size:
                raise RecordError("is truncated")
            length, checksum = _HEAD.unpack(head)
            if checksum != _checksum(head[:8]):
                raise RecordError(f"no record at byte {at}")
            if length > size:
                raise RecordError("is truncated")
            record = _read(stream, length)
            if _checksum(record) != _FOOT.unpack(_read(stream, _FOOT.size))[0]:
                raise RecordError(f"the record at byte {at} differs from its checksum")
            yield record


def _read(stream: BinaryIO, size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise RecordError("is truncated")
    return data


def _checksum(data: bytes) -> int:
    """Return TensorFlow's masked CRC-32C: a CRC of data that holds its own CRC would show no error."""
    import google_crc32c

    crc: int = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
