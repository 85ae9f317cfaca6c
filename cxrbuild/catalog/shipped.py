"""The shipped sources and recipes as lists: what each is, how it is pinned, and what it needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cxrbuild.catalog.recipe import Recipe, read_recipe, recipe_names
from cxrbuild.catalog.source import Source, read_source, source_names
from cxrbuild.lockfile import LockedSource, read_lock, source_folder

_SHORT = 8


@dataclass(frozen=True)
class ShippedSource:
    """A shipped source.

    Attributes
    ----------
    name, title, homepage, license
        As declared. A row of the source can have a licence of its own.
    images
        Image files that the pin lists.
    archive_bytes
        Size of the archive, ``None`` where the host compresses it for each request.
    pin
        What is verified, with the first digits of the hash.
    recipes
        The shipped recipes that use it.
    fetched
        ``verified``, ``unpinned``, ``another version`` where the lock has another pin, or ``None`` where
        the data folder does not have it.
    """

    name: str
    title: str
    homepage: str | None
    license: str
    images: int
    archive_bytes: int | None
    pin: str
    recipes: list[str]
    fetched: str | None

    def to_dict(self) -> dict[str, Any]:
        """Return the source as JSON has it."""
        return asdict(self)


@dataclass(frozen=True)
class ShippedRecipe:
    """A shipped recipe.

    Attributes
    ----------
    name, version, title
        As declared.
    classes
        The classes in the order of their numbers.
    images
        The images that a build must have, ``None`` where the recipe does not say.
    sources
        Its sources.
    missing
        Those of them that the data folder does not have.
    manifest
        The published manifest that a build is compared with, ``None`` if there is none.
    baseline
        Whether it declares a baseline.
    """

    name: str
    version: str
    title: str
    classes: list[str]
    images: int | None
    sources: list[str]
    missing: list[str]
    manifest: str | None
    baseline: bool

    def to_dict(self) -> dict[str, Any]:
        """Return the recipe as JSON has it."""
        return asdict(self)


def list_sources(data: Path) -> list[ShippedSource]:
    """Return the shipped sources.

    Parameters
    ----------
    data
        The data folder, which need not exist.

    Raises
    ------
    CxrbuildError
        The lock of the data folder is damaged.
    """
    lock = read_lock(data)
    recipes = [read_recipe(name) for name in recipe_names()]
    return [_describe_source(read_source(name), recipes, lock, data) for name in source_names()]


def list_recipes(data: Path) -> list[ShippedRecipe]:
    """Return the shipped recipes.

    Parameters
    ----------
    data
        The data folder, which need not exist.

    Raises
    ------
    CxrbuildError
        The lock of the data folder is damaged.
    """
    lock = read_lock(data)
    return [_describe_recipe(read_recipe(name), lock, data) for name in recipe_names()]


def _describe_source(
    source: Source, recipes: list[Recipe], lock: Mapping[str, LockedSource], data: Path
) -> ShippedSource:
    pin = source.pin
    verified = f"git tree {pin.tree[:_SHORT]}" if pin.tree else "not pinned"
    if pin.sha256:
        verified = f"archive {pin.sha256[:_SHORT]} and names"
    reader = source.reader
    return ShippedSource(
        name=source.name,
        title=source.title,
        homepage=source.homepage,
        license=source.license,
        images=sum(reader.matches(path, reader.images) for path in source.listing or ()),
        archive_bytes=pin.bytes,
        pin=verified,
        recipes=[recipe.name for recipe in recipes if source.name in recipe.sources],
        fetched=_state(source, lock, data),
    )


def _describe_recipe(recipe: Recipe, lock: Mapping[str, LockedSource], data: Path) -> ShippedRecipe:
    counts = [count for of_split in recipe.expect.values() for count in of_split.values()]
    return ShippedRecipe(
        name=recipe.name,
        version=recipe.version,
        title=recipe.title,
        classes=recipe.classes,
        images=sum(counts) if counts else None,
        sources=recipe.sources,
        missing=[name for name in recipe.sources if _state(read_source(name), lock, data) is None],
        manifest=recipe.manifest,
        baseline=recipe.baseline is not None,
    )


def _state(source: Source, lock: Mapping[str, LockedSource], data: Path) -> str | None:
    if source.name not in lock or not source_folder(data, source.name).is_dir():
        return None
    locked = lock[source.name]
    if locked.pin != source.pin.model_dump(exclude_none=True):
        return "another version"
    return "unpinned" if locked.unpinned else "verified"
