"""The command `diff`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cxrbuild.cli.options import output_options
from cxrbuild.cli.output import Output

if TYPE_CHECKING:
    from cxrbuild.comparison import Diff

# More rows of a kind than this are counted; --json has all.
_MOST = 20


@click.command()
@click.argument("old")
@click.argument("new")
@output_options
def diff(old: str, new: str, quiet: bool, as_json: bool) -> None:
    """Show what changed between two versions of a dataset, and the step of its version that this needs.

    OLD and NEW are folders of releases or builds, manifest.parquet files, or published names such as
    covid19-cxr/1.0.0.
    """
    from cxrbuild.comparison import compare, read_version

    output = Output(quiet=quiet, as_json=as_json)
    found = compare(read_version(old), read_version(new))
    _report(output, found)
    output.result(found.document())


def _report(output: Output, found: Diff) -> None:
    """Tell what changed."""
    from cxrbuild.comparison import KINDS

    counts = found.counts()
    if counts:
        output.table(
            ["change", "source", "class", "rows"],
            [[KINDS[row["kind"]], row["source"], row["label"], row["rows"]] for row in counts],
        )
    for kind, title in KINDS.items():
        rows = found.rows[kind]
        if rows.empty:
            continue
        output.say(f"\n{title[0].upper()}{title[1:]}:")
        for row in rows.head(_MOST).to_dict("records"):
            output.say(f"  {row['image_id']} ({row['change'] or row['split'] + ' ' + row['label']})")
        if len(rows) > _MOST:
            output.say(f"  and {len(rows) - _MOST:,} more; --json names all")
    for title, columns in (("came", found.columns_added), ("left", found.columns_removed)):
        if columns:
            output.say(f"Columns that {title}: {', '.join(columns)}.")
    if found.classes_changed:
        output.say("Classes have other numbers now.")
    if found.bump is None and not counts:
        output.say("Nothing changed.")
    elif found.bump is None:
        output.say("\nThe dataset is the same: the two differ in what could be had of it.")
    else:
        output.say(f"\nThis needs a {found.bump.upper()} step of the version.")
