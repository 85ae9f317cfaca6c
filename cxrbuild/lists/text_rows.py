"""Read the rows of a published list that is text: cells that a character or spaces separate."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cxrbuild.errors import CxrbuildError, name_some

# Names of columns in published lists, in lower case without separators.
_NAMES = {
    "file": {
        "file",
        "filename",
        "image",
        "imagename",
        "imagepath",
        "imageindex",
        "imageid",
        "imagefile",
        "path",
        "img",
    },
    "patient": {"patient", "patientid", "subject", "subjectid", "case", "caseid", "pid"},
    "label": {"label", "class", "classname", "finding", "findinglabels", "category", "target", "diagnosis"},
    "source": {"source", "dataset", "origin", "datasource"},
    "split": {"split", "subset", "set", "partition", "fold"},
}
# The columns of a list without a header, as COVID-Net writes it.
_POSITIONS = ("patient", "file", "label", "source")
_SEPARATORS = "\t,;|"
# Lines that decide which separator a list has.
_SAMPLE = 50
_SUFFIX = r"\.(?:png|jpe?g|dcm|dicom|bmp|gif|tiff?|webp|nii(?:\.gz)?)"
# A name can have spaces: what ends like an image's is one cell.
_IMAGE = re.compile(rf".*{_SUFFIX}", re.IGNORECASE)
_FILE_FIRST = re.compile(rf"(?P<file>\S.*?{_SUFFIX})(?:\s+(?P<after>.*))?", re.IGNORECASE)
_LINE = re.compile(
    rf"(?:(?P<before>[^\s\\/]+)\s+)?(?P<file>\S.*?{_SUFFIX})(?:\s+(?P<after>.*))?", re.IGNORECASE
)


def named_cells(row: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, Any]:
    """Return the cells of a row by our names of columns: those that are given, else the usual ones.

    Parameters
    ----------
    row
        The cells, by the list's names of columns.
    columns
        The list's names of columns, by ours.
    """
    found = {ours: row[name] for ours, name in columns.items() if row.get(name) not in (None, "")}
    for name, value in row.items():
        plain = re.sub(r"[^a-z]", "", str(name).lower())
        for ours, names in _NAMES.items():
            if plain in names and ours not in found and ours not in columns and value not in (None, ""):
                found[ours] = value
    return {ours: str(value) if isinstance(value, int | float) else value for ours, value in found.items()}


def text_rows(text: str, path: Path, columns: dict[str, str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the cells of each row by our names of columns, with the number of its line.

    Parameters
    ----------
    text
        The text of the list.
    path
        The file, for errors, and for its suffix.
    columns
        Names or positions of columns, by our names.

    Raises
    ------
    CxrbuildError
        A line does not fit, or nothing says which column has the files.
    """
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    # Excel reads the separator from such a line, and some programs write it.
    stated = re.fullmatch(r"sep=(.)\s*", lines[0][1], re.IGNORECASE) if lines else None
    if stated:
        text = text.split("\n", lines[0][0])[-1]
        lines = lines[1:]
    if not lines:
        return
    separator = stated[1] if stated else _separator([line for _, line in lines[:_SAMPLE]], path)
    if separator is None:
        yield from _spaced_rows(lines, path, columns)
    else:
        yield from _separated_rows(text, separator, path, columns, skipped=stated is not None)


def _separated_rows(
    text: str, separator: str, path: Path, columns: dict[str, str], *, skipped: bool
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the rows of a file whose cells a character separates."""
    reader = csv.reader(io.StringIO(text), delimiter=separator, strict=True)
    rows: list[tuple[int, list[str]]] = []
    try:
        for cells in reader:
            row = [cell.strip() for cell in cells]
            if any(row):
                rows.append((reader.line_num + skipped, row))
    except csv.Error as error:
        raise CxrbuildError(
            "not CSV", where=f"{path}, line {reader.line_num}", found=error,
            todo="Correct the quotes of this line",
        ) from error  # fmt: skip
    header = rows[0][1]
    named = _find_header([row for _, row in rows[:2]], path, columns)
    for line, row in rows[0 if named is None else 1 :]:
        if len(row) != len(header):
            raise CxrbuildError(
                "a row of the list has another length", where=f"{path}, line {line}",
                expected=f"{len(header)} cells", found=len(row),
                todo="Put cells with a comma into quotes, and give each row as many cells",
            )  # fmt: skip
        if named is None:
            yield line, _positioned(row, columns, path)
        else:
            yield line, {ours: row[at] for ours, at in named.items()}


def _find_header(first: Sequence[list[str]], path: Path, columns: Mapping[str, str]) -> dict[str, int] | None:
    """Return the place of each column if the first row of a list is a header, ``None`` if it has none."""
    header = first[0]
    for name in columns.values():
        if not name.isdigit() and name not in header:
            raise CxrbuildError(
                f"the list has no column {name!r}",
                where=path,
                expected=f"one of {', '.join(header)}",
                todo="Name a column of the list, or its number, with --columns",
            )
    usual = named_cells({name: name for name in header}, {})
    named = usual | {ours: name for ours, name in columns.items() if not name.isdigit()}
    twice = [name for name in named.values() if header.count(name) > 1]
    if "file" in named and twice:
        raise CxrbuildError(
            "two columns of the list have one name", where=path, found=repr(twice[0]),
            todo="Rename one of the columns, or name columns by their number with --columns",
        )  # fmt: skip
    places = {ours: header.index(name) for ours, name in named.items()}
    places |= {ours: int(name) - 1 for ours, name in columns.items() if name.isdigit()}
    at = places.get("file", _positioned_at("file", len(header)))
    is_image = [at < len(row) and bool(_IMAGE.fullmatch(row[at])) for row in first]
    if is_image[0]:
        return None
    if "file" in named or is_image[1:] == [True]:
        return {ours: place for ours, place in places.items() if place < len(header)} | {"file": at}
    if "file" in columns:
        return None  # names without a suffix
    raise CxrbuildError(
        "the list has no column of files", where=path,
        expected="a header with a column such as file, filename, image or path; or in each row "
        "patient, file name with its suffix, class, source",
        found=name_some(header, 8), todo="Name the columns, such as file=2,label=3",
    )  # fmt: skip


def _positioned_at(column: str, cells: int) -> int:
    return _POSITIONS.index(column) if cells > 1 else 0


def _separator(lines: Sequence[str], path: Path) -> str | None:
    """Return the character between the cells; ``None`` for spaces, which may also be in a name."""
    for sign in _SEPARATORS:
        try:
            lengths = {len(row) for row in csv.reader(lines, delimiter=sign)}
        except csv.Error:
            continue
        if min(lengths) > 1 and (len(lengths) == 1 or path.suffix.lower() in (".csv", ".tsv")):
            return sign
    return "," if path.suffix.lower() == ".csv" else None


def _spaced_rows(
    lines: Sequence[tuple[int, str]], path: Path, columns: dict[str, str]
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the rows of a file whose separators are spaces, below its header if it has one."""
    words = lines[0][1].split()
    header = named_cells({word: word for word in words}, {})
    if "file" in header and not any(_IMAGE.fullmatch(word) for word in words):
        positions = {ours: str(words.index(word) + 1) for ours, word in header.items()}
        columns, lines = positions | columns, lines[1:]
    for number, line in lines:
        yield number, _positioned(_spaced(number, line, path, columns), columns, path)


def _spaced(number: int, line: str, path: Path, columns: Mapping[str, str]) -> list[str]:
    """Return the cells of a line whose separators are spaces.

    A first word before the name is the patient, unless the file is in the first column.
    """
    pattern = _FILE_FIRST if columns.get("file") == "1" else _LINE
    match = pattern.fullmatch(line.strip())
    if match is None:
        raise CxrbuildError(
            "a line of the list names no image", where=f"{path}, line {number}",
            expected="patient, file name with its suffix, class, source", found=line.strip()[:80],
            todo="Correct the line, or save the list as CSV with a header",
        )  # fmt: skip
    before = [match["before"] or ""] if pattern is _LINE else []
    return [*before, match["file"], *(match["after"] or "").split()]


def _positioned(cells: Sequence[str], columns: dict[str, str], path: Path) -> dict[str, str]:
    """Return the cells of a row by their positions; a single cell is the file."""
    positions = dict(zip(_POSITIONS, range(1, 5), strict=True)) if len(cells) > 1 else {"file": 1}
    for ours, name in columns.items():
        if not name.isdigit():
            raise CxrbuildError(
                f"the list has no column {name!r}", where=path, found="a list without a header",
                todo="Give the column's position, from 1",
            )  # fmt: skip
        positions[ours] = int(name)
    return {ours: cells[at - 1] for ours, at in positions.items() if 1 <= at <= len(cells)}
