"""The commands that rebuild a release's images."""

from __future__ import annotations

import shlex
from typing import Any

from cxrbuild.catalog import Recipe, read_recipe
from cxrbuild.catalog.recipe import DEFAULT_RECIPE, recipe_names
from cxrbuild.contents import Contents

# The keys of a recipe that decide what a build holds; the others are text and expectations.
_DECIDES = {"sources", "reviews", "labels", "split", "conversion", "rules"}


def rebuild_commands(contents: Contents) -> list[str]:
    """Return the commands that fetch and curate the same dataset."""
    recipe = contents.recipe
    options = []
    if not (is_shipped(recipe) and recipe.name == DEFAULT_RECIPE):
        options += ["--recipe", recipe.name if is_shipped(recipe) else f"{recipe.name}.toml"]
    options += dict.fromkeys(
        f"--{'drop' if override.enabled else 'keep'}-{override.switch}"
        for override in contents.overrides.rules
    )
    for override in contents.overrides.reviews:
        options += ["--reviews", override.file]
    if recipe.split.published is not None:
        named = options[:2]  # the list belongs to the recipe
    else:
        named = [] if recipe.sources == read_recipe(DEFAULT_RECIPE).sources else recipe.sources
    return [shlex.join(["cxrbuild", "fetch", *named]), shlex.join(["cxrbuild", "curate", *options])]


def added_reviews(contents: Contents) -> list[str]:
    """Return the review files that were added to the recipe's."""
    return [override.file for override in contents.overrides.reviews]


def is_shipped(recipe: Recipe) -> bool:
    """Return whether a recipe is a shipped one, apart from switches and text."""
    return recipe.name in recipe_names() and selects_same(recipe, read_recipe(recipe.name))


def selects_same(recipe: Recipe, other: Recipe) -> bool:
    """Return whether two recipes decide the same of each image, apart from switches."""
    return _deciding(recipe) == _deciding(other)


def _deciding(recipe: Recipe) -> dict[str, Any]:
    document = recipe.model_dump(mode="json", include=_DECIDES)
    for rule in document["rules"]:
        if rule["switch"]:
            del rule["enabled"]
    return document
