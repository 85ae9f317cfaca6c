"""The command `fetch`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cxrbuild.cli.command import Command
from cxrbuild.cli.exactness import report_exactness
from cxrbuild.cli.options import PATH, complete_shipped, data_option, default_recipe, output_options
from cxrbuild.cli.output import Output
from cxrbuild.errors import CxrbuildError, count_of

if TYPE_CHECKING:
    from cxrbuild.fetching.sources import FetchResult


@click.command(cls=Command)
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=complete_shipped("sources", "lists"))
@click.option(
    "--recipe",
    metavar="NAME|FILE",
    shell_complete=complete_shipped("recipes"),
    help="Fetch the sources of a recipe, and its published list.",
)
@click.option(
    "--from",
    "origins",
    multiple=True,
    metavar="NAME=ORIGIN",
    help="Fetch a source from a folder, an archive, a URL, s3://BUCKET/PREFIX or a declared mirror "
    "(mooney=kaggle); a list from a folder or the URL of one.",
)
@click.option(
    "--allow-unpinned", is_flag=True, help="Accept files that do not match their pin, and record it."
)
@click.option(
    "--pin",
    is_flag=True,
    help="Pin your own source to the files that were fetched: write their hashes into its declaration.",
)
@click.option(
    "--propose-pin",
    metavar="SOURCE",
    shell_complete=complete_shipped("sources"),
    help="Write the pin of another version of a source, and what changed; fetch nothing into --data.",
)
@click.option("--commit", metavar="SHA", help="With --propose-pin: the commit of the new version.")
@click.option(
    "--listing",
    type=PATH,
    help="With --propose-pin: its files, as `git ls-tree -r` lists them; --from then needs its metadata.",
)
@click.option(
    "--released",
    multiple=True,
    metavar="DIR|FILE",
    help="With --propose-pin: a release or manifest whose images are marked; repeatable.",
)
@click.option("--out", type=PATH, help="With --propose-pin: the parent folder of the new pin.")
@click.option("--jobs", type=click.IntRange(1), default=4, show_default=True, help="Downloads at a time.")
@data_option
@output_options
def fetch(
    names: tuple[str, ...],
    recipe: str | None,
    origins: tuple[str, ...],
    allow_unpinned: bool,
    pin: bool,
    propose_pin: str | None,
    commit: str | None,
    listing: Path | None,
    released: tuple[str, ...],
    out: Path | None,
    jobs: int,
    data: Path,
    quiet: bool,
    as_json: bool,
) -> None:
    """Download the sources and verify their pins.

    NAME is a shipped source or published list, or a .toml file of one; default: the sources of the only
    recipe in this folder, else those of the paper's dataset. With --from and neither NAME nor --recipe, only
    the sources that --from names are fetched.

    What is present and verified is not downloaded again. An interrupted download is resumed. With `--pin`, a
    source of your own is verified against the present files from then on, here and elsewhere.

    With --propose-pin it compares another version of a source with the pin, without pixels, and writes a
    declaration with the new pin, its listing, and a table of what changed.
    """
    from cxrbuild.fetching.named import fetch_and_pin, fetch_named, read_named
    from cxrbuild.http import redact_address

    for name in names:
        if _may_be_address(name):
            raise click.BadParameter(
                f"{redact_address(name)!r} is not a source; give an address with --from NAME=ORIGIN",
                param_hint="NAME",
            )
    given = dict(_origin(origin) for origin in origins)
    output = Output(quiet=quiet, as_json=as_json)
    if propose_pin is not None:
        from cxrbuild.cli.pins import propose_named_pin

        if names or recipe or len(given) > 1:
            raise click.UsageError("--propose-pin takes one source, and --from of this source alone")
        propose_named_pin(
            output, propose_pin, data, out=out, origin=next(iter(given.values()), None), commit=commit,
            listing=listing, released=released,
        )  # fmt: skip
        return
    if stray_options := [
        option
        for option, value in (
            ("--commit", commit), ("--listing", listing), ("--released", released), ("--out", out),
        )
        if value
    ]:  # fmt: skip
        raise click.UsageError(f"{', '.join(stray_options)} needs --propose-pin")
    if recipe is None and not names and not given:
        recipe = default_recipe(output)
    # A user's own source is given by its file, and its origin by the name in the file.
    named = read_named(names, recipe, given)
    known = {one.name for one in named}
    if stray := sorted(set(given) - known):
        raise click.UsageError(f"--from names {', '.join(stray)}, which is not fetched")
    addresses = {one.name: one.address for one in named}
    try:
        if pin:
            fetched, written = fetch_and_pin(
                named, data, origins=given, allow_unpinned=allow_unpinned, jobs=jobs, progress=output.progress
            )
            for path in written:
                output.show(f"Written: {path}")
        else:
            fetched = fetch_named(
                named, data, origins=given, allow_unpinned=allow_unpinned, jobs=jobs,
                progress=output.progress, skip_unknown=recipe is not None,
            )  # fmt: skip
    except CxrbuildError as error:
        _report_partial(output, error.partial, addresses)
        raise
    report_fetch(output, fetched, addresses)
    output.result("fetch-1", fetched.to_dict())


def _report_partial(output: Output, partial: object, addresses: Mapping[str, str]) -> None:
    """Report what was fetched although others failed; nothing where nothing was."""
    from cxrbuild.fetching.sources import FetchResult

    if isinstance(partial, FetchResult) and (partial.sources or partial.lists):
        report_fetch(output, partial, addresses)
        output.show("")


def _origin(text: str) -> tuple[str, str]:
    from cxrbuild.http import redact_address

    name, equals, origin = text.partition("=")
    # An address without a source may have an = of its own.
    if not (name and equals and origin) or _may_be_address(name):
        raise click.BadParameter(f"{redact_address(text)!r} is not NAME=ORIGIN", param_hint="--from")
    return name, origin


def _may_be_address(name: str) -> bool:
    return "://" in name or ("@" in name and not name.endswith(".toml"))


def report_fetch(output: Output, result: FetchResult, addresses: Mapping[str, str] | None = None) -> None:
    """Report what was fetched and how it was verified.

    Parameters
    ----------
    output
        Where to report it.
    result
        What was fetched.
    addresses
        The sources as arguments of a command, by name; default: their names.
    """
    from cxrbuild.fetching.set_aside import advise_on_kept
    from cxrbuild.lockfile import fetch_command, lock_path

    rows = []
    for name, source in result.sources.items():
        lock = source.locked
        # The names alone show little, and nothing where other names are there.
        unpinned = "unpinned, by name" if lock.proof == "names" else "unpinned"
        proof = unpinned if lock.unpinned else lock.proof
        what = "fetched" if source.downloaded else "present"
        rows.append([name, what, proof, lock.files, f"{lock.bytes / 1e6:,.1f} MB"])
    for name, one in result.lists.items():
        what = "fetched" if one.downloaded else "present"
        rows.append([f"{name} (list)", what, "SHA-256", one.files, f"{one.bytes / 1e6:,.1f} MB"])
    output.table(["source", "", "proof", "files", "size"], rows)
    if exactness := {n: one.exactness for n, one in result.sources.items() if one.locked.pin.declared()}:
        output.show("")
        report_exactness(output, exactness)
        if any(source.locked.unpinned for source in result.sources.values()):
            output.show("These are all images of the sources; `cxrbuild plan` counts those of a dataset.")
    for name in result.to_bring:
        address = (addresses or {}).get(name, name)
        output.show(f"{name} has no address. Bring it: {fetch_command([address], result.data, bring=[name])}")
    for name, source in result.sources.items():
        lock = source.locked
        for note in source.notes:
            output.show(note)
        if lock.missing or lock.extra or lock.different:
            output.show(
                f"{name}, other files included: {count_of(len(lock.missing), 'file')} missing, "
                f"{len(lock.extra)} extra, {len(lock.different)} different. {lock_path(result.data)} names "
                "each."
            )
    # Once, whatever the number of sources.
    if advice := advise_on_kept(result.data, result.sources):
        output.show(advice)
