"""A reader: how a source's metadata becomes a table; where the kinds of readers are found.

A kind of this package is a module of `cxrbuild.ingest.readers`, whose name is the kind. One of another
package is an entry point in the group ``cxrbuild.readers``: its name is the kind, its object a subclass of
`Reader`. Both are imported when a source asks for them.
"""

from __future__ import annotations

import fnmatch
import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, wraps
from importlib import import_module
from importlib.metadata import EntryPoint
from pathlib import Path
from pkgutil import iter_modules
from traceback import extract_tb
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from pydantic import Field

from cxrbuild.catalog.column import Column
from cxrbuild.catalog.declarations import CATALOG, Declaration
from cxrbuild.errors import CxrbuildError, suggest
from cxrbuild.files import git_blob_of
from cxrbuild.plugins import find_entry_points
from cxrbuild.progress import Progress
from cxrbuild.words import compose

if TYPE_CHECKING:
    import pandas as pd

GROUP = "cxrbuild.readers"
_PACKAGE = "cxrbuild.ingest.readers"
# The methods that other packages write, and that read files or take what files hold.
_GUARDED = ("read", "metadata_files", "path_without_image")


@dataclass(frozen=True)
class Inventory:
    """The files of a source.

    Attributes
    ----------
    root
        The source's folder.
    available
        Paths that can be read.
    blobs
        Every path that upstream has or that is available, with its git blob hash where it is known.
    headers
        By path, elements of the available images that are DICOM files, by keyword.
    """

    root: Path
    available: frozenset[str]
    blobs: dict[str, str | None]
    headers: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


class ChangedFile(NamedTuple):
    """A file with another git blob hash than expected; ``expected`` is ``None`` where none is known."""

    path: str
    expected: str | None
    found: str


class Reader(Declaration, ABC):
    """The table ``[reader]`` of a source: the keys of one kind, and how this kind reads.

    A subclass declares ``kind`` as a ``Literal``, its own keys, and `read`; the class
    attribute and the properties where they differ.
    """

    kind: str
    images: list[str] = Field(description="glob patterns of the image files, to find those without a row")
    match_case: bool = Field(
        False,
        strict=True,
        description="whether names that differ in case are different: in patterns and in metadata",
    )
    ignore: list[str] = Field(
        default_factory=list,
        description="glob patterns of files that look like the source's images and are none",
    )
    patient_id: Literal["hash", "keep"] = Field(
        "hash",
        description="`hash` replaces patient numbers by a hash keyed with the environment's secret; `keep` "
        "is for numbers that are public",
    )
    patient_conflicts: Literal["refuse", "join", "ignore"] = Field(
        "refuse",
        description="what to do where two patient numbers of the metadata have one number in the DICOM "
        "headers, or the reverse, or differ in leading zeros alone: `join` takes them for one patient, "
        "`ignore` for those that the metadata gives",
    )
    differing_rows: Literal["refuse", "first", "join"] = Field(
        "refuse",
        description="what to do where rows of one image differ in a mapped value: `first` takes the first "
        "row, and excludes the others as `listed_twice`; `join` does so too, and gives the first row the "
        "findings of all rows, such as `Normal|Pneumonia`, but refuses rows that differ in another value",
    )
    burned_in_annotation: Literal["drop", "keep"] = Field(
        "drop", description="what to do with a DICOM image whose BurnedInAnnotation is YES"
    )

    default_columns: ClassVar[Mapping[str, Column]] = {}
    """Columns that are filled unless the source declares them."""

    @property
    def reads_images(self) -> bool:
        """Whether an image's row depends on the image file, so that a missing image has no row."""
        return False

    @property
    def finds_by_name(self) -> bool:
        """Whether a row gives the file name of its image alone, so that it has no path without the file."""
        return False

    def path_without_image(self, identifier: str) -> str:
        """Return what `read` gives as the path of a row whose identifier no available image has."""
        return identifier

    @property
    def images_are_dicom(self) -> bool:
        """Whether every image must be a DICOM file, so that one without a readable header is excluded."""
        return False

    def metadata_files(self, paths: Collection[str]) -> Sequence[str]:  # noqa: ARG002
        """Return the paths of the files, other than images, that `read` reads.

        These files are compared with the pin, and with what was fetched, before they are read.

        Parameters
        ----------
        paths
            The paths of all files that the source has.
        """
        return ()

    def matches(self, path: str, patterns: Sequence[str]) -> bool:
        """Return whether a path fits one of some glob patterns, in which ``*`` matches ``/`` too."""
        name = compose(path)
        return any(_compiled(pattern, self.match_case).fullmatch(name) for pattern in patterns)

    def changed_metadata(self, root: Path, blobs: Mapping[str, str | None]) -> list[ChangedFile]:
        """Return the metadata files of a source's folder that have another git blob hash than expected."""
        available = [path for path in self.metadata_files(blobs) if (root / path).is_file()]
        found = [ChangedFile(path, blobs.get(path), git_blob_of(root / path)) for path in available]
        return [file for file in found if file.found != file.expected]

    @abstractmethod
    def read(self, inventory: Inventory, images: Sequence[str], progress: Progress) -> pd.DataFrame:
        """Read upstream's metadata.

        Parameters
        ----------
        inventory
            The source's files.
        images
            Those that fit ``images``, sorted; of them only those in ``inventory.available`` can be read.
        progress
            Shows how many files are read.

        Returns
        -------
        pandas.DataFrame
            Upstream's values as text, a column for each of upstream's, indexed by (place, path): where a
            message states that the row is, and the path of its image.

        Raises
        ------
        CxrbuildError
            The metadata is not as declared.
        OSError
            A file cannot be read.
        """

    @classmethod
    def kinds(cls, table: object = None) -> list[type[Declaration]]:
        """Return the class of the kind that a table names, else the classes of this package."""
        kind = table.get("kind") if isinstance(table, dict) else None
        return [reader_class(kind)] if kind is not None else [reader_class(kind) for kind in built_in_kinds()]


@cache
def _compiled(pattern: str, match_case: bool) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(compose(pattern)), 0 if match_case else re.IGNORECASE)


@cache
def built_in_kinds() -> tuple[str, ...]:
    """Return the kinds of this package, sorted; none is imported."""
    folder = CATALOG.parent.joinpath(*_PACKAGE.split(".")[1:])
    return tuple(sorted(module.name for module in iter_modules([str(folder)])))


@cache
def _built_in(kind: str) -> type[Reader]:
    module = import_module(f"{_PACKAGE}.{kind}")
    (reader,) = (
        one
        for one in vars(module).values()
        if isinstance(one, type) and issubclass(one, Reader) and one.__module__ == module.__name__
    )
    return reader


def reader_class(kind: str) -> type[Reader]:
    """Return the class that reads a kind of source.

    Raises
    ------
    ValueError
        No package has this kind, or several have, or the one that has cannot be imported.
    """
    if kind in built_in_kinds():
        return _built_in(kind)
    others = find_entry_points(GROUP)
    found = set(others.select(name=kind))
    if not found:
        known = [*built_in_kinds(), *sorted(set(others.names) - set(built_in_kinds()))]
        raise ValueError(f"no reader has the kind {kind!r}; {suggest(kind, known, 'kind')}")
    if len(found) > 1:
        named = ", ".join(sorted(entry.value for entry in found))
        raise ValueError(f"several packages have a reader of the kind {kind!r}: {named}")
    return _load(found.pop())


def _load(entry: EntryPoint) -> type[Reader]:
    try:
        found = entry.load()
    except Exception as error:  # the code of another package: any error is possible
        raise ValueError(
            f"the reader {entry.name!r} ({entry.value}) cannot be imported: {type(error).__name__}: {error}"
        ) from error
    if not (isinstance(found, type) and issubclass(found, Reader)):
        raise ValueError(f"the reader {entry.name!r} ({entry.value}) is no subclass of Reader")  # noqa: TRY004
    if entry.dist is not None:
        for name in _GUARDED:
            _guard(entry, found, name)
    return found


def _guard(entry: EntryPoint, reader: type[Reader], name: str) -> None:
    """Let a method of another package's reader report what it raises as an error that names the package.

    The class itself is changed: a subclass made here could not be sent to another process.
    """
    method = getattr(reader, name)
    if method is getattr(Reader, name) or hasattr(method, "guarded"):
        return

    @wraps(method)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        try:
            found = method(*args, **kwargs)
        except (CxrbuildError, OSError, MemoryError):
            raise
        except Exception as error:  # the code of another package: any error is possible
            last = extract_tb(error.__traceback__)[-1]
            raise _failed(
                entry, f"{type(error).__name__}: {error}, in {last.filename}, line {last.lineno}"
            ) from error
        if name == "read" and (problem := _find_fault(found)):
            raise _failed(entry, f"`read` returned {problem}")
        return found

    guarded.guarded = True  # type: ignore[attr-defined]
    setattr(reader, name, guarded)


def _find_fault(found: object) -> str | None:
    """Return what is wrong with the result of `read`."""
    import pandas as pd

    if not isinstance(found, pd.DataFrame):
        return f"a {type(found).__name__}, not a table"
    if list(found.index.names) != ["place", "path"]:
        return f"a table indexed by {list(found.index.names)}, not by place and path"
    return None


def _failed(entry: EntryPoint, found: str) -> CxrbuildError:
    assert entry.dist is not None
    return CxrbuildError(
        f"the reader {entry.name!r} of {entry.dist.name} failed", where=entry.value, found=found,
        todo="Check the metadata that it reads, or upgrade that package; if it is yours, let it raise "
        "cxrbuild.CxrbuildError with file and line where metadata is not as declared",
    )  # fmt: skip


def read_reader(table: object) -> object:
    """Return the reader that a table ``[reader]`` declares; anything but a table is left to pydantic.

    Raises
    ------
    ValueError
        It names no known kind. A table that its kind does not accept raises pydantic's own subclass.
    """
    if not isinstance(table, dict):
        return table
    if not isinstance(table.get("kind"), str):
        raise ValueError(f"needs `kind`, such as {', '.join(built_in_kinds())}")  # noqa: TRY004
    return reader_class(table["kind"]).model_validate(table)
