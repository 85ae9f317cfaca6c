"""Advise how to give a dataset another version."""

from __future__ import annotations

from pathlib import Path

from cxrbuild.catalog import Recipe, read_recipe
from cxrbuild.curation import read_declaration_files
from cxrbuild.documents import is_shipped


def advise_version(build: Path, recipe: Recipe | None, version: str, *, or_later: bool = False) -> str:
    """Return how to build a dataset again with another version, as the start of a sentence.

    A shipped recipe cannot be edited: it is copied first.

    Parameters
    ----------
    build
        The build.
    recipe
        Its recipe, ``None`` where it is not known.
    version
        The version.
    or_later
        Whether a later one is as good.
    """
    wanted = f'`version = "{version}"`' + (" or a later one" if or_later else "")
    if recipe is None or not _is_of_shipped(build, recipe):
        return f"Write {wanted} into the recipe, run `cxrbuild curate` again and release its build"
    return (
        f"The recipe is a shipped one: copy it with `cxrbuild recipes {recipe.name} --copy DIR`, write "
        f"{wanted} and a name of its own into DIR/recipe.toml, run `cxrbuild curate --recipe "
        "DIR/recipe.toml` with the options of this build, and release the new build"
    )


def _is_of_shipped(build: Path, recipe: Recipe) -> bool:
    files = read_declaration_files(build)
    if files is not None and files.options:
        return files.options[:2] == ["--recipe", recipe.name]
    # Not known by name: one that was copied and has another version is no shipped one.
    return is_shipped(recipe) and recipe.version == read_recipe(recipe.name).version
