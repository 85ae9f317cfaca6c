"""Read a declared list: verify its files, and find which source and path each of its rows means."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cxrbuild.catalog import ImageList
from cxrbuild.errors import CxrbuildError, name_some
from cxrbuild.files import sha256_of
from cxrbuild.lists.reading import ListFile, read_lists
from cxrbuild.lockfile import fetch_command

if TYPE_CHECKING:
    import pandas as pd


def list_files(declared: ImageList, data: Path | None) -> list[ListFile]:
    """Return the files of a list, verified.

    Parameters
    ----------
    declared
        The list.
    data
        The folder that ``fetch`` filled; ``None`` where there is none.

    Raises
    ------
    CxrbuildError
        A file is not there, or is not the declared one.
    """
    files = []
    for file in declared.files:
        place = declared.place(file, data)
        fetch = f"Run `{fetch_command([declared.address], data or Path('data'))}`"
        if place is None or not place.is_file():
            raise CxrbuildError(
                f"a file of the list {declared.name} is not there", where=place or file.file,
                todo=fetch if file.url else "Correct `file` in its declaration, or put the file there",
            )  # fmt: skip
        if file.sha256 is not None and (found := sha256_of(place)) != file.sha256:
            raise CxrbuildError(
                f"not the declared file of the list {declared.name}", where=place,
                expected=f"SHA-256 {file.sha256}", found=f"SHA-256 {found}",
                todo=f"{fetch} again" if file.url else "Correct `sha256`, or put the declared file there",
            )  # fmt: skip
        files.append(ListFile(place, file.split))
    return files


def read_declared_list(declared: ImageList, data: Path | None) -> pd.DataFrame:
    """Return the rows of a declared list.

    Parameters
    ----------
    declared
        The list.
    data
        The folder that ``fetch`` filled; ``None`` where there is none.

    Returns
    -------
    pandas.DataFrame
        As `read_lists` returns them.

    Raises
    ------
    CxrbuildError
        A file is not there, is not the declared one, or cannot be read as a list.
    """
    return read_lists(list_files(declared, data), declared.column_names, declared.splits)


def resolve_sources(
    rows: pd.DataFrame,
    declared: ImageList,
    only: str | None,
    there: frozenset[tuple[str, str]],
    *,
    complete: bool = True,
) -> pd.DataFrame:
    """Fill ``of_source`` with our source of each row and ``expected`` with its path in it.

    Parameters
    ----------
    rows
        The rows of the list.
    declared
        The list.
    only
        The source of every row where the list names none.
    there
        The images that the sources have, each as source and path.
    complete
        Whether these are all images of the sources. Otherwise a row without a source can be of any.

    Raises
    ------
    CxrbuildError
        The declaration does not say which source a row is of, or its name does not fit the source's pattern.
    """
    import pandas as pd

    if not declared.sources:
        return rows.assign(of_source=pd.array([only] * len(rows), "str"), expected=rows["path"])
    by_name = {name.casefold(): one for one in declared.sources for name in one.names}
    found, unknown, misfits = [], [], []
    for path, name, file, line in zip(rows["path"], rows["source"], rows["list"], rows["line"], strict=True):
        place = f"{Path(file).name}, line {line}"
        source: str | None = None
        expected: str | None = None
        if pd.isna(name):
            fitting = [(one, fit) for one in declared.sources if (fit := one.path_of(path)) is not None]
            present = [(one.source, fit) for one, fit in fitting if (one.source, fit) in there]
            guessed = [(one.source, fit) for one, fit in fitting if one.pattern is not None]
            source, expected = next(iter(present + guessed), (None, None))
            if source is None and complete:
                unknown.append(f"{place}: {path} names no source")
        elif (of := by_name.get(name.casefold())) is None:
            unknown.append(f"{place}: {name}")
        else:
            source, expected = of.source, of.path_of(path)
            if expected is None:
                misfits.append(f"{place}: {path} does not fit the pattern of {of.source}")
        found.append((source, expected))
    if unknown:
        raise CxrbuildError(
            f"rows of unknown sources in the list {declared.name}", where=declared.declaration,
            expected=", ".join(by_name), found=name_some(unknown, 5),
            todo="Declare each in a table [[sources]] of the list",
        )  # fmt: skip
    if misfits:
        raise CxrbuildError(
            f"names in the list {declared.name} that its declaration does not expect",
            where=declared.declaration, found=name_some(misfits, 5), todo="Correct `pattern`",
        )  # fmt: skip
    of_source, paths = zip(*found, strict=True)
    return rows.assign(of_source=pd.array(of_source, "str"), expected=pd.array(paths, "str"))
