"""Copied JPEG files are complete, and no other reader refuses them."""

from __future__ import annotations

import random

import pytest
from damaged_jpegs import damage, draw_jpeg
from image_files import CONVERSION, excluded, gray, noise, saved

from cxrbuild.convert import NotConvertible, to_jpeg
from cxrbuild.convert.jpeg import find_copy_size, read_jpeg


def compare(seed: int, count: int) -> int:
    """Compare both on damaged files; return how many are excluded."""
    chance = random.Random(seed)
    excluded = 0
    for _ in range(count):
        data = draw_jpeg(chance)
        for _ in range(chance.choice([1, 1, 1, 2, 3])):
            data = damage(data, chance)
        why = None
        try:
            read_jpeg(data, 1_000_000)
        except NotConvertible as error:
            why = error.reason, error.found
        try:
            # What is encoded is not checked here.
            agrees = find_copy_size(data, 1_000_000) is None or why is None
        except NotConvertible as error:
            agrees = (error.reason, error.found) == why
        assert agrees, data.hex()
        excluded += why is not None
    return excluded


def test_reduced_decoding_refuses_what_complete_decoding_refuses() -> None:
    assert 100 < compare(1, 300) < 290


@pytest.mark.slow
def test_reduced_decoding_of_many_damaged_files() -> None:
    assert compare(2, 20_000) > 5_000


@pytest.mark.parametrize("quality", [30, 95])
def test_every_truncation_of_a_scan_is_excluded(quality: int) -> None:
    # The last block, of some fifty bytes, may be completed by what libjpeg reads ahead.
    data = saved(noise("L"), "JPEG", quality=quality)
    assert to_jpeg(data, CONVERSION).conversion == "copied"
    start = data.index(b"\xff\xda") + 10
    for end in range(start, len(data) - 50, 3):
        excluded(data[:end].rstrip(b"\xff") + b"\xff\xd9", "truncated")


def test_progressive_jpeg_without_its_last_scans_is_excluded() -> None:
    data = saved(gray(), "JPEG", progressive=True)
    starts = [i for i in range(len(data)) if data[i : i + 2] == b"\xff\xc4"][1:]
    assert len(starts) >= 4
    for start in starts:
        assert excluded(data[:start] + b"\xff\xd9", "truncated") == "a JPEG without its last scans"


def test_jpeg_without_a_channel_s_scan_is_excluded() -> None:
    data = saved(noise("RGB"), "JPEG", quality=80)
    start = data.index(b"\xff\xda")
    scan = bytearray(data[start:])
    # The scan of all three channels becomes one of the first.
    first = b"\xff\xda\0\x08\1" + bytes(scan[5:7]) + bytes(scan[11:14])
    assert "without its last scans" in excluded(data[:start] + first + bytes(scan[14:]), "truncated")


def test_channels_of_one_name_are_complete() -> None:
    data = bytearray(saved(noise("RGB"), "JPEG", quality=80))
    for marker, offset, step in ((b"\xff\xc0", 10, 3), (b"\xff\xda", 5, 2)):
        start = data.index(marker) + offset
        data[start : start + 3 * step : step] = b"\1\1\1"
    assert to_jpeg(bytes(data), CONVERSION).conversion == "encoded"
