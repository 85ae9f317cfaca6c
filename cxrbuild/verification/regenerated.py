"""Whether what follows from the data is what the data give when it is made again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from difflib import SequenceMatcher
from itertools import zip_longest
from pathlib import Path
from typing import Any

from cxrbuild import __version__
from cxrbuild.artifact import ReleaseDocument
from cxrbuild.contents import Contents
from cxrbuild.documents import croissant, texts
from cxrbuild.verification.croissant import CROISSANT
from cxrbuild.verification.finding import Finding

# What of a line or value a fault shows, from a little before the first difference.
_SHOWN, _BEFORE = 100, 30
# Longer texts are compared place by place: to match lines takes time.
_MATCHED = 20_000


def made_by_this_version(document: ReleaseDocument) -> bool:
    """Tell whether this version of cxrbuild packed a release, and so words the same data alike."""
    return document.packaging.cxrbuild == __version__


def check_again(
    folder: Path,
    contents: Contents,
    splits: Mapping[str, Mapping[str, int]],
    outcomes: Mapping[str, Any],
    hashes: Mapping[str, str],
    faults: list[Finding],
) -> None:
    """Make card, lists, citation and Croissant again and compare them line by line and key by key.

    Parameters
    ----------
    folder
        The release.
    contents
        What its tables and its audit say it holds.
    splits
        What was counted in its Parquet shards.
    outcomes
        The outcomes that it has, by name.
    hashes
        The SHA-256 that each file has.
    faults
        Where faults go.
    """
    try:
        due = texts(folder, contents, splits, outcomes)
        described = croissant(folder, contents, hashes)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        # Tables or build.json are damaged, which the faults above name.
        faults.append(Finding("README.md", None, f"cannot be compared with what the data give: {error!r}"))
        return
    for name, text in due.items():
        if not (folder / name).is_file():
            faults.append(Finding(name, None, "is missing"))
            continue
        found = (folder / name).read_text(encoding="utf-8", errors="replace")
        faults += [Finding(name, row, what) for row, what in _lines(text, found)]
    try:
        told = json.loads((folder / CROISSANT).read_text(encoding="utf-8"))
    except OSError:
        faults.append(Finding(CROISSANT, None, "is missing"))
    except ValueError as error:
        faults.append(Finding(CROISSANT, None, f"is not Croissant: {error!r}"))
    else:
        faults += [Finding(CROISSANT, key or None, what) for key, what in _keys("", described, told)]


def _lines(due: str, found: str) -> Iterator[tuple[str, str]]:
    """Yield each line that differs, by its number in what was found."""
    a, b = due.split("\n"), found.split("\n")
    start = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    if start == len(a) == len(b):
        return
    rest = (a[start:], b[start:])
    if max(map(len, rest)) > _MATCHED:
        pairs = [(0, len(rest[0]), 0, len(rest[1]))]
    else:
        matcher = SequenceMatcher(None, *rest)
        pairs = [(i1, i2, j1, j2) for what, i1, i2, j1, j2 in matcher.get_opcodes() if what != "equal"]
    for i1, i2, j1, j2 in pairs:
        for k, (wanted, line) in enumerate(zip_longest(rest[0][i1:i2], rest[1][j1:j2])):
            if wanted != line:
                yield f"line {start + j1 + k + 1}", _expected(wanted, line)


def _keys(key: str, due: Any, found: Any) -> Iterator[tuple[str, str]]:
    """Yield each key of a JSON document whose value differs."""
    if isinstance(due, dict) and isinstance(found, dict):
        for name in [*due, *(name for name in found if name not in due)]:
            below = f"{key}.{name}" if key else name
            yield from _keys(below, due.get(name), found.get(name))
    elif isinstance(due, list) and isinstance(found, list):
        a, b = _named(due), _named(found)
        for name in [*a, *(name for name in b if name not in a)]:
            yield from _keys(f"{key}[{name}]", a.get(name), b.get(name))
        if list(a) != list(b) and set(a) == set(b):
            yield key, "is in another order"
    elif due != found:
        wanted, told = (
            None if v is None else v if isinstance(v, str) else json.dumps(v) for v in (due, found)
        )
        yield key, _expected(wanted, told)


def _named(values: list[Any]) -> dict[str, Any]:
    """Return the values of a list by their @id, else by their place."""
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
