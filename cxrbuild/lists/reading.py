"""Read published lists: text, CSV or JSON, with columns by name or by position."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cxrbuild.errors import CxrbuildError, name_some
from cxrbuild.lists.text_rows import named_cells, text_rows
from cxrbuild.paths import canonical_path
from cxrbuild.records import SPLITS

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("file", "patient", "label", "source", "split")
# JSON, and JSON Lines.
_JSON_SUFFIXES = (".json", ".jsonl", ".ndjson")
_SPLIT_WORDS = {
    "train": "train", "training": "train", "val": "validation", "valid": "validation", "dev": "validation",
    "validation": "validation", "test": "test", "testing": "test",
}  # fmt: skip


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
        rows = text_rows(text, file.path, columns)
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
            todo=f"Write SPLIT=FILE for --list, such as test={file.path.name}, or name the columns with "
            "--columns",
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
            cells = {"file": one} if isinstance(one, str) else named_cells(one, columns)
            if nested := [name for name, value in cells.items() if isinstance(value, list | dict)]:
                raise CxrbuildError(
                    "not one value",
                    where=f"{path}, row {number}",
                    found=f"{nested[0]} is a list or an object",
                    todo="Write one value for each key, or omit this key",
                )
            yield number, ({"split": split} if split else {}) | cells


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
    """Return where each row of some lists is: ``train.txt:12``, with its folders where two have one name.

    It is that of ``place`` where the rows have this column, as those of some rows of all.
    """
    if "place" in rows:
        return rows["place"]
    paths = rows["list"].str.replace("\\", "/")
    files = paths.str.rsplit("/", n=1).str[-1]
    files = files.where(paths.groupby(files).transform("nunique") == 1, paths)
    return files + ":" + rows["line"].astype("str")
