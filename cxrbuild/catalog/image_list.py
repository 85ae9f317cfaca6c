"""A published list of images with split and class: where it is, how it is verified, what its words mean."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from cxrbuild.catalog.column import check_pattern
from cxrbuild.catalog.declarations import (
    CATALOG,
    ByWord,
    Declaration,
    find_declaration,
    no_declaration,
    read_toml,
    shipped_names,
)
from cxrbuild.catalog.recipe import Recipe
from cxrbuild.catalog.source import Name, Sha256, Source, read_source, source_names
from cxrbuild.catalog.template import parse_template
from cxrbuild.errors import DeclarationError, count_of, suggest
from cxrbuild.parsing import parse_toml

ListColumn = Literal["file", "patient", "label", "source", "split"]
SplitName = Literal["train", "validation", "test"]


class ListedFile(Declaration):
    """A file of the list: text, CSV or JSON."""

    file: str = Field(
        description="its name; without `url` a path next to the declaration", pattern=r"^[^\\]+$"
    )
    split: SplitName | None = Field(
        None, description="the split of its images; default that of a column, or of the file's name"
    )
    url: str | None = Field(None, description="where `fetch` gets it; needs `sha256`")
    sha256: Sha256 | None = Field(None, description="its SHA-256; another file is refused")
    bytes: int | None = Field(None, ge=0, description="its size in bytes, for the reader")

    @model_validator(mode="after")
    def _check_pin(self) -> ListedFile:
        if self.url is not None and self.sha256 is None:
            raise ValueError("`url` needs `sha256`: a fetched list is always verified")
        if self.url is not None and ("/" in self.file or self.file in (".", "..")):
            raise ValueError(f"file: {self.file!r} has a folder; the name of a fetched file has none")
        return self


class ListedSource(Declaration):
    """What the list calls a source, and how the names in the list become paths in it."""

    source: Name = Field(description="our source")
    names: list[str] = Field(
        default_factory=list,
        min_length=1,
        description="the list's names of the source; case does not matter; default the source's own name",
    )
    pattern: str | None = Field(
        None,
        description="regular expression that the name of a file fits; its named groups can be in `path`. "
        "A row that names no source is of the first one that has its file, or else whose pattern fits",
    )
    path: str | None = Field(
        None,
        description="an image's path in the source: `{file}` is the list's name of it, `{stem}` that without "
        "its suffix. A file in another folder is found by its name",
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_names(cls, table: Any) -> Any:
        if isinstance(table, dict) and "source" not in table:
            raise ValueError(
                'source: missing; write the name of a source of the recipe, as in source = "cohen", and in '
                "`names` what the list calls it, if that is another name"
            )
        if isinstance(table, dict) and isinstance(table["source"], str):
            return {"names": [table["source"]]} | table
        return table

    @model_validator(mode="after")
    def _check_path(self) -> ListedSource:
        known = {"file", "stem"}
        if self.pattern is not None:
            known |= set(re.compile(check_pattern(self.pattern)).groupindex)
        if self.path is not None:
            for name in parse_template(self.path).columns:
                if name not in known:
                    raise ValueError(f"path: nothing is called {name!r}; {suggest(name, known, 'name')}")
        return self

    def path_of(self, file: str) -> str | None:
        """Return the path of a file in the source, ``None`` where its name does not fit.

        Parameters
        ----------
        file
            The file as the list has it.
        """
        groups = {"file": file, "stem": file.rpartition(".")[0] or file}
        if self.pattern is not None:
            match = re.compile(self.pattern).search(file)
            if match is None:
                return None
            groups |= {name: value or "" for name, value in match.groupdict().items()}
        return file if self.path is None else parse_template(self.path).fill(groups)


class ImageList(Declaration):
    """A published list, as ``catalog/lists/*.toml`` or a user's own file declares it."""

    name: Name = Field(description="its name: the folder under DATA/lists, and a name under `labels`")
    title: str = Field(description="its full name")
    homepage: str | None = Field(None, description="address of a page about it")
    description: str = Field("", description="what a reader should know about it")
    citation: str | None = Field(None, description="how to cite it")
    files: list[ListedFile] = Field(min_length=1, description="its files")
    columns: dict[ListColumn, str | int] = Field(
        default_factory=dict,
        description="for file, patient, label, source and split the column's name, or its position from 1; "
        "default: usual names, and patient, file, label, source in a file without a header",
    )
    splits: ByWord[SplitName] = Field(
        default_factory=dict, description="the list's words for splits, if they are not the usual ones"
    )
    sources: list[ListedSource] = Field(
        default_factory=list,
        description="the sources that the list names; not needed where one source has all its images",
    )
    declaration: Path = Field(exclude=True, description="the declaration's file; not a key of it")

    @field_validator("columns")
    @classmethod
    def _check_columns(cls, columns: dict[ListColumn, str | int]) -> dict[ListColumn, str | int]:
        if wrong := [name for name, column in columns.items() if column in ("", 0) or str(column)[0] == "-"]:
            raise ValueError(f"{wrong[0]}: expected a column's name, or its position from 1")
        return columns

    @model_validator(mode="after")
    def _consistent(self) -> ImageList:
        files = [one.file for one in self.files]
        problems = [f"files: two are called {name}" for name in sorted(set(files)) if files.count(name) > 1]
        named = [name.casefold() for one in self.sources for name in one.names]
        problems += [
            f"sources: two have the name {name!r}" for name in sorted(set(named)) if named.count(name) > 1
        ]
        if problems:
            raise ValueError("\n".join(problems))
        return self

    @property
    def address(self) -> str:
        """The list as an argument of a command: the name of a shipped one, the path of any other."""
        return self.name if self.declaration.parent == CATALOG / "lists" else str(self.declaration)

    @property
    def column_names(self) -> dict[str, str]:
        """The columns as text: a name, or a position from 1."""
        return {name: str(column) for name, column in self.columns.items()}

    def place(self, file: ListedFile, data: Path | None) -> Path | None:
        """Return where a file of the list is; ``None`` if it is fetched and there is no data folder."""
        if file.url is None:
            return self.declaration.parent / file.file
        return None if data is None else list_folder(data, self.name) / file.file


def list_folder(data: Path, name: str) -> Path:
    """Return the folder of a fetched list's files."""
    return data / "lists" / name


def list_names() -> list[str]:
    """Return the names of the shipped lists."""
    return shipped_names("lists")


def read_image_list(name: str, base: Path | None = None) -> ImageList:
    """Read the declaration of a list.

    Parameters
    ----------
    name
        The name of a shipped list, or the path of a TOML file.
    base
        The folder that a relative path starts from; default the current one.

    Raises
    ------
    DeclarationError
        There is no such list, or its declaration has problems.
    """
    path = find_declaration("list", "lists", name, base)
    return read_toml(path, ImageList, declaration=path)


def read_source_or_list(name: str, base: Path | None = None) -> Source | ImageList:
    """Read the source or the list of a name.

    Parameters
    ----------
    name
        The name of a shipped source or list, or the path of a TOML file; a list's has the key ``files``.
    base
        The folder that a relative path starts from; default the current one.

    Raises
    ------
    DeclarationError
        There is no such source or list, or its declaration has problems.
    """
    if name.endswith(".toml"):
        with suppress(OSError, ValueError):
            if "files" in parse_toml(((base or Path()) / name).read_text(encoding="utf-8")):
                return read_image_list(name, base)
    elif name in list_names():
        return read_image_list(name)
    elif name not in source_names():
        raise no_declaration("source or list", name, [*source_names(), *list_names()])
    return read_source(name, base)


def check_list(recipe: Recipe, declared: ImageList, sources: list[Source]) -> None:
    """Refuse a list that does not fit the recipe that takes its split from it.

    Parameters
    ----------
    recipe
        The recipe.
    declared
        The list under its ``split.published``.
    sources
        The recipe's sources.

    Raises
    ------
    DeclarationError
        The list names a source that the recipe does not have; the recipe labels anything but the classes of
        the list; or the list names no source and the recipe has several.
    """
    known = [source.name for source in sources]
    problems = [
        f"sources: {one.source!r} is no source of the recipe; {suggest(one.source, known, 'source')}"
        for one in declared.sources
        if one.source not in known
    ]
    problems += [
        f"labels.{label}: {name!r} is not the list; the class comes from the list alone, so write "
        f"{declared.name!r} with the list's words for it"
        for label, by_source in recipe.labels.items()
        for name in by_source
        if name != declared.name
    ]
    if declared.name in known:
        problems.append(f"name: {declared.name!r} is a source of the recipe too; rename the list")
    if not declared.sources and len(known) > 1:
        problems.append(
            "sources: missing; the recipe has several sources, so state which one each row is of: write a "
            f'table [[sources]] for each, as in source = "{known[0]}", and, if the list has a column of '
            'sources with other names for them, what it calls each, as in names = ["first"]'
        )
    if problems:
        raise DeclarationError(
            f"{count_of(len(problems), 'problem')} with the list {declared.name} in the recipe {recipe.name}"
            "\n  " + "\n  ".join(problems)
        )
