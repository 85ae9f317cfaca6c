"""Where two texts, or two JSON documents, differ."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import Any

# How many characters of a line or value a message shows, from a little before the first difference.
_SHOWN, _BEFORE = 100, 30
# Longer texts are compared line by line without matching: matching takes time.
_MATCHED = 20_000


def line_differences(expected: str, found: str) -> Iterator[tuple[str, str]]:
    """Yield each line that differs, by its number in the text found, and a message."""
    if expected == found:
        return
    a, b = expected.split("\n"), found.split("\n")
    start = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    if start == len(a) == len(b):
        return
    rest = (a[start:], b[start:])
    if max(map(len, rest)) > _MATCHED:
        pairs = [(0, len(rest[0]), 0, len(rest[1]))]
    else:
        matcher = SequenceMatcher(None, *rest)
        pairs = [(i1, i2, j1, j2) for kind, i1, i2, j1, j2 in matcher.get_opcodes() if kind != "equal"]
    for i1, i2, j1, j2 in pairs:
        for k, (wanted, line) in enumerate(zip_longest(rest[0][i1:i2], rest[1][j1:j2])):
            if wanted != line:
                yield f"line {start + j1 + k + 1}", _expected(wanted, line)


def json_differences(
    expected: Any, found: Any, key: str = "", *, of_files: Collection[str] = ()
) -> Iterator[tuple[str, str]]:
    """Yield each key of a JSON document whose value differs, and a message.

    Parameters
    ----------
    expected, found
        The document as it follows from the data, and as it is.
    key
        The key of both in the whole document.
    of_files
        The names of keys whose values are measured on files: where they differ, either may have changed.
    """
    if isinstance(expected, dict) and isinstance(found, dict):
        yield from _entry_differences(expected, found, (f"{key}." if key else "", ""), of_files)
    elif isinstance(expected, list) and isinstance(found, list):
        a, b = _named(expected), _named(found)
        yield from _entry_differences(a, b, (f"{key}[", "]"), of_files)
        if list(a) != list(b) and set(a) == set(b):
            yield key, "is in another order"
    elif _text(expected) != _text(found):
        measured = key.rpartition(".")[2] in of_files
        message = f"is {_text(found)}, the file's is {_text(expected)}" if measured else None
        yield key, message or _expected(_text(expected), _text(found))


def _entry_differences(
    expected: dict[str, Any], found: dict[str, Any], around: tuple[str, str], of_files: Collection[str]
) -> Iterator[tuple[str, str]]:
    before, after = around
    for name, value in expected.items():
        if name in found:
            yield from json_differences(value, found[name], f"{before}{name}{after}", of_files=of_files)
        else:
            yield f"{before}{name}{after}", _expected(_text(value), None)
    for name in found:
        if name not in expected:
            yield f"{before}{name}{after}", _expected(None, _text(found[name]))


def _text(value: Any) -> str:
    # As JSON, 1 and true differ.
    return value if isinstance(value, str) else json.dumps(value)


def _named(values: list[Any]) -> dict[str, Any]:
    """Return the values of a list by their @id, else by their position."""
    named = {
        str(value["@id"]) if isinstance(value, dict) and "@id" in value else str(i): value
        for i, value in enumerate(values)
    }
    return named if len(named) == len(values) else {str(i): value for i, value in enumerate(values)}


def _expected(wanted: str | None, found: str | None) -> str:
    if wanted is None:
        return f"should not be here: {_short(found or '', 0)}"
    if found is None:
        return f"is missing here: {_short(wanted, 0)}"
    same = next(
        (i for i, (x, y) in enumerate(zip(wanted, found, strict=False)) if x != y),
        min(len(wanted), len(found)),
    )
    start = max(0, same - _BEFORE) if max(len(wanted), len(found)) > _SHOWN else 0
    return f"expected {_short(wanted, start)}, found {_short(found, start)}"


def _short(text: str, start: int) -> str:
    shown = text[start : start + _SHOWN]
    return f"'{'...' * (start > 0)}{shown}{'...' * (start + _SHOWN < len(text))}'"
