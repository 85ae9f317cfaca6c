"""Remember where the declarations of a build are, so that what was declared since can be read.

``.cxrbuild/declarations.json`` has the place of each source's declaration, of each file of reviews or links,
and of the published list: the name of a shipped one, the path of any other; and the path of the former
version whose split is held. Paths have a meaning on one machine only, and can be private: neither
``build.json`` nor a release has them, and builds in object storage have no such file.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from cxrbuild.artifact import names
from cxrbuild.catalog import Recipe
from cxrbuild.catalog.copying import with_shipped_names
from cxrbuild.curation.declared import Declared
from cxrbuild.files import json_bytes, write_bytes
from cxrbuild.parsing import parse_json


class DeclarationFiles(NamedTuple):
    """Hold the places of a build's declarations.

    Parameters
    ----------
    sources
        For each source the name of a shipped one, or the path of its declaration.
    reviews
        The review files, by name or path; of two reviews of one image the later one counts.
    links
        The files of links; none in builds of earlier versions.
    image_list
        The published list; ``None`` without one, and in builds of earlier versions.
    previous
        The path of the former version whose split is held; ``None`` where there is none.
    """

    sources: dict[str, str]
    reviews: list[str]
    links: list[str] = []  # noqa: RUF012 -- never changed
    image_list: str | None = None
    previous: str | None = None


def declaration_files(declared: Declared) -> DeclarationFiles:
    """Return where the declarations of a recipe are."""
    recipe, listed = declared.recipe, declared.image_list
    sources = {
        source.name: source.name if source.address == source.name else str(source.file.resolve())
        for source in declared.sources
    }
    reviews = [
        *_places(recipe.reviews, recipe.folder),
        *_places((one.file for one in declared.overrides.reviews), Path()),
    ]
    image_list = None
    if listed is not None and recipe.split.published is not None:
        name = recipe.split.published.list
        image_list = name if name == listed.name else str(listed.declaration.resolve())
    previous = None if declared.previous is None else str(declared.previous.place.resolve())
    links = _places(recipe.split.links, recipe.folder)
    return DeclarationFiles(sources, reviews, links, image_list, previous)


def write_declaration_files(build: Path, declared: Declared) -> None:
    """Write the places of the declarations that a build was made from, unless they are written already.

    Parameters
    ----------
    build
        The build's folder.
    declared
        What it was made from.
    """
    files = declaration_files(declared)
    if read_declaration_files(build) != files:
        places = files._asdict()
        if files.previous is None:
            del places["previous"]
        write_bytes(_path(build), json_bytes(places))


def read_declaration_files(build: Path) -> DeclarationFiles | None:
    """Read the places of a build's declarations; ``None`` where the file is missing or damaged."""
    try:
        return DeclarationFiles(**parse_json(_path(build).read_bytes()))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def as_shipped(recipe: Recipe, files: DeclarationFiles | None) -> Recipe:
    """Return a recipe that names shipped files where it names unchanged copies of them.

    Parameters
    ----------
    recipe
        A recipe, or one that a build records.
    files
        Where its declarations are; ``None``: that is not known, and no file is a copy.
    """
    if files is None:
        return recipe
    split = recipe.split
    named = [*zip(recipe.sources, files.sources.values(), strict=False)]
    named += zip(recipe.reviews, files.reviews, strict=False)  # those of the command follow
    named += zip(split.links, files.links, strict=False)
    if split.published is not None and files.image_list is not None:
        named.append((split.published.list, files.image_list))
    return with_shipped_names(recipe, {name: Path(place) for name, place in named if name != place})


def _places(files: Iterable[str], beside: Path) -> list[str]:
    return [str((beside / name).resolve()) if name.endswith(".csv") else name for name in files]


def _path(build: Path) -> Path:
    return build / names.STATE / "declarations.json"
