"""The command `diff`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cxrbuild.cli.command import Command
from cxrbuild.cli.options import NAME_OR_PLACE, data_option, output_options
from cxrbuild.cli.output import Output

if TYPE_CHECKING:
    from cxrbuild.comparison import Diff

# How many rows of a kind are listed; --json lists all.
_MOST = 20


@click.command(cls=Command)
@click.argument("old", type=NAME_OR_PLACE)
@click.argument("new", type=NAME_OR_PLACE)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "markdown", "html"]),
    default="text",
    show_default=True,
    help="text, or all rows as Markdown or as an HTML page, for a changelog or a website.",
)
@data_option
@output_options
def diff(old: str, new: str, form: str, data: Path, quiet: bool, as_json: bool) -> None:
    """Show the changes between two versions of a dataset, or of a source.

    OLD and NEW are folders of releases or builds, manifest.parquet files, or published names such as
    covid19-cxr/1.0.0. For each row that left, entered, moved or changed its class it reports why, and what
    changed in the recipe and the pins. The last line shows which part of the version must increase, and
    whether it did.

    Or both are sources: shipped ones by name, or .toml files, such as those of `fetch --propose-pin`. Their
    listings and metadata are compared, without pixels; --data has the metadata of a source that is fetched.
    """
    output = Output(quiet=quiet, as_json=as_json)
    if form != "text" and (as_json or quiet):
        raise click.UsageError(f"--format {form} prints a page; omit --json and --quiet")
    # Libraries are imported within it: they may take as long as the comparison.
    with output.progress(f"comparing {old} with {new}", None, ""):
        from cxrbuild.api import diff as compare_versions
        from cxrbuild.api import diff_sources
        from cxrbuild.pins import is_source

        if is_source(str(old)) and is_source(str(new)):
            if form != "text":
                raise click.UsageError("--format compares datasets; two sources are compared as text or JSON")
            pins = diff_sources(str(old), str(new), data, progress=output.progress)
        else:
            pins, found = None, compare_versions(old, new, progress=output.progress)
    if pins is not None:
        from cxrbuild.cli.pins import report_pins

        report_pins(output, pins)
        output.result("diff-source-1", pins.to_dict())
        return
    if form != "text":
        click.echo(found.to_markdown() if form == "markdown" else found.to_html(), nl=False)
        return
    _report(output, found)
    output.result("diff-1", found.to_dict())


def _report(output: Output, found: Diff) -> None:
    from cxrbuild.cli.wrapping import short_hashes
    from cxrbuild.comparison.diff import KINDS
    from cxrbuild.comparison.text import (
        TOTALS_HEADER,
        conclusion,
        declared_by_part,
        describe_causes,
        describe_change,
        describe_omitted,
        describe_overlap,
        describe_row,
        describe_totals,
        listed_rows,
        sentences,
    )
    from cxrbuild.errors import printable

    counts = found.counts()
    if (
        counts
        or found.declared
        or found.other_totals
        or any(total.of == "exactness" for total in found.totals)
    ):
        output.table(TOTALS_HEADER, describe_totals(found), right=3)
        output.show("")
        for line in describe_overlap(found):
            output.show(line)
        output.show("")
    if counts:
        output.table(
            ["change", "source", "class", "rows"],
            [
                [KINDS[count.kind], printable(count.source), printable(count.label), count.rows]
                for count in counts
            ],
        )
        output.show("")
    for title, changes in declared_by_part(found).items():
        output.show(f"{printable(title)}:")
        for change in changes[:_MOST]:
            output.bullet(describe_change(change))
        if len(changes) > _MOST:
            output.show(f"  and {len(changes) - _MOST:,} more; --json and --format list all")
        output.show("")
    for kind, title in KINDS.items():
        rows = found.rows[kind]
        if rows.empty:
            continue
        causes = printable(describe_causes(found, kind))
        output.show(f"{title[0].upper()}{title[1:]}{f' ({causes})' if causes else ''}:")
        listed = listed_rows(found, kind)
        for row in listed.head(_MOST).to_dict("records"):
            output.bullet(short_hashes(describe_row(row)))
        if len(listed) > _MOST:
            output.show(f"  and {len(listed) - _MOST:,} more; --json and --format list all")
        for line in describe_omitted(found, kind):
            output.bullet(line)
        output.show("")
    for sentence in sentences(found):
        output.show(printable(sentence))
    output.show(conclusion(found))
