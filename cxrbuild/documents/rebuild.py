"""The commands that rebuild a release's images."""

from __future__ import annotations

import shlex
from typing import Any

from cxrbuild.catalog import Recipe, read_recipe
from cxrbuild.catalog.recipe import DEFAULT_RECIPE, recipe_names
from cxrbuild.contents import Contents

# The keys of a recipe that decide what a build holds; the others are text and expectations.
_DECIDES = {"sources", "reviews", "corrections", "labels", "split", "conversion", "rules"}


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
    missing = ["--allow-missing"] if contents.document.missing_images else []
    commands = [
        *(
            ["cxrbuild", "fetch", *fetched, *_folders(contents, fetched)]
            for fetched in _fetched(contents, options)
        ),
        ["cxrbuild", "curate", *options, *missing],
    ]
    return [shlex.join(command) for command in commands]


def _fetched(contents: Contents, options: list[str]) -> list[list[str]]:
    """Return the arguments of each ``fetch``: only sources with other files than the pin's are accepted."""
    recipe, document, published = contents.recipe, contents.document, contents.recipe.split.published
    names = dict(zip(recipe.sources, document.declared_sources, strict=False))
    unpinned = [
        source
        for source in recipe.sources
        for name in (source if source in document.declared_sources else names.get(source),)
        if name in document.unpinned and document.declared_sources[name].pin.verifies
    ]
    if not unpinned:
        if published is not None:
            return [options[:2]]  # the list belongs to the recipe
        return [[] if recipe.sources == read_recipe(DEFAULT_RECIPE).sources else recipe.sources]
    verified = [source for source in recipe.sources if source not in unpinned]
    verified += [published.list] if published is not None else []
    return [*([verified] if verified else []), [*unpinned, "--allow-unpinned"]]


def _folders(contents: Contents, fetched: list[str]) -> list[str]:
    """Return ``--from NAME=FOLDER`` for the sources of a ``fetch`` that may have no address.

    ``build.json`` has no addresses. That of an archive, or a commit, is known to have been there.
    """
    sources = contents.document.declared_sources
    return [
        word
        for address, name in zip(contents.recipe.sources, sources, strict=False)
        if address.endswith(".toml") and (address in fetched or fetched[:1] == ["--recipe"])
        for word in ("--from", f"{name}=FOLDER")
        if not (sources[name].pin.commit or sources[name].pin.sha256)
    ]


def added_reviews(contents: Contents) -> list[str]:
    """Return the review files that were added to the recipe's."""
    return [override.file for override in contents.overrides.reviews]


def is_shipped(recipe: Recipe) -> bool:
    """Return whether a recipe is a shipped one, apart from switches and text."""
    return recipe.name in recipe_names() and not differing_keys(recipe, read_recipe(recipe.name))


def differing_keys(recipe: Recipe, other: Recipe) -> list[str]:
    """Return the keys in which a recipe decides otherwise of images than another one, apart from switches.

    A rule is named as ``rules.NAME``, and a key of a table with its table: ``split.salt``.
    """
    keys = []
    for key, was in _deciding(other).items():
        now = _deciding(recipe)[key]
        if was == now:
            continue
        if key == "rules":
            was, now = ({rule["name"]: rule for rule in rules} for rules in (was, now))
        if not isinstance(was, dict):
            keys.append(key)
            continue
        names = [name for name in {**was, **now} if was.get(name) != now.get(name)]
        keys += [f"{key}.{name}" for name in names] or [f"{key}, in order"]
    return keys


def _deciding(recipe: Recipe) -> dict[str, Any]:
    document: dict[str, Any] = recipe.model_dump(mode="json", include=_DECIDES)
    for rule in document["rules"]:
        if rule["switch"]:
            del rule["enabled"]
    return document
