"""Read published lists: text, CSV or JSON, with columns by name or by position."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cxrbuild.errors import CxrbuildError, name_some
from cxrbuild.paths import canonical_path
from cxrbuild.records import SPLITS

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("file", "patient", "label", "source", "split")
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
# JSON, and JSON Lines.
_JSON_SUFFIXES = (".json", ".jsonl", ".ndjson")
_SEPARATORS = "\t,;|"
# Lines that decide which separator a list has.
_SAMPLE = 50
_SPLIT_WORDS = {
    "train": "train", "training": "train", "val": "validation", "valid": "validation", "dev": "validation",
    "validation": "validation", "test": "test", "testing": "test",
}  # fmt: skip
_SUFFIX = r"\.(?:png|jpe?g|dcm|dicom|bmp|gif|tiff?|webp|nii(?:\.gz)?)"
# A name can have spaces: what ends like an image's is one cell.
_IMAGE = re.compile(rf".*{_SUFFIX}", re.IGNORECASE)
_FILE_FIRST = re.compile(rf"(?P<file>\S.*?{_SUFFIX})(?:\s+(?P<after>.*))?", re.IGNORECASE)
_LINE = re.compile(
    rf"(?:(?P<before>[^\s\\/]+)\s+)?(?P<file>\S.*?{_SUFFIX})(?:\s+(?P<after>.*))?", re.IGNORECASE
)


@dataclass(frozen=True)
class ListFile:
    """A list.

    Attributes
    ----------
    path
        The file.
    split
        The split of its images; ``None`` where a column has it, or the file's name.
    """

    path: Path
    split: str | None = None


def read_lists(
    files: Sequence[ListFile],
    columns: Mapping[str, str] | None = None,
    splits: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Return the rows of some lists.

    Parameters
    ----------
    files
        The lists.
    columns
        For some of ``file``, ``patient``, ``label``, ``source`` and ``split`` the name of the column, or its
        position from 1; others are found by usual names, or by COVID-Net's positions.
    splits
        Words for splits, in addition to the usual ones.

    Returns
    -------
    pandas.DataFrame
        The columns ``file`` (as the list has it), ``path`` (without what says nothing in a spelling),
        ``patient``, ``label``, ``source``, ``split``, and ``list`` and ``line``, where the row is.

    Raises
    ------
    CxrbuildError
        A list cannot be read, has no column of files, or no split.
    """
    import pandas as pd

    if unknown := sorted(set(columns or {}) - set(COLUMNS)):
        raise CxrbuildError(
            f"no column of a list is called {', '.join(unknown)}",
            expected=f"some of {', '.join(COLUMNS)}",
            todo="Name some of these with --columns",
        )
    words = _SPLIT_WORDS | {word.strip().lower(): split for word, split in (splits or {}).items()}
    rows = [row for file in files for row in _read(file, dict(columns or {}), words)]
    table = pd.DataFrame(rows, columns=["list", "line", *COLUMNS]).astype(
        dict.fromkeys(("list", *COLUMNS), "str")
    )
    return table.assign(path=table["file"].map(canonical_path))


def _read(file: ListFile, columns: dict[str, str], words: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    text = _text(file.path)
    suffix = file.path.suffix.lower()
    if suffix in _JSON_SUFFIXES:
        rows = _json_rows(text, file.path, columns)
    else:
        rows = _text_rows(text, file.path, columns)
    split = file.split or _split_of_name(file.path)
    problems: list[str] = []
    filled: set[str] = set()
    found = 0
    for line, cells in rows:
        found += 1
        filled |= cells.keys()
        row = {"list": str(file.path), "line": line} | {name: cells.get(name) or None for name in COLUMNS}
        row["split"] = _split(cells.get("split"), words) or split
        if row["file"] is None or row["split"] is None:
            unknown = cells.get("split")
            missing = (
                "file" if row["file"] is None else f"known split, but {unknown!r}" if unknown else "split"
            )
            problems.append(f"line {line}: no {missing}")
        else:
            yield row
    if not found:
        raise CxrbuildError(
            "the list has no rows", where=file.path, expected="a line for each image",
            todo="Name the file that lists the images",
        )  # fmt: skip
    if absent := sorted(columns.keys() - filled):
        raise CxrbuildError(
            "no row of the list has these columns", where=file.path,
            expected=", ".join(f"{name} in {columns[name]}" for name in absent),
            todo="Correct the names or positions of the columns; the first position is 1",
        )  # fmt: skip
    if problems:
        raise CxrbuildError(
            "rows of the list have no file or no split", where=file.path, found=name_some(problems, 5),
            todo="Write SPLIT=FILE for --list, or name the columns with --columns",
        )  # fmt: skip


def _text(path: Path) -> str:
    try:
        # Spreadsheets write a byte order mark.
        text = path.read_text(encoding="utf-8-sig")
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise CxrbuildError(
            "no list that can be read", where=path, found=error.strerror,
            todo="Name a text, CSV or JSON file as --list [SPLIT=]FILE",
        ) from None  # fmt: skip
    except UnicodeDecodeError as error:
        raise CxrbuildError(
            "not UTF-8 text", where=path, found=_KINDS.get(error.object[:2], str(error)), todo=_ADVICE
        ) from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise CxrbuildError("not text: it holds a NUL byte", where=f"{path}, line {line}", todo=_ADVICE)
    return text


# What the first two bytes of a file say that is not UTF-8.
_KINDS = {
    b"\x1f\x8b": "a file that gzip compressed",
    b"PK": "a ZIP archive, as Excel's workbooks are",
    b"\xff\xfe": "UTF-16, as some Windows programs write it",
    b"\xfe\xff": "UTF-16, as some Windows programs write it",
}
_ADVICE = "Decompress it, or save it as text in UTF-8"


def _split(text: str | None, words: Mapping[str, str]) -> str | None:
    return None if text is None else words.get(text.strip().lower())


def _split_of_name(path: Path) -> str | None:
    words = re.findall(r"[a-z]+", path.stem.lower())
    found = {_SPLIT_WORDS[word] for word in words if word in _SPLIT_WORDS}
    return found.pop() if len(found) == 1 else None


def _json_rows(text: str, path: Path, columns: dict[str, str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the objects of a JSON list, or of the lists of an object whose keys are splits."""
    try:
        if path.suffix.lower() == ".json":
            content = json.loads(text)
        else:
            content = [json.loads(line) for line in text.splitlines() if line.strip()]
    except ValueError as error:
        raise CxrbuildError(
            "not a JSON document", where=path, found=error,
            todo="Correct the file, or name another one",
        ) from error  # fmt: skip
    lists = content if isinstance(content, dict) else {"": content}
    number = 0
    for split, objects in lists.items():
        if not isinstance(objects, list) or not all(isinstance(one, dict | str) for one in objects):
            raise CxrbuildError(
                "not a list of files", where=path,
                expected="a list of objects or file names, or one for each split", found=f"the key {split!r}",
                todo="Write a list of objects, each with the file of an image",
            )  # fmt: skip
        for one in objects:
            number += 1
            cells = {"file": one} if isinstance(one, str) else _named(one, columns)
            if nested := [name for name, value in cells.items() if isinstance(value, list | dict)]:
                raise CxrbuildError(
                    "not one value",
                    where=f"{path}, row {number}",
                    found=f"{nested[0]} is a list or an object",
                    todo="Write one value for each key, or omit this key",
                )
            yield number, ({"split": split} if split else {}) | cells


def _named(row: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, Any]:
    """Return the cells of a row by our names of columns: those that are given, else the usual ones."""
    found = {ours: row[name] for ours, name in columns.items() if row.get(name) not in (None, "")}
    for name, value in row.items():
        plain = re.sub(r"[^a-z]", "", str(name).lower())
        for ours, names in _NAMES.items():
            if plain in names and ours not in found and ours not in columns and value not in (None, ""):
                found[ours] = value
    return {ours: str(value) if isinstance(value, int | float) else value for ours, value in found.items()}


def _text_rows(text: str, path: Path, columns: dict[str, str]) -> Iterator[tuple[int, dict[str, str]]]:
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
    usual = _named({name: name for name in header}, {})
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
    header = _named({word: word for word in words}, {})
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


def parse_list_file(text: str) -> ListFile:
    """Return the list that ``[SPLIT=]FILE`` names.

    Examples
    --------
    >>> parse_list_file("test=images.csv").split
    'test'
    """
    split, separator, path = text.partition("=")
    if separator and split in SPLITS:
        return ListFile(Path(path), split)
    return ListFile(Path(text))


def places(rows: pd.DataFrame) -> pd.Series:
    """Return where each row of some lists is: ``train.txt:12``."""
    files = rows["list"].str.replace("\\", "/").str.rsplit("/", n=1).str[-1]
    return files + ":" + rows["line"].astype("str")
