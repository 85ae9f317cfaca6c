"""The command `fetch`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cxrbuild.cli.options import DEFAULT_RECIPE, data_option, output_options
from cxrbuild.cli.output import Output

if TYPE_CHECKING:
    from cxrbuild.fetching.tree import Fetched


@click.command()
@click.argument("names", nargs=-1, metavar="[SOURCE]...")
@click.option(
    "--from",
    "origins",
    multiple=True,
    metavar="SOURCE=ORIGIN",
    help="Take a source from a folder, an archive, a URL, or a mirror that it declares (mooney=kaggle).",
)
@click.option("--allow-unpinned", is_flag=True, help="Take what does not match its pin, and record it.")
@click.option("--jobs", type=click.IntRange(1), default=4, show_default=True, help="Downloads side by side.")
@data_option
@output_options
def fetch(
    names: tuple[str, ...],
    origins: tuple[str, ...],
    allow_unpinned: bool,
    jobs: int,
    data: Path,
    quiet: bool,
    as_json: bool,
) -> None:
    """Download sources, prove that they are the pinned version, and put them in place.

    SOURCE is the name of a shipped source or a .toml file; default are the sources of the paper's dataset.
    What is there and proven already is not downloaded again; what broke off goes on where it stopped.
    """
    from cxrbuild.catalog import read_recipe, read_source
    from cxrbuild.fetching.sources import fetch as fetch_sources
    from cxrbuild.http import redact_address

    for name in names:
        if _may_be_address(name):
            raise click.BadParameter(
                f"{redact_address(name)!r} is no source; an address goes into --from SOURCE=ADDRESS",
                param_hint="SOURCE",
            )
    given = dict(_origin(origin) for origin in origins)
    named = names or (() if given else tuple(read_recipe(DEFAULT_RECIPE).sources))
    sources = [read_source(name) for name in named]
    # A source of one's own is named by its file, and its origin by the name within.
    sources += [read_source(name) for name in given if name not in {source.name for source in sources}]
    known = {source.name for source in sources}
    if stray := sorted(set(given) - known):
        raise click.UsageError(f"--from names {', '.join(stray)}, which is not fetched here")
    output = Output(quiet=quiet, as_json=as_json)
    fetched = fetch_sources(
        sources, data, origins=given, allow_unpinned=allow_unpinned, jobs=jobs, progress=output.progress
    )
    report_fetch(output, data, fetched)


def _origin(word: str) -> tuple[str, str]:
    from cxrbuild.http import redact_address

    name, equals, origin = word.partition("=")
    # An address without a source may have an = of its own.
    if not (name and equals and origin) or _may_be_address(name):
        raise click.BadParameter(f"{redact_address(word)!r} is not SOURCE=ORIGIN", param_hint="--from")
    return name, origin


def _may_be_address(name: str) -> bool:
    return "://" in name or ("@" in name and not name.endswith(".toml"))


def report_fetch(output: Output, data: Path, sources: Mapping[str, Fetched]) -> None:
    """Tell what was fetched and what was proven of it."""
    rows = []
    for name, source in sources.items():
        lock = source.locked
        proof = f"unpinned (verified: {lock.proof})" if lock.unpinned else lock.proof
        what = "fetched" if source.downloaded else "already there"
        rows.append([name, what, proof, lock.files, f"{lock.bytes / 1e6:,.1f} MB"])
    output.table(["source", "", "proof", "files", "size"], rows)
    for name, source in sources.items():
        lock = source.locked
        for note in source.notes:
            output.say(note)
        if lock.missing or lock.extra or lock.different:
            output.say(
                f"{name} is not its pin: {len(lock.missing)} files missing, {len(lock.extra)} extra, "
                f"{len(lock.different)} different; {data / 'sources.lock.json'} names each."
            )
    told = {
        name: asdict(source.locked) | {"downloaded": source.downloaded, "notes": source.notes}
        for name, source in sources.items()
    }
    output.result({"data": str(data), "sources": told})
