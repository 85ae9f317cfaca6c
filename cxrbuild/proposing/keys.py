"""How the rows of a table name their images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cxrbuild.errors import count_of
from cxrbuild.ingest.header import KEYS
from cxrbuild.paths import canonical_path
from cxrbuild.progress import Progress
from cxrbuild.proposing.layout import Layout
from cxrbuild.proposing.table import column_names

if TYPE_CHECKING:
    import pandas as pd

# A rule that finds nearly every image that any rule can find is the rule.
_MOST = 0.98
_Paths = tuple[tuple[str, ...], ...]
_READER_KEYS = {
    "SOPInstanceUID": "sop_instance_uid",
    "StudyInstanceUID": "study_instance_uid",
    "AccessionNumber": "accession_number",
}


@dataclass(frozen=True)
class Key:
    """How a row finds its image.

    Attributes
    ----------
    column
        The column of the table that names it.
    keyword, template
        The key of the reader, and its value.
    suffixes, strip
        Keys of the reader next to it.
    paths
        For each row the paths of its images; none where no file has the name.
    """

    column: str
    keyword: str
    template: str
    paths: _Paths
    suffixes: tuple[str, ...] = ()
    strip: int = 0

    @property
    def found(self) -> int:
        """The number of rows that find an image."""
        return sum(bool(paths) for paths in self.paths)

    @property
    def images(self) -> set[str]:
        """The images that rows find."""
        return {path for paths in self.paths for path in paths}


def find_keys(values: pd.DataFrame, layout: Layout, progress: Progress, only: str | None = None) -> list[Key]:
    """Return how the rows can find their images, the way that finds most first.

    Parameters
    ----------
    values
        The table.
    layout
        The files.
    progress
        Shows how many DICOM headers are read, if they are.
    only
        The column to take, ``None`` for any.
    """
    # A template cannot name a column with braces.
    columns = [one for one in column_names(values) if only in (None, one) and not set("{}") & set(one)]
    keys = [key for column in columns for key in _by_name(column, values, layout)]
    if layout.dicom and not any(key.found for key in keys):
        keys += [key for column in columns for key in _by_header(column, values, layout, progress)]
    kept = [key for key in keys if key.found]
    # A column that finds as many as another and is in the file first is the one for people, mostly.
    return sorted(kept, key=lambda key: (-len(key.images), -key.found, len(key.template)))


def _by_name(column: str, values: pd.DataFrame, layout: Layout) -> Iterator[Key]:
    """Yield how the values of a column name files: as paths, as names, or as names without a suffix."""
    cells = [canonical_path(cell) for cell in values[column]]
    names = [cell.rpartition("/")[2].lower() for cell in cells]
    for index, bare in ((layout.by_name, False), (layout.by_stem, True)):
        candidates = [index.get(name, []) if name else [] for name in names]
        if sum(map(bool, candidates)) >= max(1, len(cells) // 20):
            keys = list(_rules(column, cells, candidates, values, bare=bare))
            if keys:
                # `0.png` can be in several folders: the rule that names the folder finds more images.
                yield max(keys, key=lambda key: len(key.images))
                return


def _rules(
    column: str, cells: Sequence[str], candidates: Sequence[list[str]], values: pd.DataFrame, *, bare: bool
) -> Iterator[Key]:
    """Yield rules that turn the cells of a column into the paths of files, the simplest first.

    After a rule that finds another image for every row there is nothing to look for.
    """
    suffixes = tuple(sorted({_suffix(path) for paths in candidates for path in paths})) if bare else ()
    own = _quote(column)
    total = sum(map(bool, candidates))

    def key(template: str, found: _Paths, strip: int = 0, keyword: str = "path") -> Key | None:
        if sum(map(bool, found)) < _MOST * total:
            return None
        if len(suffixes) == 1:
            return Key(column, keyword, template + _braces(suffixes[0]), found, strip=strip)
        return Key(column, keyword, template, found, suffixes, strip)

    deepest = max((cell.count("/") for cell in cells), default=0)
    for strip in range(deepest + 1):
        ends = ["/".join(cell.split("/")[min(strip, cell.count("/")) :]) for cell in cells]
        prefix, found = _common_prefix(ends, candidates, bare)
        # Leading folders are removed after the template is filled: no prefix can precede them.
        if not (strip and prefix) and (one := key(_braces(prefix) + own, found, strip)):
            yield one
            if len(one.images) == one.found:
                return
            break
    for other in column_names(values):
        if other != column and not set("{}") & set(other) and values[other].nunique() < len(values) / 2:
            folders = map(canonical_path, values[other])
            ends = [f"{folder}/{cell}" for folder, cell in zip(folders, cells, strict=True)]
            prefix, found = _common_prefix(ends, candidates, bare)
            if one := key(f"{_braces(prefix)}{_quote(other)}/{own}", found):
                yield one
    if all(len(paths) <= 1 for paths in candidates) and (
        one := key(own, tuple(map(tuple, candidates)), keyword="file_name")
    ):
        yield one


def _common_prefix(ends: Sequence[str], candidates: Sequence[list[str]], bare: bool) -> tuple[str, _Paths]:
    """Return what precedes most ends in the paths, and for each end the path that has it there."""
    before = [
        {path: _before(path, end, bare) for path in paths}
        for end, paths in zip(ends, candidates, strict=True)
    ]
    counts = Counter(prefix for paths in before for prefix in set(paths.values()) if prefix is not None)
    most = min(counts, key=lambda prefix: (-counts[prefix], prefix), default=None)
    if most is None:
        return "", tuple(() for _ in ends)
    return most, tuple(
        tuple(path for path, prefix in paths.items() if prefix == most)[:1] for paths in before
    )


def _by_header(column: str, values: pd.DataFrame, layout: Layout, progress: Progress) -> Iterator[Key]:
    """Yield how the values of a column name DICOM images by an identifier of their headers."""
    elements = layout.headers(progress).elements
    for keyword in KEYS:
        paths: dict[str, list[str]] = {}
        for path, header in sorted(elements.items()):
            if header[keyword]:
                paths.setdefault(header[keyword], []).append(path)
        found = tuple(tuple(paths.get(cell, ())) for cell in values[column])
        if any(found):
            yield Key(column, _READER_KEYS[keyword], _quote(column), found)


def find_lost_zeros(values: pd.DataFrame, layout: Layout, progress: Progress) -> str:
    """Return which column names images but for leading zeros, as a clause; empty where none does.

    Parameters
    ----------
    values
        A table of which no row finds an image.
    layout
        The files.
    progress
        Shows how many DICOM headers are read, if they are.
    """
    named: list[tuple[str, Mapping[str, str]]] = [("name of the files", _stems(layout.images))]
    if layout.dicom:
        elements = layout.headers(progress).elements
        named += [
            (f"{keyword} of the headers", {path: header[keyword] for path, header in elements.items()})
            for keyword in KEYS
        ]
    for what, names in named:
        without = _without_zeros(names)
        for column in column_names(values):
            rows = {row: without[cell] for row, cell in enumerate(values[column]) if cell in without}
            if len(rows) >= len(values) / 2:
                return (
                    f"{column!r} is the {what} without its leading zeros, in "
                    f"{_describe_lost(rows, len(values))}"
                )
    return ""


def find_rows_without_zeros(key: Key, values: pd.DataFrame, layout: Layout, progress: Progress) -> str:
    """Return which of the rows that find no image would find one with leading zeros, as a clause.

    Parameters
    ----------
    key
        How the other rows find theirs.
    values
        The table.
    layout, progress
        As for `find_lost_zeros`.
    """
    if key.found == len(key.paths):
        return ""
    keyword = next((one for one, name in _READER_KEYS.items() if name == key.keyword), None)
    unnamed = [path for path in layout.images if path not in key.images]
    names = _stems(unnamed)
    if keyword is not None:
        elements = layout.headers(progress).elements
        names = {path: elements[path][keyword] for path in unnamed if path in elements}
    without = _without_zeros(names)
    cells = enumerate(zip(values[key.column], key.paths, strict=True))
    rows = {row: without[cell] for row, (cell, paths) in cells if not paths and cell in without}
    if not rows:
        return ""
    return f"{key.column!r} lacks leading zeros in {_describe_lost(rows, len(key.paths) - key.found)}"


def _stems(paths: Sequence[str]) -> dict[str, str]:
    return {path: path.rpartition("/")[2].removesuffix(_suffix(path)) for path in paths}


def _without_zeros(names: Mapping[str, str]) -> dict[str, str]:
    """Return the path of each number with leading zeros, by the number without them, where it is unique."""
    paths: dict[str, list[str]] = {}
    for path, name in sorted(names.items()):
        # A spreadsheet removes zeros of numbers alone.
        if name.startswith("0") and name.isdecimal():
            paths.setdefault(name.lstrip("0") or "0", []).append(path)
    return {name: several[0] for name, several in paths.items() if len(several) == 1}


def _describe_lost(rows: Mapping[int, str], total: int) -> str:
    row, path = next(iter(rows.items()))
    # Without the number: it identifies a patient.
    return (
        f"{len(rows):,} of {count_of(total, 'row')}, such as row {row + 2}, which is that of {path}: a "
        "spreadsheet removes such zeros. Export the table again, with this column as text"
    )


def _before(path: str, end: str, bare: bool) -> str | None:
    """Return what precedes the end of a path, ``None`` where it has another end."""
    low = (path[: len(path) - len(_suffix(path))] if bare else path).lower()
    if low == end.lower():
        return ""
    return path[: len(low) - len(end)] if end and low.endswith(f"/{end.lower()}") else None


def _suffix(path: str) -> str:
    name = path.rpartition("/")[2]
    return name[name.rindex(".") :] if "." in name else ""


def _braces(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def _quote(column: str) -> str:
    return "{" + column + "}"
