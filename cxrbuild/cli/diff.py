"""The command `diff`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cxrbuild.cli.options import NAME_OR_PLACE, data_option, output_options
from cxrbuild.cli.output import Output

if TYPE_CHECKING:
    from cxrbuild.comparison import Diff

# How many rows of a kind are listed; --json lists all.
_MOST = 20


@click.command()
@click.argument("old", type=NAME_OR_PLACE)
@click.argument("new", type=NAME_OR_PLACE)
@data_option
@output_options
def diff(old: str, new: str, data: Path, quiet: bool, as_json: bool) -> None:
    """Show the changes between two versions of a dataset, or of a source.

    OLD and NEW are folders of releases or builds, manifest.parquet files, or published names such as
    covid19-cxr/1.0.0. The last line names the part of the version that must increase.

    Or both are sources: shipped ones by name, or .toml files, such as those of `fetch --propose-pin`. Their
    listings and metadata are compared, without pixels; --data has the metadata of a source that is fetched.
    """
    from cxrbuild.api import diff as compare_versions
    from cxrbuild.api import diff_sources
    from cxrbuild.cli.pins import report_pins
    from cxrbuild.pins import is_source

    output = Output(quiet=quiet, as_json=as_json)
    if is_source(str(old)) and is_source(str(new)):
        pins = diff_sources(str(old), str(new), data)
        report_pins(output, pins)
        output.result("diff-source-1", pins.to_dict())
        return
    found = compare_versions(old, new)
    _report(output, found)
    output.result("diff-1", found.to_dict())


def _report(output: Output, found: Diff) -> None:
    from cxrbuild.comparison import KINDS
    from cxrbuild.errors import printable

    counts = found.counts()
    if counts:
        output.table(
            ["change", "source", "class", "rows"],
            [
                [KINDS[count.kind], printable(count.source), printable(count.label), count.rows]
                for count in counts
            ],
        )
    for kind, title in KINDS.items():
        rows = found.rows[kind]
        if rows.empty:
            continue
        output.say(f"\n{title[0].upper()}{title[1:]}:")
        for row in rows.head(_MOST).to_dict("records"):
            change = row["change"] or f"{row['split']} {row['label']}"
            output.say(f"  {printable(row['image_id'])} ({printable(change)})")
        if len(rows) > _MOST:
            output.say(f"  and {len(rows) - _MOST:,} more; --json lists all")
    for title, columns in (("Added", found.columns_added), ("Removed", found.columns_removed)):
        if columns:
            output.say(f"{title} columns: {', '.join(map(printable, columns))}.")
    if found.classes_changed:
        output.say("Classes have other numbers.")
    if found.bump is None and not counts:
        output.say("Nothing changed.")
    elif found.bump is None:
        output.say("\nThe dataset is the same. One side was built from other or fewer files.")
    else:
        output.say(f"\nThe version needs a {found.bump.upper()} step.")
