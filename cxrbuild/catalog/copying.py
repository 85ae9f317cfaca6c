"""Copy a shipped declaration with the files that it names, and know a copy that is unchanged."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cxrbuild.catalog.csv_table import SHIPPED, CsvTable
from cxrbuild.catalog.declarations import CATALOG
from cxrbuild.catalog.image_list import read_image_list
from cxrbuild.catalog.link import LINKS
from cxrbuild.catalog.recipe import Recipe, read_recipe
from cxrbuild.catalog.review import REVIEWS
from cxrbuild.catalog.source import read_source, source_names
from cxrbuild.errors import CxrbuildError, DeclarationError, name_some
from cxrbuild.files import replacing
from cxrbuild.notebook import result_html
from cxrbuild.parsing import parse_toml

RECIPE_FILE = "recipe.toml"


@dataclass(frozen=True)
class CopiedDeclaration:
    """A copy of a shipped recipe or source.

    Attributes
    ----------
    name
        The name of the recipe or source.
    files
        The files that were written; the first one is the declaration.
    """

    name: str
    files: tuple[Path, ...]

    def to_dict(self) -> dict[str, object]:
        """Return the name and the files as JSON has them."""
        return {"name": self.name, "files": [str(path) for path in self.files]}

    def _repr_html_(self) -> str:
        return result_html(f"Copy of {self.name}", rows=[[path] for path in self.files])


def copy_recipe(name: str, folder: Path) -> CopiedDeclaration:
    """Copy a shipped recipe with its reviews, corrections, links and list; its sources stay the shipped ones.

    Parameters
    ----------
    name
        The name of a shipped recipe.
    folder
        Where the files are written; it need not exist.

    Raises
    ------
    CxrbuildError
        There is no such recipe, or the folder has a file of one of these names.
    """
    _require_name("recipe", name)
    recipe = read_recipe(name)
    tables = {
        named: CATALOG / "reviews" / f"{named}.csv"
        for named in dict.fromkeys([*recipe.reviews, *recipe.corrections, *recipe.split.links])
    }
    lists = []
    if recipe.split.published is not None:
        lists = [read_image_list(recipe.split.published.list).declaration]
    renamed = {named: path.name for named, path in tables.items()} | {path.stem: path.name for path in lists}
    declared = _read(CATALOG / "recipes" / f"{name}.toml")
    text = _rename(declared, ("reviews", "corrections", "links", "list"), renamed)
    files = {RECIPE_FILE: text} | {path.name: _read(path) for path in (*tables.values(), *lists)}
    return CopiedDeclaration(name, _write(folder, files))


def copy_source(name: str, folder: Path) -> CopiedDeclaration:
    """Copy a shipped source with the listing of its pin.

    Parameters
    ----------
    name
        The name of a shipped source.
    folder
        Where the files are written; it need not exist.

    Raises
    ------
    CxrbuildError
        There is no such source, or the folder has a file of one of these names.
    """
    _require_name("source", name)
    return CopiedDeclaration(name, _write(folder, _source_files(name)))


def _source_files(name: str) -> dict[str, str]:
    """Return the files of a copy of a shipped source, by name."""
    source = read_source(name)
    files = [source.file.parent / named for named in (source.pin.listing, source.withdrawn) if named]
    renamed = {str(named): Path(named).name for named in (source.pin.listing, source.withdrawn) if named}
    text = _rename(_read(source.file), ("listing", "withdrawn"), renamed)
    return {f"{name}.toml": text} | {path.name: _read(path) for path in files}


def with_shipped_names(recipe: Recipe, places: Mapping[str, Path]) -> Recipe:
    """Return a recipe that names shipped files where it names unchanged copies of them.

    Parameters
    ----------
    recipe
        A recipe.
    places
        Where the files are that it names: sources, reviews, links and its published list. A file that is
        not among them, or not there, is no copy.
    """

    def shipped(name: str) -> str:
        return (_original(places[name]) if name in places else None) or name

    split, published = recipe.split, recipe.split.published
    if published is not None:
        published = published.model_copy(update={"list": shipped(published.list)})
    links = [shipped(name) for name in split.links]
    return recipe.model_copy(
        update={
            "sources": [shipped(name) for name in recipe.sources],
            "reviews": [shipped(name) for name in recipe.reviews],
            "split": split.model_copy(update={"links": links, "published": published}),
        }
    )


def _original(copy: Path) -> str | None:
    """Return the name of the shipped file that a file is an unchanged copy of, ``None`` where it is none.

    Comments of a declaration, and how a CSV file is written, are no change.
    """
    name = copy.stem
    try:
        if copy.suffix == ".csv":
            table = next((one for one in (REVIEWS, LINKS) if one.matches(copy)), None)
            same = table is not None and _rows(table, copy) == _rows(table, SHIPPED / copy.name)
        elif name in source_names():
            declared, *others = _source_files(name).items()
            same = parse_toml(_read(copy)) == parse_toml(declared[1]) and all(
                _read(copy.with_name(other)) == text for other, text in others
            )
        else:
            same = parse_toml(_read(copy)) == parse_toml(_read(CATALOG / "lists" / copy.name))
    except (OSError, ValueError, DeclarationError):
        return None
    return name if same else None


def _rows(table: CsvTable, path: Path) -> list[list[str]]:
    return [cells for _, cells in table.rows(path, [])]


def _require_name(kind: str, name: str) -> None:
    if name.endswith(".toml"):
        raise DeclarationError(
            f"only a shipped {kind} is copied", where=name, expected=f"the name of a shipped {kind}",
            todo="Copy this file and those that it names yourself",
        )  # fmt: skip


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _rename(text: str, keys: tuple[str, ...], renamed: Mapping[str, str]) -> str:
    """Return the text of a declaration with other values of some keys; comments and order stay."""

    def change(line: re.Match[str]) -> str:
        return re.sub(r'"([^"]*)"', lambda value: f'"{renamed.get(value[1], value[1])}"', line[0])

    return re.sub(rf"^.*\b(?:{'|'.join(keys)}) = .*$", change, text, flags=re.MULTILINE)


def _write(folder: Path, files: Mapping[str, str]) -> tuple[Path, ...]:
    if there := [name for name in files if (folder / name).exists()]:
        raise CxrbuildError(
            "a copy overwrites no file", where=folder, found=name_some(there), todo="Name another folder"
        )
    for name, text in files.items():
        with replacing(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8", newline="\n")
    return tuple(folder / name for name in files)
