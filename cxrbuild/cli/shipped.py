"""The commands `sources` and `recipes`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cxrbuild.cli.command import Command
from cxrbuild.cli.options import PATH, PLACE, complete_shipped, data_option, output_options
from cxrbuild.cli.output import Output
from cxrbuild.errors import count_of, printable
from cxrbuild.exactness import MEANINGS

if TYPE_CHECKING:
    from cxrbuild.artifact.build import SourceState
    from cxrbuild.dataset_sources import DatasetSources
    from cxrbuild.shipped import ShippedSource


@click.command(cls=Command)
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=complete_shipped("sources"))
@click.option(
    "--of",
    "artifact",
    type=PLACE,
    metavar="DIR|s3://...",
    help="Show the pins that a build or release was made with, and how its files were verified.",
)
@click.option(
    "--exactness",
    multiple=True,
    type=click.Choice(list(MEANINGS)),
    help="With --of: list the images of this state; repeatable.",
)
@click.option(
    "--copy", "folder", type=PATH, metavar="DIR", help="Copy the source NAME and its listing, to change it."
)
@data_option
@output_options
def sources(
    names: tuple[str, ...],
    artifact: Path | str | None,
    exactness: tuple[str, ...],
    folder: Path | None,
    data: Path,
    quiet: bool,
    as_json: bool,
) -> None:
    r"""List the shipped sources, or show the pin of some.

    The list has the pin, licence and size of each source, the recipes that use it, and whether the data
    folder has it. `cxrbuild fetch NAME` downloads one. With NAME, a shipped source or the .toml file of
    another, it shows the whole pin: address, commit, hashes, and the listing of its files.

    With --of it shows the pins of all sources of a build or release, or of those that NAME names. With
    --exactness too it lists the images of the given states instead:

    \b
      verified     the bytes are those of the pin
      other_bytes  the bytes differ from the pin
      name_only    the pin has the name, and no hash of single files
      missing      the file is missing
      not_pinned   no pin lists the file

    Each line has the id, source and path of one image; with several states it begins with the state. Lines
    are not wrapped.

    With --copy it writes the declaration of NAME, and the listing of its pin, into a folder. No file is
    overwritten.
    """
    from cxrbuild.api import list_sources, list_sources_of

    output = Output(quiet=quiet, as_json=as_json)
    if exactness and artifact is None:
        raise click.UsageError("--exactness needs --of")
    if folder is not None:
        if artifact is not None:
            raise click.UsageError("--copy and --of exclude each other")
        _copy_source(output, _one(names), folder)
        return
    if artifact is not None:
        of_dataset = list_sources_of(artifact, names, exactness=exactness, progress=output.progress)
        if exactness:
            _report_images(output, of_dataset, several=len(set(exactness)) > 1)
        else:
            _report_sources_of(output, of_dataset)
        output.result("sources-of-1", of_dataset.to_dict())
        return
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
                # A host that compresses the archive for each request declares no size.
                _size(source) or ("varies" if source.url else "none"),
                _license(source),
                source.pin.removeprefix("git ").removesuffix(" and names"),
                source.fetched or "no",
            ]
            for source in found
        ],
    )
    output.show("")
    for source in found:
        output.show(f"{source.name}: {source.title}. Used by {', '.join(source.recipes) or 'no recipe'}.")
    output.show("`cxrbuild sources NAME` shows the address, the commit and the hashes of a pin.")


def _report_pin(output: Output, source: ShippedSource) -> None:
    """Report where a source comes from and what it is verified by, whole: to be copied, lines stay whole."""
    from cxrbuild.catalog.source import shown_listing

    output.show(f"{source.name}: {source.title}")
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
        "listing": None
        if listing is None
        else f"{shown_listing(listing.file)}, {count_of(listing.files, 'file')}",
        "listing SHA-256": None if listing is None else listing.sha256,
        "images": f"{source.images:,}",
        "licence": _license(source),
        "recipes": ", ".join(source.recipes) or "none",
        "fetched": source.fetched or "no",
    }
    _report_lines(output, lines)


def _report_sources_of(output: Output, found: DatasetSources) -> None:
    """Report the pins that a build or release was made with, whole."""
    from cxrbuild.catalog.source import shown_listing

    output.show(f"{found.name} {found.version} was made with these pins: {printable(found.place)}")
    for source in found.sources:
        state, pin = source.files, source.pin
        output.show(f"\n{source.name}: {source.title}")
        lines = {
            "commit": pin.commit,
            "date": pin.date,
            "git tree": pin.tree,
            "archive SHA-256": pin.sha256,
            "listing": None if pin.listing is None else shown_listing(pin.listing),
            "pin": None if pin.tree or pin.sha256 else "none",
            "verified by": None if state is None else _describe_proof(state),
            "files": None if state is None else _describe_files(state),
            "git tree of the files": None if state is None or state.tree == pin.tree else state.tree,
        }
        _report_lines(output, lines)


def _report_images(output: Output, found: DatasetSources, *, several: bool) -> None:
    """Report a line for each image: its state, if asked for several, then id, source and path."""
    for image in found.images:
        state = [image.exactness] if several else []
        output.line(" ".join([*state, image.image_id, image.source, image.source_path]))


def _report_lines(output: Output, lines: Mapping[str, object]) -> None:
    for key, value in lines.items():
        if value is not None:
            output.show(f"  {key}: {printable(value)}")


def _describe_proof(state: SourceState) -> str:
    return f"{state.proof} (unpinned)" if state.unpinned else state.proof


def _describe_files(state: SourceState) -> str:
    differences = {"missing": state.missing, "extra": state.extra, "different": state.different}
    found = [f"{len(paths):,} {kind}" for kind, paths in differences.items() if paths]
    return f"{state.files:,}" + (f"; {', '.join(found)}" if found else "")


def _size(source: ShippedSource) -> str | None:
    return f"{source.archive_bytes / 1e6:,.0f} MB" if source.archive_bytes else None


def _license(source: ShippedSource) -> str:
    from cxrbuild.catalog.license import UNKNOWN

    if not source.license_per_image:
        return source.license
    return "one per image" + ("" if source.license == UNKNOWN else f", else {source.license}")


def _one(names: Sequence[str]) -> str:
    if len(names) != 1:
        raise click.UsageError("--copy needs one NAME")
    return names[0]


def _copy_source(output: Output, name: str, folder: Path) -> None:
    from cxrbuild.api import copy_source

    copied = copy_source(name, folder)
    files = copied.files
    output.show(f"Copied {name}: {', '.join(path.name for path in files)}, in {folder}")
    output.show(
        f"Change it, and name it in a recipe by its path, relative to the recipe: sources = "
        f'["{files[0].name}"].\nIf its files are others than those of the pin, write them into it: '
        f"`cxrbuild fetch --propose-pin {files[0]} --from {name}=FOLDER`"
    )
    output.result("copy-1", copied.to_dict())


def _copy_recipe(output: Output, name: str, folder: Path) -> None:
    from cxrbuild.api import copy_recipe

    copied = copy_recipe(name, folder)
    files = copied.files
    output.show(f"Copied {name}: {', '.join(path.name for path in files)}, in {folder}")
    output.show(
        "Its sources are the shipped ones; `cxrbuild sources NAME --copy DIR` copies one. A changed recipe "
        "is another dataset: give it its own name, version, title, description, date, citation and creator, "
        "and remove `manifest` and the counts of [expect], which are the original's; if its classes change, "
        "[baseline] too. The texts of [datasheet] and the reasons of rules must be true of it."
    )
    output.show(f"Next: cxrbuild plan --recipe {files[0]}")
    output.result("copy-1", copied.to_dict())


@click.command(cls=Command)
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=complete_shipped("recipes"))
@click.option(
    "--copy",
    "folder",
    type=PATH,
    metavar="DIR",
    help="Copy the recipe NAME with the files that it names, to change it.",
)
@data_option
@output_options
def recipes(names: tuple[str, ...], folder: Path | None, data: Path, quiet: bool, as_json: bool) -> None:
    """List the shipped recipes, or some.

    The list has the classes and sources of each recipe, the images that its build has, and the sources that
    the data folder does not have yet. `cxrbuild curate --recipe NAME` builds one.

    With --copy it writes the recipe NAME as DIR/recipe.toml, with the files that it names next to it. No file
    is overwritten.
    """
    from cxrbuild.api import list_recipes

    output = Output(quiet=quiet, as_json=as_json)
    if folder is not None:
        _copy_recipe(output, _one(names), folder)
        return
    found = list_recipes(data, names)
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
        output.show(f"\n{recipe.name}: {recipe.title}. Classes: {', '.join(recipe.classes)}.")
        missing = f" To fetch: {', '.join(recipe.missing)}." if recipe.missing else " All are fetched."
        output.show(f"Sources: {', '.join(recipe.sources)}.{missing}")
    output.result("recipes-1", {"recipes": [recipe.to_dict() for recipe in found]})
