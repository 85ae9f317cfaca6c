"""A CSV file of unknown layout: its encoding, delimiter, header and rows."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cxrbuild.errors import CxrbuildError, name_some
from cxrbuild.words import compose

if TYPE_CHECKING:
    import pandas as pd

DELIMITERS = (",", ";", "\t", "|")
_LONGEST_CELL = 1 << 26


@dataclass(frozen=True)
class Table:
    """A table of metadata, as it was found.

    Attributes
    ----------
    path
        The file.
    encoding, delimiter
        How it is read.
    header
        Its columns in order.
    values
        Its cells as text without outer blanks, a column for each that has a name of its own.
    """

    path: Path
    encoding: str
    delimiter: str
    header: tuple[str, ...]
    values: pd.DataFrame


def read_table(path: Path) -> Table:
    """Read a CSV file, and find out how.

    UTF-8 is tried first: text of another encoding is hardly ever valid UTF-8. Windows-1252 comes next;
    Latin-1 fits every file.

    Raises
    ------
    CxrbuildError
        The file is empty, is no CSV file, or its rows differ in length.
    OSError
        The file cannot be read.
    """
    import pandas as pd

    data = path.read_bytes()
    if data[:2] == b"\x1f\x8b":
        raise CxrbuildError(
            "the file is compressed", where=path, expected="a CSV file",
            todo="Decompress it first: `gunzip --keep FILE`",
        )  # fmt: skip
    encoding, text = _decode(data)
    delimiter = _delimiter(text)
    previous = csv.field_size_limit(_LONGEST_CELL)
    try:
        rows = [
            row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True) if row
        ]
    except csv.Error as error:
        raise CxrbuildError(
            "not a CSV file", where=path, found=error,
            todo="Correct the quotes of the file, or save it again as CSV",
        ) from error  # fmt: skip
    finally:
        csv.field_size_limit(previous)
    if len(rows) < 2:
        raise CxrbuildError(
            "the CSV file has no rows", where=path, expected="a header and a row for each image",
            found="an empty file" if not rows else f"the header {name_some(rows[0])}",
            todo="Name a CSV file with rows",
        )  # fmt: skip
    header = [compose(name) for name in rows[0]]
    if twice := sorted({name for name in header if header.count(name) > 1}):
        raise CxrbuildError(
            "two columns have one name", where=path, found=name_some(map(repr, twice)),
            todo="Rename one of them in the file",
        )  # fmt: skip
    if other := [i for i, row in enumerate(rows, 1) if len(row) != len(header)]:
        raise CxrbuildError(
            "rows of another length than the header", where=path, expected=f"{len(header)} cells",
            found=f"another number in row {name_some(other, 5)}",
            todo="A cell that holds the delimiter needs quotes around it",
        )  # fmt: skip
    cells = pd.DataFrame(rows[1:], columns=header, dtype="str")
    cells = cells.apply(lambda column: column.str.strip().str.normalize("NFC"))
    return Table(path, encoding, delimiter, tuple(header), cells)


def column_names(values: pd.DataFrame) -> list[str]:
    """Return the names of the columns that have one."""
    return [str(name) for name in values.columns if name]


def _decode(data: bytes) -> tuple[str, str]:
    for encoding in ("utf-8", "cp1252"):
        try:
            return encoding, data.decode(encoding).removeprefix("\ufeff")
        except UnicodeDecodeError:
            continue
    return "latin-1", data.decode("latin-1")


def _delimiter(text: str) -> str:
    """Return the delimiter that divides the header into most cells, a comma where none does."""
    end = text.find("\n")
    line = text[: end if end >= 0 else len(text)]
    return max(DELIMITERS, key=lambda sign: (len(next(csv.reader([line], delimiter=sign), [])), sign == ","))
