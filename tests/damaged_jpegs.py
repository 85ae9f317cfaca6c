"""JPEG files of one channel, and damage as editors, downloads and disks make it."""

from __future__ import annotations

import io
import random
import struct
import typing

from PIL import Image

_NAMES = (b"JFIF\0", b"JFXX\0\x10", b"Exif\0\0II*\0", b"Exif\0\0", b"Adobe\0d\0\0\0\0\0",
          b"ICC_PROFILE\0", b"Photoshop 3.0\x008BIM", b"MPF\0", b"")  # fmt: skip


def draw_jpeg(chance: random.Random) -> bytes:
    """Return a sound file: baseline or progressive, with or without restart markers and metadata."""
    size = chance.choice([(40, 24), (9, 7), (64, 64), (160, 120)])
    image = Image.frombytes("L", size, chance.randbytes(size[0] * size[1]))
    if chance.random() < 0.5:
        image = image.reduce(3).resize(size)
    options: dict[str, typing.Any] = {"quality": chance.randint(10, 100)}
    for name, share in (("progressive", 0.3), ("optimize", 0.3)):
        options[name] = chance.random() < share
    if chance.random() < 0.3:
        options["restart_marker_blocks"] = chance.randint(1, 9)
    if chance.random() < 0.4:
        exif = Image.Exif()
        exif[0x0112], exif[0x010E] = chance.choice([0, 1, 1, 1, 9]), "text"
        options["exif"] = exif
    if chance.random() < 0.2:
        options |= {"comment": b"a comment", "icc_profile": bytes(chance.randint(1, 3000))}
    stream = io.BytesIO()
    image.save(stream, "JPEG", **options)
    return stream.getvalue()


def damage(data: bytes, chance: random.Random) -> bytes:
    """Return a file with one change: of its header's segments, of its tables, of its scans or of its end."""
    segments = _segments(data)
    if not segments:
        return data
    change = chance.choice(_CHANGES)
    return change(data, segments, chance)


def _segments(data: bytes) -> list[tuple[int, int]]:
    """Return where the segments before the first scan's data begin and end."""
    found, position = [], 2
    while data[position : position + 1] == b"\xff" and position + 4 <= len(data):
        end = position + 2 + int.from_bytes(data[position + 2 : position + 4])
        if end > len(data) - 2:
            break
        found.append((position, end))
        if data[position + 1] == 0xDA:
            break
        position = end
    return found


def _put(data: bytes, position: int, new: bytes, removed: int = 0) -> bytes:
    return data[:position] + new + data[position + removed :]


def _level(chance: random.Random) -> bytes:
    return bytes([chance.choice([0, 1, 2, 3, 8, 16, 17, 255, chance.randrange(256)])])


def _edit_segment(data: bytes, segments: list[tuple[int, int]], chance: random.Random) -> bytes:
    start, end = chance.choice(segments)
    return _put(data, chance.randrange(start + 3, max(start + 4, end)), _level(chance), 1)


def _lengthen(data: bytes, segments: list[tuple[int, int]], chance: random.Random) -> bytes:
    start, end = chance.choice(segments)
    length = max(0, end - start - 2 + chance.choice([-4, -2, -1, 1, 2, 10, 300]))
    return _put(data, start + 2, struct.pack(">H", length), 2)


def _move(data: bytes, segments: list[tuple[int, int]], chance: random.Random) -> bytes:
    start, end = chance.choice(segments)
    kept = chance.choice([data, _put(data, start, b"", end - start)])
    others = [(2, 2), *_segments(kept)]
    return _put(kept, chance.choice(others)[0], data[start:end])


def _remove(data: bytes, segments: list[tuple[int, int]], chance: random.Random) -> bytes:
    start, end = chance.choice(segments)
    return _put(data, start, b"", end - start)


def _insert(data: bytes, segments: list[tuple[int, int]], chance: random.Random) -> bytes:
    body = chance.choice(_NAMES) + chance.randbytes(chance.randint(0, 40))
    marker = chance.choice([0xDB, 0xDC, 0xDD, 0xFE, chance.randrange(0xC0, 0xFF), *range(0xE0, 0xF0)])
    segment = bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body
    extra = chance.choice(
        [segment, segment, b"\xff", b"\0", b"\xff\0", b"\xff\x01", b"\xff\xd0", b"\xff\xd8"]
    )
    return _put(data, chance.choice(segments)[0], extra)


def _edit_scan(data: bytes, segments: list[tuple[int, int]], chance: random.Random) -> bytes:
    position = chance.randrange(segments[-1][1], len(data))
    new = chance.choice([b"", chance.randbytes(1), b"\xff", b"\xff\0", b"\xff\xc0", b"\xff\xfe\0\4ab"])
    return _put(data, position, new, chance.randint(0, 8))


def _edit_restarts(data: bytes, segments: list[tuple[int, int]], chance: random.Random) -> bytes:
    marker = bytes([0xFF, 0xD0 + chance.randrange(8)])
    start = segments[-1][1]
    places = [i for i in range(start, len(data) - 1) if data[i] == 255 and 0xD0 <= data[i + 1] <= 0xD7]
    if not places:
        return _put(data, chance.randrange(start, len(data)), marker)
    return _put(data, chance.choice(places), chance.choice([b"", marker]), 2)


def _truncate(data: bytes, segments: list[tuple[int, int]], chance: random.Random) -> bytes:
    return data[: chance.randrange(segments[-1][1], len(data))] + b"\xff\xd9"


def _append(data: bytes, _segments: list[tuple[int, int]], chance: random.Random) -> bytes:
    return data + chance.choice([b"\xff\xd9", b"text", data, bytes(1000), b"\xff\xd8\xff\xe0"])


_CHANGES = (_edit_segment, _edit_segment, _lengthen, _move, _remove, _insert, _insert, _edit_scan,
            _edit_scan, _edit_restarts, _truncate, _append)  # fmt: skip
