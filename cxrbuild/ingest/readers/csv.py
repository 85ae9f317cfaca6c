"""Metadata in a CSV file, read strictly: an unknown layout is an error, never a guess."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field, field_validator, model_validator

from cxrbuild.catalog.reader import Inventory, Reader
from cxrbuild.catalog.template import Template, parse_template
from cxrbuild.errors import CxrbuildError, count_of, name_some, suggest
from cxrbuild.paths import PathIndex, canonical_path
from cxrbuild.patient_key import hash_identifier, read_key
from cxrbuild.progress import Progress
from cxrbuild.words import compose

if TYPE_CHECKING:
    import pandas as pd

_HEADER_KEYS = {
    "sop_instance_uid": "SOPInstanceUID",
    "study_instance_uid": "StudyInstanceUID",
    "accession_number": "AccessionNumber",
}
# What finds the images of a row: one of them.
_KEYS = ("path", "file_name", *_HEADER_KEYS)

# What is tried to explain a header of one cell.
_DELIMITERS = (";", "\t", ",", "|")


class CsvReader(Reader):
    """Metadata in a CSV file next to the images.

    A row belongs to the image at ``path``, to the one called ``file_name``, or to the DICOM images whose
    header has the identifier that one of ``sop_instance_uid``, ``study_instance_uid`` and
    ``accession_number`` gives: one of the five is needed.
    """

    kind: Literal["csv"]
    file: str = Field(description="the CSV file, from the source's root")
    encoding: str = Field("utf-8", description="its encoding")
    delimiter: str = Field(",", description="the character between its cells, such as `;` or a tab (`\\t`)")
    header: list[str] | None = Field(
        None, description="its columns, all of them in order; another layout is an error"
    )
    path: str | None = Field(
        None, description="an image's path from the source's root; `{column}` is the column's value"
    )
    strip: int = Field(
        0, ge=0, description="how many leading folders of `path` to remove, which the source does not have"
    )
    file_name: str | None = Field(
        None,
        description="an image's file name, such as `{file}`, whichever folder it is in, instead of `path`",
    )
    suffixes: list[str] = Field(
        default_factory=list,
        description="suffixes to try after `path` or `file_name` where upstream omits them",
    )
    sop_instance_uid: str | None = Field(
        None, description="a DICOM image's SOPInstanceUID, such as `{uid}`, instead of `path`"
    )
    study_instance_uid: str | None = Field(
        None, description="the StudyInstanceUID of one or more DICOM images, instead of `path`"
    )
    accession_number: str | None = Field(
        None, description="the AccessionNumber of one or more DICOM images, instead of `path`"
    )

    @field_validator("path", "file_name", *_HEADER_KEYS)
    @classmethod
    def _check_template(cls, template: str | None) -> str | None:
        if template is not None:
            parse_template(template)
        return template

    @field_validator("encoding")
    @classmethod
    def _check_encoding(cls, encoding: str) -> str:
        try:
            "".encode(encoding)
        except (LookupError, UnicodeError, ValueError):
            raise ValueError(
                f"{encoding!r} is no text encoding; known ones are utf-8, latin-1, cp1252"
            ) from None
        return encoding

    @field_validator("delimiter")
    @classmethod
    def _check_delimiter(cls, delimiter: str) -> str:
        if len(delimiter) != 1 or delimiter in '"\r\n\0\ufeff':
            raise ValueError(
                f"{delimiter!r} is no delimiter; expected one character, no quote and no line break"
            )
        return delimiter

    @model_validator(mode="after")
    def _check_one_key(self) -> CsvReader:
        given = [key for key in _KEYS if getattr(self, key) is not None]
        if len(given) != 1:
            raise ValueError(f"needs one of {', '.join(_KEYS)}; has {' and '.join(given) or 'none'}")
        if self.suffixes and given[0] in _HEADER_KEYS:
            raise ValueError("`suffixes` belong to `path` or `file_name`")
        if self.strip and self.path is None:
            raise ValueError("`strip` belongs to `path`")
        return self

    @property
    def reads_images(self) -> bool:
        """Whether rows are found by the images' headers."""
        return self.path is None and self.file_name is None

    @property
    def finds_by_name(self) -> bool:
        """Whether a row gives the file name of its image alone."""
        return self.file_name is not None

    def path_without_image(self, identifier: str) -> str:
        """Return the path of a row that no image's header belongs to; an identifier is hashed in it."""
        key, _ = self._key()
        return f"{_HEADER_KEYS[key]} {self._shown(identifier)}" if key in _HEADER_KEYS else identifier

    def metadata_files(self, paths: Collection[str]) -> Sequence[str]:  # noqa: ARG002
        """Return the CSV file."""
        return (self.file,)

    def read(self, inventory: Inventory, images: Sequence[str], progress: Progress) -> pd.DataFrame:  # noqa: ARG002
        """Return upstream's columns; a row's place is its line.

        A row that belongs to several images is repeated. One that belongs to none has the path that it gives;
        an identifier that no header has is hashed.
        """
        import pandas as pd

        file = inventory.root / self.file
        if not file.is_file():
            near = PathIndex(inventory.blobs).find(self.file)
            raise CxrbuildError(
                "the source's metadata is not there", where=file, found=name_some(near) if near else None,
                todo="Write `reader.file` as the file has it" if near else _advise_on_file(inventory),
            )  # fmt: skip
        rows = _rows(file, self.encoding, self.delimiter)
        header = [compose(name) for name in rows[0][1]] if rows else []
        keyword, template = self._key()
        missing = [column for column in template.columns if column not in header]
        if missing:
            self._check_cells(file, header)
        if not rows or not any(header):
            raise CxrbuildError(
                "the CSV file is empty", where=file, expected="a header, and a row for each image",
                todo="Name the file of the metadata in `reader.file`, or export it again",
            )  # fmt: skip
        _check_header(file, header, self.header and [compose(name) for name in self.header])
        problems = [
            f"line {line}: {len(row)} cells, not {len(header)}"
            for line, row in rows[1:]
            if len(row) != len(header)
        ]
        if problems:
            raise CxrbuildError(
                "rows with a wrong number of cells\n  " + name_some(problems, 20), where=file,
                expected=f"{count_of(len(header), 'cell')} in each row, as in the header",
                todo="Correct these lines: a cell with the delimiter or a line break needs quotes",
            )  # fmt: skip
        if missing:
            hints = "; ".join(f'for "{name}" {suggest(name, header, "column")}' for name in missing)
            raise CxrbuildError(
                f"reader.{keyword} names a column that is not there", where=file,
                expected=_quoted(missing), found=_quoted(header),
                todo=f"Correct the template: {hints}",
            )  # fmt: skip
        spelled = [template.fill(dict(zip(header, row, strict=True))) for _, row in rows[1:]]
        found = (
            self._find_images(spelled, inventory.headers, _HEADER_KEYS[keyword])
            if keyword in _HEADER_KEYS
            else self._find_paths(spelled, [line for line, _ in rows[1:]], inventory)
        )
        repeated = [
            (row, line, path) for (line, row), paths in zip(rows[1:], found, strict=True) for path in paths
        ]
        values = pd.DataFrame([row for row, _, _ in repeated], columns=header, dtype="str")
        places = [f"{self.file}, line {line}" for _, line, _ in repeated]
        values.index = pd.MultiIndex.from_arrays(
            [places, [path for _, _, path in repeated]], names=["place", "path"]
        )
        return values

    def _check_cells(self, file: Path, header: Sequence[str]) -> None:
        """Refuse a header of one cell that another delimiter would divide."""
        others = [sign for sign in _DELIMITERS if len(header) == 1 and sign in header[0]]
        if others and self.delimiter not in header[0]:
            raise CxrbuildError(
                "the cells have another delimiter than the declared one", where=file,
                expected=repr(self.delimiter), found=_quoted(header),
                todo=f"Declare `delimiter = {json.dumps(others[0])}` in the reader",
            )  # fmt: skip

    def _key(self) -> tuple[str, Template]:
        """Return the key of the declaration that finds a row's images, and its template."""
        key = next(key for key in _KEYS if getattr(self, key) is not None)
        return key, parse_template(compose(getattr(self, key)))

    def _find_paths(
        self, spelled: Sequence[str], lines: Sequence[int], inventory: Inventory
    ) -> Iterator[list[str]]:
        """Yield the path of each row, as the file has it if there is one."""
        find = _NameIndex(inventory.blobs).find if self.path is None else PathIndex(inventory.blobs).find
        found, problems = [], []
        for line, given in zip(lines, spelled, strict=True):
            spelling = _without_folders(given, self.strip) if self.strip else given
            tried = [spelling + suffix for suffix in self.suffixes] or [spelling]
            paths = next((paths for name in tried if (paths := find(name, match_case=self.match_case))), [])
            found.append(paths[:1] or tried[:1])
            if len(paths) > 1:
                problems.append(f"{self.file}, line {line}: {tried[0]!r} can be {_quoted(paths)}")
            elif not paths and (other := [path for name in tried for path in find(name)]):
                problems.append(
                    f"{self.file}, line {line}: {tried[0]!r} and the file {other[0]!r} differ in case alone"
                )
        if problems:
            raise CxrbuildError(
                "names that differ from file names only in case or spelling\n  " + "\n  ".join(problems[:20])
                + (f"\n  and {len(problems) - 20} more" if len(problems) > 20 else ""),
                where=inventory.root,
                todo="Give files and rows the same names, or change `match_case` in the reader",
            )  # fmt: skip
        return iter(found)

    def _find_images(
        self, spelled: Sequence[str], headers: Mapping[str, Mapping[str, str]], keyword: str
    ) -> Iterator[list[str]]:
        """Yield the images of each row, found by an element of their headers."""
        paths: dict[str, list[str]] = {}
        for path, elements in headers.items():
            if elements.get(keyword):
                paths.setdefault(elements[keyword], []).append(path)
        for identifier in (text.strip() for text in spelled):
            yield paths.get(identifier) or [self.path_without_image(identifier)]

    def _shown(self, identifier: str) -> str:
        return identifier if self.patient_id == "keep" else hash_identifier(read_key(), identifier)


class _NameIndex:
    """The paths of files by file name."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._paths: dict[str, list[str]] = {}
        for path in sorted(paths):
            self._paths.setdefault(path.rpartition("/")[2], []).append(path)
        self._names = PathIndex(self._paths)

    def find(self, name: str, *, match_case: bool = False) -> list[str]:
        """Return the paths whose file name a name can mean."""
        return [path for one in self._names.find(name, match_case=match_case) for path in self._paths[one]]


def _without_folders(path: str, count: int) -> str:
    """Return a path without its leading folders; the file's name stays."""
    parts = canonical_path(path).split("/")
    return "/".join(parts[min(count, len(parts) - 1) :])


def _advise_on_file(inventory: Inventory) -> str:
    """Return the advice for a CSV file that is not there."""
    others = sorted(path for path in inventory.available if path.lower().endswith((".csv", ".tsv")))
    if not others:
        return "Fetch the source again"
    return f"Correct `reader.file`; the source has {name_some(others, 5)}"


def _quoted(names: Sequence[str]) -> str:
    return name_some([f'"{name}"' for name in names], 60)


def _rows(path: Path, encoding: str, delimiter: str) -> list[tuple[int, list[str]]]:
    data = path.read_bytes()
    try:
        # A byte-order mark says how the file is encoded, and is no part of the first column's name.
        text = data.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise CxrbuildError(
            f"not in the declared encoding, at line {line}", where=path, expected=encoding,
            found=f"byte 0x{data[error.start]:02x}",
            todo="This is another revision: fetch the pinned one, or declare a source for this one",
        ) from error  # fmt: skip
    except UnicodeError as error:  # of codecs that know no place
        raise CxrbuildError(
            "not in the declared encoding",
            where=path,
            expected=encoding,
            found=error,
            todo="This is another revision: fetch the pinned one, or declare a source for this one",
        ) from error
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows, start = [], 1
    limit = csv.field_size_limit(max(len(text), 1))  # a note can be longer than csv's own limit
    try:
        for row in reader:
            if row:
                rows.append((start, row))
            start = reader.line_num + 1
    except csv.Error as error:
        raise CxrbuildError(
            f"not CSV from line {start} on", where=path, found=error,
            todo="Correct the quotes of this line, or declare the delimiter of the file as `delimiter`",
        ) from error  # fmt: skip
    finally:
        csv.field_size_limit(limit)
    return rows


def _check_header(path: Path, found: list[str], declared: list[str] | None) -> None:
    if declared is None or found == declared:
        if len(set(found)) < len(found):
            raise CxrbuildError(
                "two columns of the header have one name", where=path, found=_quoted(found),
                todo="Rename one of the columns in the file",
            )  # fmt: skip
        return
    missing = [column for column in declared if column not in found]
    added = [column for column in found if column not in declared]
    problems = [f"column {_quoted(missing)} is missing"] if missing else []
    problems += [f"column {_quoted(added)} is unknown"] if added else []
    raise CxrbuildError(
        "the header differs from the declared columns", where=path, expected=_quoted(declared),
        found="; ".join(problems) or "the columns in another order",
        todo="This is another revision: fetch the pinned one, or declare a source for this one",
    )  # fmt: skip
