"""The commands `sources` and `recipes`."""

from __future__ import annotations

from pathlib import Path

import click

from cxrbuild.cli.options import data_option, output_options
from cxrbuild.cli.output import Output


@click.command()
@data_option
@output_options
def sources(data: Path, quiet: bool, as_json: bool) -> None:
    """List the shipped sources.

    The list has the pin, licence and size of each source, the recipes that use it, and whether the data
    folder has it. `cxrbuild fetch NAME` downloads one.
    """
    from cxrbuild.catalog.shipped import list_sources

    output = Output(quiet=quiet, as_json=as_json)
    found = list_sources(data)
    output.table(
        ["source", "images", "archive", "licence", "pin", "fetched"],
        [
            [
                source.name,
                source.images,
                f"{source.archive_bytes / 1e6:,.0f} MB" if source.archive_bytes else "not stated",
                source.license,
                source.pin,
                source.fetched or "no",
            ]
            for source in found
        ],
    )
    output.say("")
    for source in found:
        output.say(f"{source.name}: {source.title}. Used by {', '.join(source.recipes) or 'no recipe'}.")
    output.result("sources-1", {"sources": [source.to_dict() for source in found]})


@click.command()
@data_option
@output_options
def recipes(data: Path, quiet: bool, as_json: bool) -> None:
    """List the shipped recipes.

    The list has the classes and sources of each recipe, the images that its build has, and the sources that
    the data folder does not have yet. `cxrbuild curate --recipe NAME` builds one.
    """
    from cxrbuild.catalog.shipped import list_recipes

    output = Output(quiet=quiet, as_json=as_json)
    found = list_recipes(data)
    output.table(
        ["recipe", "version", "images", "baseline", "manifest"],
        [
            [
                recipe.name,
                recipe.version,
                "not stated" if recipe.images is None else f"{recipe.images:,}",
                "yes" if recipe.baseline else "no",
                recipe.manifest or "none",
            ]
            for recipe in found
        ],
    )
    for recipe in found:
        output.say(f"\n{recipe.name}: {recipe.title}. Classes: {', '.join(recipe.classes)}.")
        missing = f" To fetch: {', '.join(recipe.missing)}." if recipe.missing else " All are fetched."
        output.say(f"Sources: {', '.join(recipe.sources)}.{missing}")
    output.result("recipes-1", {"recipes": [recipe.to_dict() for recipe in found]})
