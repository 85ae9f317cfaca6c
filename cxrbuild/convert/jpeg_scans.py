"""Find the scans of a JPEG, in a form that shows whether one of them ends early.

libjpeg completes a scan that ends early with grey, and Pillow does not pass on its warning. A single scan
therefore goes to the decoder without the end marker: the decoder then fails if it needs more. Several scans,
and scans with restart markers, are decoded a second time with surplus bytes after each of them: complete
ones do not depend on these.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from cxrbuild.convert.exclusion import NotConvertible

# The most scans that are decoded. Progressive files of common encoders have about ten; each scan passes over
# all pixels again.
_MOST_SCANS = 100
_SCAN, _END, _HUFFMAN, _ARITHMETIC = 0xDA, 0xD9, 0xC4, 0xCC
# Tables, restart interval, number of lines, comment and APPn.
_BETWEEN_SCANS = {_HUFFMAN, _ARITHMETIC, 0xDB, 0xDC, 0xDD, 0xFE, *range(0xE0, 0xF0)}
# Any marker but the restart markers; a zero follows a data byte of FF.
# Its first byte is a literal, which the regular expression finds far faster than a repetition.
_MARKER = re.compile(rb"\xff\xff*[^\x00\xff\xd0-\xd7]")
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")
# libjpeg reads up to eight bytes ahead of what it needs. A scan that lacks a part of its last block alone may
# be completed by them; zeros complete fewer blocks than other bytes, since their codes are short.
_AHEAD = bytes(8)
_SURPLUS = bytes([0x5A, 0x3C, 0x96, 0x69] * 16)
_ALL_COEFFICIENTS = (1 << 64) - 1


class Scans(NamedTuple):
    """Hold the scans of a JPEG, from the first scan's marker on, as the decoder gets them.

    Parameters
    ----------
    data
        The scans.
    with_surplus
        The scans with surplus bytes, which give other pixels if a scan ends early; None if the decoder fails
        on ``data`` then.
    """

    data: bytes
    with_surplus: bytes | None


def read_scans(data: bytes, start: int, *, channels: int, is_progressive: bool) -> Scans:
    """Read the scans of a JPEG, up to its end marker.

    Parameters
    ----------
    data
        The file.
    start
        The position of the first scan's marker.
    channels
        The number of the frame's channels.
    is_progressive
        Whether the frame is progressive.

    Raises
    ------
    NotConvertible
        The file ends within a scan or lacks scans, has too many of them, or other markers than scans have.
    """
    # The ends of entropy-coded data, where surplus bytes go.
    ends: list[int] = []
    # Of each channel the coefficients that are complete to their last bit.
    complete: dict[tuple[int, int], int] = {}
    position = start
    while (marker := data[position + 1]) != _END:
        if marker != _SCAN and marker not in _BETWEEN_SCANS:
            raise NotConvertible("unreadable", f"a JPEG with the marker FF{marker:02X} among its scans")
        following = position + 2 + int.from_bytes(data[position + 2 : position + 4])
        # Bytes before the next marker are data of a scan; elsewhere libjpeg skips them.
        found = _MARKER.search(data, following)
        if found is None:
            raise NotConvertible("truncated", f"the first {len(data):,} bytes of a JPEG, without its end")
        if marker == _SCAN:
            ends.append(found.start())
            channels_here, coefficients = _read_scan(data[position + 4 : following], is_progressive)
            for channel in channels_here:
                complete[channel] = complete.get(channel, 0) | coefficients
        position = found.end() - 2
        if len(ends) > _MOST_SCANS:
            raise NotConvertible("unsupported", f"a JPEG of more than {_MOST_SCANS} scans")
    if sum(coefficients == _ALL_COEFFICIENTS for coefficients in complete.values()) < channels:
        raise NotConvertible("truncated", "a JPEG without its last scans")
    is_single = len(ends) == 1 and data[start + 4] == channels and not is_progressive
    scans = data[start : ends[0]] + _AHEAD if is_single else data[start : position + 2]
    if is_single and not _RESTART.search(scans):
        return Scans(scans, None)
    parts, begin = [], start
    for end in ends:
        parts += [_RESTART.sub(lambda restart: _SURPLUS + restart[0], data[begin:end]), _SURPLUS]
        begin = end
    parts[-1:] = [_AHEAD] if is_single else [_SURPLUS, data[begin : position + 2]]
    return Scans(scans, b"".join(parts))


def _read_scan(scan: bytes, is_progressive: bool) -> tuple[list[tuple[int, int]], int]:
    """Return the channels of a scan, and the coefficients that it completes, as bits (T.81, B.2.3).

    A channel is its identifier and a count, because some files give all channels the same identifier.
    """
    count = scan[0] if scan else 0
    if len(scan) < 4 + 2 * count:
        return [], 0
    identifiers = scan[1 : 1 + 2 * count : 2]
    channels = [(name, identifiers[:i].count(name)) for i, name in enumerate(identifiers)]
    if not is_progressive:
        return channels, _ALL_COEFFICIENTS
    first, last, precision = scan[1 + 2 * count : 4 + 2 * count]
    is_refined = not precision & 0x0F and first <= last < 64
    return channels, (2 << last) - (1 << first) if is_refined else 0
