"""Which values of single images a recipe corrects, and why."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path

from cxrbuild.catalog.csv_table import CsvTable, require_none
from cxrbuild.errors import suggest
from cxrbuild.words import compose

CORRECTIONS = CsvTable(
    "corrections", ("source", "path", "column", "old", "new", "reason"), optional=("reader",)
)
CORRECTABLE = (
    "patient_id", "finding", "modality", "view_position", "patient_sex", "patient_age", "attribution",
    "upstream_split",
)  # fmt: skip
"""The columns that a correction can name: those with what the source states of the image or its patient.

The licence is not one of them: the holder of the rights grants it, and it decides which pixels are published.
"""
# What a user may write for one of these, or what follows from one of them.
_MEANT = {
    "age": "patient_age", "class": "finding", "label": "finding", "patient": "patient_id",
    "sex": "patient_sex",
}  # fmt: skip


@dataclass(frozen=True)
class Correction:
    """A value of one image that its source has wrong.

    Attributes
    ----------
    source, path
        The image.
    column
        The column, one of `CORRECTABLE`.
    old, new
        The value that the source gives, and the right one, as the table has them; empty where not known.
    reason
        Why, for the reader of the dataset.
    reader
        Who found it; empty where the file does not state.
    file, line
        Where the correction is written: the name of the file without its folder, and the number of the line.
    place
        The path of that file, for messages.
    """

    source: str
    path: str
    column: str
    old: str
    new: str
    reason: str
    reader: str
    file: str
    line: int
    place: Path = field(repr=False, compare=False)

    @property
    def image(self) -> tuple[str, str]:
        """The image, as source and path."""
        return self.source, self.path


def format_corrections(rows: Sequence[Sequence[str]]) -> bytes:
    """Return a file of corrections with the column ``reader``.

    Parameters
    ----------
    rows
        The cells of each row, in the order of `CORRECTIONS`; those that are missing at its end are empty.
    """
    header = CORRECTIONS.header + CORRECTIONS.optional
    stream = StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([*row, *[""] * (len(header) - len(row))] for row in rows)
    return stream.getvalue().encode()


def read_corrections(name: str, base: Path) -> list[Correction]:
    """Read a file of corrections, with the header of `CORRECTIONS`; see `CsvTable`."""
    path = CORRECTIONS.find(name, base)
    corrections = []
    problems: list[str] = []
    lines: dict[tuple[str, str, str], int] = {}
    for line, (source, image, column, *texts) in CORRECTIONS.rows(path, problems):
        old, new, reason, reader = (compose(text.strip()) for text in texts)
        problems += [
            f"line {line}: no {key}"
            for key, value in (("source", source), ("path", image), ("reason", reason))
            if not value.strip()
        ]
        if column not in CORRECTABLE:
            meant = _MEANT.get(column)
            hint = f"correct {meant!r}" if meant else suggest(column, CORRECTABLE, "column")
            problems.append(f"line {line}: the column {column!r} cannot be corrected; {hint}")
        if old == new:
            problems.append(f"line {line}: `old` and `new` are equal")
        if (first := lines.setdefault((source, image, column), line)) != line:
            problems.append(f"line {line}: {column} of {source} {image} is in line {first} already")
        corrections.append(
            Correction(
                source,
                image,
                column,
                old,
                new,
                reason,
                reader,
                path.name if name.endswith(".csv") else name,
                line,
                path,
            )
        )
    require_none(path, problems)
    return corrections
