"""The files that a proposal is made from: the images, and the table whose rows name most of them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from cxrbuild.errors import CxrbuildError, count_of, instead_of, name_some, verb_of
from cxrbuild.progress import Progress
from cxrbuild.proposing.keys import Key, find_keys, find_lost_zeros, find_rows_without_zeros
from cxrbuild.proposing.layout import Layout, look
from cxrbuild.proposing.proposal import NONE, Certainty, Decision
from cxrbuild.proposing.table import Table, column_names, read_table

# Of a folder with many CSV files, how many are tried.
_TRIED_TABLES = 8


@dataclass(frozen=True)
class Found:
    """The files, and the table whose rows name them, if there is one.

    Attributes
    ----------
    layout, table, key
        The files, the table, and how its rows find their images.
    others
        Other tables.
    parts
        The table and the folder of the images, where the folder of both has images of others too.
    lost_zeros
        Which column of a table names the images but for leading zeros, or does so in some of its rows, as a
        clause; empty where none does.
    """

    layout: Layout
    table: Table | None = None
    key: Key | None = None
    others: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    lost_zeros: str = ""


def find_files(path: Path, images: Path | None, column: str | None, progress: Progress) -> Found:
    """Return the files and the table whose rows name most images."""
    parts: tuple[str, ...] = ()
    if path.is_file():
        root = path.parent if images is None else _common(path.parent, images)
        folder = "." if images is None else Path(os.path.relpath(images, root)).as_posix()
        layout, tables = look(root, folder), [Path(os.path.relpath(path, root)).as_posix()]
        # `fetch` would copy what is of others, and refuses a folder that holds the data folder.
        holds_data = Path("data").resolve().is_relative_to(root.resolve())
        if folder != "." and (layout.outside or layout.skipped or holds_data):
            parts = (tables[0], folder)
    elif path.is_dir():
        if images is not None:
            raise CxrbuildError("--images is for a CSV file", where=path, found="a folder",
                                todo="Name the folder alone, or the CSV file")  # fmt: skip
        layout = look(path)
        tables = list(layout.tables[:_TRIED_TABLES])
    else:
        raise CxrbuildError("there is no such file or folder", where=path,
                            todo="Name a CSV file, or the folder of the images")  # fmt: skip
    read: list[tuple[Table, Key]] = []
    lost_zeros = ""
    for name in tables:
        try:
            table = read_table(layout.root / name)
        except CxrbuildError:
            if path.is_file():
                raise
            continue
        if column not in (None, NONE) and path.is_file() and column not in table.header:
            raise CxrbuildError(
                f"no column is called {column!r}",
                where=table.path,
                expected=instead_of(column or "", table.header, "column"),
                todo="Name a column of this table",
            )
        if keys := find_keys(table.values, layout, progress, None if column == NONE else column):
            _require_header(table, keys[0], layout)
            read.append((table, keys[0]))
            continue
        zeros = find_lost_zeros(table.values, layout, progress)
        lost_zeros = lost_zeros or (f"{name}: {zeros}" if zeros else "")
        if path.is_file():
            raise CxrbuildError(
                "no row names an image that is there", where=table.path,
                expected=f"a column with paths or names of images below {layout.root}",
                found=zeros or f"the columns {name_some(map(repr, table.header), 30)}; {layout.images[0]}",
                todo=None if zeros else "Name the folder of the images with --images DIR",
            )  # fmt: skip
    if not read:
        return Found(layout, parts=parts, lost_zeros=lost_zeros)
    # Of two tables with as many images, the one with more columns says more.
    read.sort(key=lambda one: (-len(one[1].images), -len(one[0].header)))
    table, key = read[0]
    others = [other.path.relative_to(layout.root).as_posix() for other, _ in read[1:]]
    others += [name for name in tables if name not in others and layout.root / name != table.path]
    lost_zeros = find_rows_without_zeros(key, table.values, layout, progress)
    return Found(layout, table, key, (*others, *layout.compressed), parts, lost_zeros)


def _require_header(table: Table, key: Key, layout: Layout) -> None:
    """Refuse a table whose first row names an image: it has no header, and its first image would be lost.

    Raises
    ------
    CxrbuildError
        The table has no header.
    """
    unnamed = [path for path in layout.images if path not in key.images]
    first = key.column.casefold()
    names = {name.casefold(): path for path in unnamed for name in (path, Path(path).name, Path(path).stem)}
    if (image := names.get(first)) is not None:
        raise CxrbuildError(
            "the table has no header: its first row is that of an image", where=table.path,
            expected="a first row with the names of the columns, such as file, patient, finding",
            found=f"{key.column}, which names {image}", todo="Write such a row above it",
        )  # fmt: skip


def _common(first: Path, second: Path) -> Path:
    if not second.is_dir():
        raise CxrbuildError("there is no such folder", where=second, todo="Name the folder of the images")
    paths = [Path(os.path.abspath(path)) for path in (first, second)]  # noqa: PTH100 - keeps links
    if paths[0].drive.casefold() != paths[1].drive.casefold():
        raise CxrbuildError(
            "the table and the folder of the images are on different drives", where=second,
            expected=f"a folder on {paths[0].drive}", todo="Copy the table to the drive of the images",
        )  # fmt: skip
    common = Path(os.path.commonpath(paths))
    return common.relative_to(Path.cwd()) if common.is_relative_to(Path.cwd()) else common


def describe_files(found: Found) -> list[Decision]:
    """Return the decisions on the table and on how its rows find their images."""
    table, key, layout = found.table, found.key, found.layout
    assert table is not None
    assert key is not None
    relative = table.path.relative_to(layout.root).as_posix()
    reason = f"its rows name {len(key.images):,} of {count_of(len(layout.images), 'image')}"
    unnamed = [path for path in layout.images if path not in key.images]
    if unnamed:
        of_dicom = len(set(unnamed).intersection(layout.dicom))
        number = "all" if of_dicom == len(unnamed) else f"{of_dicom:,}"
        kind = f", {number} of them DICOM files" if of_dicom else ""
        if len(unnamed) == 1:
            reason += f"; no row names {unnamed[0]}{', a DICOM file' if of_dicom else ''}, which the dataset"
        else:
            reason += (
                f"; no row names the other {len(unnamed):,}{kind}, such as {unnamed[0]}, which the dataset"
            )
        reason += " excludes"
    if of_rows := len(key.images.intersection(layout.dicom)):
        reason += (
            f"; {count_of(of_rows, 'DICOM file')}: the headers fill what the table leaves unknown of "
            "patient, sex, age, modality and view"
        )
    known: Certainty = "likely" if found.others or unnamed or of_rows else "sure"
    decisions = [Decision("table", relative, known, reason, found.others)]
    rows = len(key.paths)
    certainty: Certainty = "sure"
    reason = f"{key.found:,} of {count_of(rows, 'row')} find an image"
    if repeated := _describe_repeated(table, key):
        certainty = "not sure"
        reason += f"; {repeated}"
    if key.found < rows:
        certainty = "not sure" if key.found < rows / 2 else certainty
        become = "becomes" if rows - key.found == 1 else "become"
        reason += f"; the other {count_of(rows - key.found, 'row')} {become} `row_without_file`"
    if found.lost_zeros:
        certainty = "not sure"
        reason += f"; {found.lost_zeros}"
    decisions.append(Decision("images", key.column, certainty, f"{key.keyword} = {key.template!r}: {reason}"))
    return decisions


def _describe_repeated(table: Table, key: Key) -> str:
    """Return which images have several rows, and whether these differ; empty where no image has."""
    rows: dict[str, list[int]] = {}
    for row, paths in enumerate(key.paths):
        for path in paths:
            rows.setdefault(path, []).append(row)
    repeated = {path: several for path, several in rows.items() if len(several) > 1}
    if not repeated:
        return ""
    # Two spellings of a path are no difference.
    values = table.values[[name for name in column_names(table.values) if name != key.column]]
    differing = {
        path: columns
        for path, several in repeated.items()
        if (columns := [name for name in values if values[name].iloc[several].nunique() > 1])
    }
    path = next(iter(differing or repeated))
    numbers = [row + 2 for row in repeated[path]]  # as a spreadsheet counts them, with the header
    such_as = "" if len(repeated) == 1 else "such as "
    found = (
        f"{count_of(len(repeated), 'image')} {verb_of(len(repeated), 'has')} several rows, {such_as}{path} "
    )
    found += f"(rows {name_some(numbers, 5)}). "
    if not differing:
        return found + "Rows of an image are equal, and the first counts"
    which = "They" if len(repeated) == 1 else f"Those of {count_of(len(differing), 'image')}"
    return (
        f"{found}{which} differ, here in {name_some(map(repr, differing[path]), 5)}: `plan` refuses rows "
        "that differ in a value that the declaration reads, and reports how to decide them"
    )
