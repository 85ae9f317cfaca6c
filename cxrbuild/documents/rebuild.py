"""With which commands a reader gets a release's films again."""

from __future__ import annotations

import re
import shlex
from typing import Any

from cxrbuild.catalog import Recipe, read_recipe
from cxrbuild.catalog.recipe import DEFAULT_RECIPE, recipe_names
from cxrbuild.contents import Contents

# What of a recipe decides the films; the rest are words and expectations.
_DECIDES = {"sources", "reviews", "labels", "split", "conversion", "rules"}


def rebuild_commands(contents: Contents) -> list[str]:
    """Return the commands that fetch and curate this very dataset.

    How the build departs from its recipe stands in ``overrides`` as ``switch_rules`` and ``read_declared``
    word it.
    """
    recipe, overrides = contents.recipe, "\n".join(contents.document["overrides"])
    switches = {rule.name: rule.switch for rule in recipe.rules}
    options = []
    if not (is_shipped(recipe) and recipe.name == DEFAULT_RECIPE):
        options += ["--recipe", recipe.name if is_shipped(recipe) else f"{recipe.name}.toml"]
    options += dict.fromkeys(
        f"--{'drop' if to == 'on' else 'keep'}-{switches[name]}"
        for name, to in re.findall(r"^rule (\S+) switched (on|off)$", overrides, re.MULTILINE)
        if switches.get(name)
    )
    for name in added_reviews(contents):
        options += ["--reviews", name]
    sources = [] if recipe.sources == read_recipe(DEFAULT_RECIPE).sources else recipe.sources
    return [shlex.join(["cxrbuild", "fetch", *sources]), shlex.join(["cxrbuild", "curate", *options])]


def added_reviews(contents: Contents) -> list[str]:
    """Return the review files that the build took beside its recipe's."""
    overrides = "\n".join(contents.document["overrides"])
    found = re.findall(r"^\d+ reviews? added from (.+), \d+ in place of", overrides, re.MULTILINE)
    return [name for names in found for name in names.split(", ")]


def is_shipped(recipe: Recipe) -> bool:
    """Tell whether a recipe is one of cxrbuild's own, but for switches and words."""
    return recipe.name in recipe_names() and _deciding(recipe) == _deciding(read_recipe(recipe.name))


def _deciding(recipe: Recipe) -> dict[str, Any]:
    document = recipe.model_dump(mode="json", include=_DECIDES)
    for rule in document["rules"]:
        if rule["switch"]:
            del rule["enabled"]
    return document
