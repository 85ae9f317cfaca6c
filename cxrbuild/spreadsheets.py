"""CSV files that people open in a spreadsheet: no cell of them is a formula.

A cell that begins with one of ``=+-@`` or a tab is a formula there; an apostrophe makes it text:
https://owasp.org/www-community/attacks/CSV_Injection. Files that the program reads again, as links,
are written as they are: a path with an apostrophe is the path of no image.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cxrbuild.files import replacing

if TYPE_CHECKING:
    import pandas as pd

_FORMULA = ("=", "+", "-", "@", "\t")
_LINE_END = re.compile(r"\r\n?|\n")
# Rows that are made into text at once: the cells of a table as Python objects are many times as large.
_ROWS = 1 << 16


def safe_csv(table: pd.DataFrame) -> str:
    """Return a table without its index as CSV, without formulas and line ends in cells of text."""
    rows = (table.iloc[start : start + _ROWS] for start in range(0, max(len(table), 1), _ROWS))
    return "".join(_csv_of(some, header=number == 0) for number, some in enumerate(rows))


def _csv_of(rows: pd.DataFrame, *, header: bool) -> str:
    import pandas as pd

    safe = rows.copy(deep=False)
    for column in rows.select_dtypes(["object", "string"]).columns:
        # As objects, so that whole numbers between texts stay whole.
        safe[column] = pd.Series(
            [_safe_cell(cell) for cell in rows[column]], index=rows.index, dtype="object"
        )
    return safe.to_csv(index=False, header=header, lineterminator="\n")


def safe_rows(rows: Iterable[Sequence[object]]) -> Iterator[list[object]]:
    """Yield rows without formulas and line ends in cells of text.

    Examples
    --------
    >>> list(safe_rows([("=1+1", "a", -1)]))
    [["'=1+1", 'a', -1]]
    """
    for row in rows:
        yield [_safe_cell(cell) for cell in row]


def _safe_cell(cell: object) -> object:
    """Return a cell; text without line ends, and not as a formula."""
    if not isinstance(cell, str):
        return cell
    if "\n" in cell or "\r" in cell:
        cell = _LINE_END.sub(" ", cell)
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def write_rows(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> Path:
    """Write a header and rows as CSV, as they are."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
    return path
