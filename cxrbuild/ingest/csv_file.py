"""Metadata in a CSV file, read strictly: an unknown layout is an error, never a guess."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from cxrbuild.catalog.reader import Inventory, Reader
from cxrbuild.errors import CxrbuildError, name_some
from cxrbuild.progress import Progress

if TYPE_CHECKING:
    import pandas as pd


class CsvReader(Reader):
    """Metadata in a CSV file next to the images."""

    kind: Literal["csv"]
    file: str = Field(description="the CSV file, from the source's root")
    encoding: str = Field("utf-8", description="its encoding")
    header: list[str] | None = Field(
        None, description="its columns, all of them in order; another layout is an error"
    )
    path: str = Field(description="an image's path from the source's root; `{column}` is the column's value")
    suffixes: list[str] = Field(
        default_factory=list, description="suffixes to try after `path` where upstream omits them"
    )
    images: list[str] = Field(description="glob patterns of the image files, to find those without a row")

    @property
    def metadata_files(self) -> Sequence[str]:
        """The CSV file."""
        return (self.file,)

    def read(self, inventory: Inventory, images: Sequence[str], progress: Progress) -> pd.DataFrame:  # noqa: ARG002
        """Return upstream's columns; a row's place is its line."""
        import pandas as pd

        path = inventory.root / self.file
        rows = _rows(path, self.encoding)
        _, header = rows[0] if rows else (0, [])
        _check_header(path, header, self.header)
        problems = [
            f"line {line}: {len(row)} cells, not {len(header)}"
            for line, row in rows[1:]
            if len(row) != len(header)
        ]
        if problems:
            raise CxrbuildError("rows of another length\n  " + name_some(problems, 20), where=path)
        values = pd.DataFrame([row for _, row in rows[1:]], columns=header, dtype="str")
        try:
            paths = [self.path.format_map(dict(zip(header, row, strict=True))) for _, row in rows[1:]]
        except (KeyError, IndexError) as error:
            raise CxrbuildError(
                "the declared `reader.path` names a column that is not there",
                where=path, expected=self.path, found=", ".join(header),
            ) from error  # fmt: skip
        if self.suffixes:
            paths = [self._with_suffix(path, inventory) for path in paths]
        places = [f"{self.file}, line {line}" for line, _ in rows[1:]]
        values.index = pd.MultiIndex.from_arrays([places, paths], names=["place", "path"])
        return values

    def _with_suffix(self, path: str, inventory: Inventory) -> str:
        known = (path + suffix for suffix in self.suffixes if path + suffix in inventory.blobs)
        return next(known, path + self.suffixes[0])


def _rows(path: Path, encoding: str) -> list[tuple[int, list[str]]]:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise CxrbuildError(
            "the source's metadata is not there", where=path, todo="Fetch the source again"
        ) from None
    # A byte-order mark only says that the file is UTF-8.
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
            raise CxrbuildError("two columns of the header have one name", where=path, found=", ".join(found))
        return
    missing = [column for column in declared if column not in found]
    added = [column for column in found if column not in declared]
    problems = [f"column {name_some(missing)} is missing"] if missing else []
    problems += [f"column {name_some(added)} is unknown"] if added else []
    raise CxrbuildError(
        "an unknown layout, in the header", where=path, expected=", ".join(declared),
        found="; ".join(problems) or "the columns in another order",
        todo="This is another revision: fetch the pinned one, or declare a source for this one",
    )  # fmt: skip
