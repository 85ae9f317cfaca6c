"""The commands `sources` and `recipes`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cxrbuild.cli.options import complete_shipped, data_option, output_options
from cxrbuild.cli.output import Output
from cxrbuild.errors import count_of, printable

if TYPE_CHECKING:
    from cxrbuild.catalog.shipped import ShippedSource


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=complete_shipped("sources"))
@data_option
@output_options
def sources(names: tuple[str, ...], data: Path, quiet: bool, as_json: bool) -> None:
    """List the shipped sources, or show the pin of some.

    The list has the pin, licence and size of each source, the recipes that use it, and whether the data
    folder has it. `cxrbuild fetch NAME` downloads one. With NAME, a shipped source or the .toml file of
    another, it shows the whole pin: address, commit, hashes, and the listing of its files.
    """
    from cxrbuild.api import list_sources

    output = Output(quiet=quiet, as_json=as_json)
    found = list_sources(data, names)
    if names:
        for source in found:
            _report_pin(output, source)
    else:
        _report_sources(output, found)
    output.result("sources-1", {"sources": [source.to_dict() for source in found]})


def _report_sources(output: Output, found: list[ShippedSource]) -> None:
    output.table(
        ["source", "images", "archive", "licence", "pin", "fetched"],
        [
            [
                source.name,
                source.images,
                _size(source),
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
    output.say("`cxrbuild sources NAME` shows the address, the commit and the hashes of a pin.")


def _report_pin(output: Output, source: ShippedSource) -> None:
    """Report where a source comes from and what it is verified by, whole: to be copied, lines stay whole."""
    output.say(f"{source.name}: {source.title}")
    listing = source.listing
    lines = {
        "homepage": source.homepage,
        "address": source.url or "none: bring it with `cxrbuild fetch --from`",
        **{f"mirror {name}": address for name, address in source.mirrors.items()},
        "commit": source.commit,
        "date": source.date,
        "git tree": source.tree,
        "archive SHA-256": source.sha256,
        "archive size": _size(source),
        "listing": None if listing is None else f"{listing.file}, {count_of(listing.files, 'file')}",
        "listing SHA-256": None if listing is None else listing.sha256,
        "images": f"{source.images:,}",
        "licence": source.license,
        "recipes": ", ".join(source.recipes) or "none",
        "fetched": source.fetched or "no",
    }
    for key, value in lines.items():
        if value is not None:
            output.say(f"  {key}: {printable(value)}")


def _size(source: ShippedSource) -> str:
    return f"{source.archive_bytes / 1e6:,.0f} MB" if source.archive_bytes else "not stated"


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
