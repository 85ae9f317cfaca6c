"""The command `fetch`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cxrbuild.cli.options import DEFAULT_RECIPE, complete_shipped, data_option, output_options
from cxrbuild.cli.output import Output
from cxrbuild.errors import count_of
from cxrbuild.lockfile import lock_path

if TYPE_CHECKING:
    from cxrbuild.fetching.sources import FetchResult


@click.command()
@click.argument("names", nargs=-1, metavar="[SOURCE]...", shell_complete=complete_shipped("sources"))
@click.option(
    "--from",
    "origins",
    multiple=True,
    metavar="SOURCE=ORIGIN",
    help="Fetch a source from a folder, an archive, a URL, s3://BUCKET/PREFIX or a declared mirror "
    "(mooney=kaggle).",
)
@click.option(
    "--allow-unpinned", is_flag=True, help="Accept files that do not match their pin, and record it."
)
@click.option("--jobs", type=click.IntRange(1), default=4, show_default=True, help="Downloads at a time.")
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
    """Download the sources and verify their pins.

    SOURCE is the name of a shipped source or a .toml file; default: the sources of the paper's dataset. A
    source that is present and verified is not downloaded again. An interrupted download is resumed.
    """
    from cxrbuild.catalog import read_recipe, read_source
    from cxrbuild.fetching.sources import fetch as fetch_sources
    from cxrbuild.http import redact_address

    for name in names:
        if _may_be_address(name):
            raise click.BadParameter(
                f"{redact_address(name)!r} is not a source; give an address with --from SOURCE=ADDRESS",
                param_hint="SOURCE",
            )
    given = dict(_origin(origin) for origin in origins)
    named = names or (() if given else tuple(read_recipe(DEFAULT_RECIPE).sources))
    sources = [read_source(name) for name in named]
    # A user's own source is given by its file, and its origin by the name in the file.
    sources += [read_source(name) for name in given if name not in {source.name for source in sources}]
    known = {source.name for source in sources}
    if stray := sorted(set(given) - known):
        raise click.UsageError(f"--from names {', '.join(stray)}, which is not fetched")
    output = Output(quiet=quiet, as_json=as_json)
    fetched = fetch_sources(
        sources, data, origins=given, allow_unpinned=allow_unpinned, jobs=jobs, progress=output.progress
    )
    report_fetch(output, fetched)


def _origin(text: str) -> tuple[str, str]:
    from cxrbuild.http import redact_address

    name, equals, origin = text.partition("=")
    # An address without a source may have an = of its own.
    if not (name and equals and origin) or _may_be_address(name):
        raise click.BadParameter(f"{redact_address(text)!r} is not SOURCE=ORIGIN", param_hint="--from")
    return name, origin


def _may_be_address(name: str) -> bool:
    return "://" in name or ("@" in name and not name.endswith(".toml"))


def report_fetch(output: Output, result: FetchResult) -> None:
    """Report what was fetched and how it was verified."""
    rows = []
    for name, source in result.sources.items():
        lock = source.locked
        proof = f"unpinned (verified: {lock.proof})" if lock.unpinned else lock.proof
        what = "fetched" if source.downloaded else "present"
        rows.append([name, what, proof, lock.files, f"{lock.bytes / 1e6:,.1f} MB"])
    output.table(["source", "", "proof", "files", "size"], rows)
    for name, source in result.sources.items():
        lock = source.locked
        for note in source.notes:
            output.say(note)
        if lock.missing or lock.extra or lock.different:
            output.say(
                f"{name} differs from its pin: {count_of(len(lock.missing), 'file')} missing, "
                f"{len(lock.extra)} extra, {len(lock.different)} different; "
                f"{lock_path(result.data)} names each."
            )
    output.result(result.to_dict())
