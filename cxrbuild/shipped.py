"""The shipped sources and recipes as lists: what each is, how it is pinned, and what it needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cxrbuild.catalog.declarations import no_declaration
from cxrbuild.catalog.recipe import Recipe, read_recipe, recipe_names
from cxrbuild.catalog.source import Source, read_source, source_names
from cxrbuild.fetching.pin import is_for_another_pin, locked_against
from cxrbuild.files import sha256_of
from cxrbuild.lockfile import LockedSource, read_lock, source_folder
from cxrbuild.notebook import result_html

_SHORT = 8


@dataclass(frozen=True)
class Listing:
    """The listing of a pin: its file, the number of files in it, and its SHA-256."""

    file: str
    files: int
    sha256: str


@dataclass(frozen=True)
class ShippedSource:
    """A shipped source.

    Attributes
    ----------
    name, title, homepage, license
        As declared.
    license_per_image
        Whether its metadata has the licence of each image; `license` is that of images where it is blank.
    images
        Image files that the pin lists.
    archive_bytes
        Size of the archive, ``None`` where the host compresses it for each request.
    pin
        What is verified, with the first digits of the hash.
    recipes
        The shipped recipes that use it.
    fetched
        ``verified``, ``unpinned``, ``another version`` where the files were fetched for another pin and are
        not those of this one, or ``None`` where the data folder does not have it.
    url, mirrors
        The address of the pinned version, and other addresses by name; ``None`` where a user brings it.
    commit, date, tree, sha256
        The pin, whole: upstream's commit and its date, the git tree hash, and the SHA-256 of the archive.
    listing
        The file with the paths of the pin, how many it lists, and its SHA-256; ``None`` without one.
    """

    name: str
    title: str
    homepage: str | None
    license: str
    license_per_image: bool
    images: int
    archive_bytes: int | None
    pin: str
    recipes: list[str]
    fetched: str | None
    url: str | None
    mirrors: dict[str, str]
    commit: str | None
    date: str | None
    tree: str | None
    sha256: str | None
    listing: Listing | None

    def to_dict(self) -> dict[str, Any]:
        """Return the source as JSON has it."""
        return asdict(self)

    def _repr_html_(self) -> str:
        return result_html(
            f"{self.name}: {self.title}",
            rows=[
                ["images", self.images],
                ["licence", self.license],
                ["pin", self.pin],
                ["recipes", ", ".join(self.recipes) or "none"],
                ["fetched", self.fetched or "no"],
            ],
        )


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
        The images that a build must have, ``None`` where the recipe has no count.
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

    def _repr_html_(self) -> str:
        return result_html(
            f"{self.name} {self.version}: {self.title}",
            rows=[
                ["classes", ", ".join(self.classes)],
                ["images", "not stated" if self.images is None else self.images],
                ["sources", ", ".join(self.sources)],
                ["to fetch", ", ".join(self.missing) or "none"],
            ],
        )


def list_sources(data: Path, names: Sequence[str] = ()) -> list[ShippedSource]:
    """Return the shipped sources, or some sources: see `cxrbuild.list_sources`."""
    lock = read_lock(data)
    recipes = [read_recipe(name) for name in recipe_names()]
    shipped = source_names()
    # The shipped recipes use no source of a user's, whatever its name.
    return [
        _describe_source(read_source(name), recipes if name in shipped else [], lock, data)
        for name in names or shipped
    ]


def list_recipes(data: Path, names: Sequence[str] = ()) -> list[ShippedRecipe]:
    """Return the shipped recipes, or those of some names: see `cxrbuild.list_recipes`."""
    lock, shipped = read_lock(data), recipe_names()
    if stray := [name for name in names if name not in shipped]:
        raise no_declaration("shipped recipe", stray[0], shipped)
    return [_describe_recipe(read_recipe(name), lock, data) for name in names or shipped]


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
        license_per_image=source.columns.license is not None,
        images=sum(reader.matches(path, reader.images) for path in source.listing or ()),
        archive_bytes=pin.bytes,
        pin=verified,
        recipes=[recipe.name for recipe in recipes if source.name in recipe.sources],
        fetched=_state(source, lock, data),
        url=source.download.url,
        mirrors=source.download.mirrors,
        commit=pin.commit,
        date=pin.date,
        tree=pin.tree,
        sha256=pin.sha256,
        listing=None
        if source.listing is None or pin.listing is None
        else Listing(pin.listing, len(source.listing), sha256_of(source.file.parent / pin.listing)),
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
    locked = locked_against(source, data, lock[source.name])
    if not locked.unpinned:
        return "verified"
    return "another version" if is_for_another_pin(source, locked) else "unpinned"
