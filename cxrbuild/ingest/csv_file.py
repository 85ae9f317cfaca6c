"""Metadata in a CSV file, read strictly: an unknown layout is an error, never a guess."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING

from cxrbuild.catalog.source import CsvReader
from cxrbuild.errors import CxrbuildError, name_some

if TYPE_CHECKING:
    import pandas as pd


def read_csv(reader: CsvReader, root: Path, known: frozenset[str]) -> pd.DataFrame:
    """Read upstream's words.

    Parameters
    ----------
    reader
        How the file is declared.
    root
        The source's folder.
    known
        The paths that upstream has, to try suffixes against.

    Returns
    -------
    pandas.DataFrame
        Upstream's columns as text, indexed by (place, path): where a row stands, and its image's path.

    Raises
    ------
    CxrbuildError
        The file is not there, not in its declared encoding, or not of its declared layout.
    """
    import pandas as pd

    path = root / reader.file
    rows = _rows(path, reader.encoding)
    _, header = rows[0] if rows else (0, [])
    _check_header(path, header, reader.header)
    faults = [
        f"line {line}: {len(row)} cells, not {len(header)}"
        for line, row in rows[1:]
        if len(row) != len(header)
    ]
    if faults:
        raise CxrbuildError("rows of another length\n  " + name_some(faults, 20), where=path)
    words = pd.DataFrame([row for _, row in rows[1:]], columns=header, dtype="str")
    try:
        paths = [reader.path.format_map(dict(zip(header, row, strict=True))) for _, row in rows[1:]]
    except (KeyError, IndexError) as error:
        raise CxrbuildError(
            "the declared `reader.path` names a column that is not there",
            where=path, expected=reader.path, found=", ".join(header),
        ) from error  # fmt: skip
    if reader.suffixes:
        paths = [
            next((p + suffix for suffix in reader.suffixes if p + suffix in known), p + reader.suffixes[0])
            for p in paths
        ]
    places = [f"{reader.file}, line {line}" for line, _ in rows[1:]]
    words.index = pd.MultiIndex.from_arrays([places, paths], names=["place", "path"])
    return words


def _rows(path: Path, encoding: str) -> list[tuple[int, list[str]]]:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise CxrbuildError(
            "the source's metadata is not there", where=path, todo="Fetch the source again"
        ) from None
    # A byte-order mark says nothing but that the file is UTF-8.
    codec = "utf-8-sig" if encoding == "utf-8" else encoding
    try:
        text = data.decode(codec)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise CxrbuildError(
            f"not in the declared encoding, at line {line}", where=path, expected=encoding,
            found=f"byte 0x{data[error.start]:02x}",
            todo="This is another revision: fetch the pinned one, or declare a source for this one",
        ) from error  # fmt: skip
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows, start = [], 1
    try:
        for row in reader:
            if row:
                rows.append((start, row))
            start = reader.line_num + 1
    except csv.Error as error:
        raise CxrbuildError(f"not CSV from line {start} on", where=path, found=error) from error
    return rows


def _check_header(path: Path, found: list[str], declared: list[str] | None) -> None:
    if declared is None or found == declared:
        if len(set(found)) < len(found):
            raise CxrbuildError("a column stands twice in the header", where=path, found=", ".join(found))
        return
    missing = [column for column in declared if column not in found]
    added = [column for column in found if column not in declared]
    faults = [f"column {name_some(missing)} is missing"] if missing else []
    faults += [f"column {name_some(added)} is unknown"] if added else []
    raise CxrbuildError(
        "an unknown layout, in the header", where=path, expected=", ".join(declared),
        found="; ".join(faults) or "the columns in another order",
        todo="This is another revision: fetch the pinned one, or declare a source for this one",
    )  # fmt: skip
