"""Tables for spreadsheets: one rule for cells, whether a table or its rows are written."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pandas as pd
import pytest

from cxrbuild import spreadsheets
from cxrbuild.spreadsheets import safe_csv, safe_rows, write_rows

# Each cell, and what a spreadsheet gets.
CELLS = [
    ("=1+1", "'=1+1"), ("+1", "'+1"), ("-1", "'-1"), ("@a", "'@a"), ("\ta", "'\ta"), ("a=1", "a=1"),
    ("a\r\nb\nc\rd", "a b c d"), ("=a\nb", "'=a b"), ("\n=a", " =a"), ("", ""), (None, ""), ("'a", "'a"),
    (-1, "-1"), (2, "2"), (1.5, "1.5"), (True, "True"), ('say "a", b', 'say "a", b'),
]  # fmt: skip


@pytest.mark.parametrize("dtype", ["object", "str"])
def test_a_table_and_its_rows_are_written_by_one_rule(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: str
) -> None:
    monkeypatch.setattr(spreadsheets, "_ROWS", 5)
    chosen = CELLS if dtype == "object" else [one for one in CELLS if isinstance(one[0], str | None)]
    cells = [cell for cell, _ in chosen]
    table = pd.DataFrame({"cell": pd.Series(cells, dtype=dtype), "number": range(len(cells))})
    written = write_rows(
        tmp_path / "a.csv", ["cell", "number"], safe_rows(zip(cells, table["number"], strict=True))
    )
    expected = [["cell", "number"], *([cell, str(n)] for n, (_, cell) in enumerate(chosen))]
    for text in (safe_csv(table), written.read_text(encoding="utf-8")):
        assert list(csv.reader(io.StringIO(text))) == expected


def test_a_table_without_rows_has_its_header() -> None:
    assert safe_csv(pd.DataFrame({"a": pd.Series([], dtype="str"), "b": []})) == "a,b\n"
