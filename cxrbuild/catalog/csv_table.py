"""Read the CSV files that declarations name strictly: reviews, links, withdrawals, corrections, splits."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cxrbuild.catalog.declarations import CATALOG
from cxrbuild.errors import DeclarationError, count_of, nearest

# The folder of the shipped reviews, links and corrections.
SHIPPED = CATALOG / "reviews"


@dataclass(frozen=True)
class CsvTable:
    """A kind of CSV file.

    The functions that read files of a kind take a name and a folder as `find` does. They raise a
    `DeclarationError` where there is no such file, or lines of it do not fit: it lists every problem with its
    line.

    Attributes
    ----------
    content
        What it holds, in the plural.
    header
        Its header.
    optional
        Columns that a file may have after these, each at most once and in any order.
    """

    content: str
    header: tuple[str, ...]
    optional: tuple[str, ...] = ()

    def find(self, name: str, base: Path) -> Path:
        """Return the path of a file.

        Parameters
        ----------
        name
            The name of a shipped file without its suffix, or the path of a CSV file.
        base
            The folder that a relative path starts from.

        Raises
        ------
        DeclarationError
            There is no such file.
        """
        path = base / name if name.endswith(".csv") else SHIPPED / f"{name}.csv"
        if path.is_file():
            return path
        # All kinds are shipped in one folder; their headers differ.
        shipped = sorted(path.stem for path in SHIPPED.glob("*.csv") if self.matches(path))
        near = nearest(path.name, [*shipped, *(other.name for other in base.glob("*.csv"))])
        raise DeclarationError(
            f"no such file of {self.content}",
            where=path,
            expected=f"one of {', '.join(shipped)}, or the path of a .csv file"
            if shipped
            else "the path of a .csv file",
            todo=f"Write {near}, the nearest name" if near else "Correct the name, or write this file first",
        )

    def matches(self, path: Path) -> bool:
        """Return whether a file has the header of this kind.

        Parameters
        ----------
        path
            A CSV file of any kind; only its first line is read.
        """
        try:
            with path.open(encoding="utf-8-sig", newline="") as stream:
                first = stream.readline()
            return any(self._is_header(next(csv.reader([first], delimiter=sign), [])) for sign in ",;")
        except (OSError, UnicodeDecodeError, csv.Error):
            return False

    def _is_header(self, cells: list[str]) -> bool:
        required, more = cells[: len(self.header)], cells[len(self.header) :]
        return (
            required == list(self.header) and set(more) <= set(self.optional) and len(set(more)) == len(more)
        )

    def rows(self, path: Path, problems: list[str]) -> Iterator[tuple[int, list[str]]]:
        """Yield the rows below the header, each with the number of its line.

        A row has a cell for each optional column, in their order: empty where the file lacks the column.

        Parameters
        ----------
        path
            The file.
        problems
            A message for each row of another length is appended; such rows are not yielded.

        Raises
        ------
        DeclarationError
            The file is not CSV in UTF-8, or its header is another one.
        """
        found, rows = read_csv(path)
        if not self._is_header(found):
            raise DeclarationError(
                f"not a file of {self.content}",
                where=path,
                expected=",".join(self.header)
                + (f", then any of {', '.join(self.optional)}" if self.optional else ""),
                found=",".join(found) or "an empty file",
                todo="Write the header as expected, or name another file",
            )
        require_none(path, [f"line {line}: holds a NUL byte" for line, row in rows if "\0" in "".join(row)])
        columns = len(found)
        places = [found.index(name) if name in found else None for name in (*self.header, *self.optional)]
        for line, row in rows:
            if len(row) == columns:
                yield line, ["" if place is None else row[place] for place in places]
            else:
                problems.append(f"line {line}: {count_of(len(row), 'cell')}, not {columns}")


def read_csv(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the header of a CSV file, and the rows below it, each with the number of its last line.

    Cells are separated by commas, or by semicolons where the header has no comma. Blank lines are omitted.

    Raises
    ------
    DeclarationError
        The file is not CSV in UTF-8, its cells are separated by tabs, or its first line is blank.
    """
    rows: list[tuple[int, list[str]]] = []
    start = 1
    try:
        # A spreadsheet writes a byte order mark before UTF-8.
        with path.open(encoding="utf-8-sig", newline="") as stream:
            # Excel separates cells by semicolons where the comma is the decimal sign.
            first = stream.readline()
            stream.seek(0)
            delimiter = ";" if ";" in first and "," not in first else ","
            # Without `strict`, a quote that is never closed would swallow the lines to the end.
            reader = csv.reader(stream, strict=True, delimiter=delimiter)
            for row in reader:
                rows.append((reader.line_num, row))
                start = reader.line_num + 1
    except csv.Error as error:
        raise DeclarationError(
            "not CSV", where=path, found=f"line {start}: {error}",
            todo="A quote that opens a cell must close it; write a quote within a cell twice",
        ) from error  # fmt: skip
    except UnicodeDecodeError as error:
        raise DeclarationError(
            "not UTF-8 text", where=path, found=error,
            todo="Save it as CSV in UTF-8; spreadsheets ask for the encoding, or call it 'CSV UTF-8'",
        ) from error  # fmt: skip
    header = rows[0][1] if rows else []
    filled = [(line, row) for line, row in rows[1:] if row]
    if filled and not header:
        raise DeclarationError(
            "the first line of this file is blank", where=path, expected="the names of the columns",
            todo=f"Remove the blank lines above line {filled[0][0]}",
        )  # fmt: skip
    if len(header) == 1 and "\t" in header[0]:
        raise DeclarationError(
            "the cells of this file are separated by tabs", where=path, expected="commas or semicolons",
            todo="Save it again with commas: LibreOffice asks for the field separator; Excel takes the "
            "list separator of the system's regional settings",
        )  # fmt: skip
    return header, filled


def advise_on_absent(files: Iterable[Path | None], key: str) -> str:
    """Return what to do with rows of files that name images which a source does not have.

    Parameters
    ----------
    files
        The files of the rows, ``None`` where the file of a row is not known.
    key
        The key of the recipe that names such files.
    """
    shipped = sorted({path.stem for path in files if path is not None and path.parent == SHIPPED})
    advice = "These rows are of another version of the source: fetch that version. If upstream removed or "
    advice += "renamed the images since, remove or correct the rows"
    if shipped:
        copies = " and ".join(str(SHIPPED / f"{name}.csv") for name in shipped)
        advice += f" in a copy of {copies}, and name the copy under `{key}` in a copy of the recipe"
    return (
        f"{advice}. The rows of images that were withdrawn can stay, once `withdrawn` of the source has them"
    )


def require_none(path: Path, problems: list[str]) -> None:
    """Refuse a file in which problems were found.

    Raises
    ------
    DeclarationError
        There are problems; each is listed.
    """
    if problems:
        count = count_of(len(problems), "problem")
        raise DeclarationError(f"{count} in this file\n  " + "\n  ".join(problems), where=path)
