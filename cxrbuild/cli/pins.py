"""What `fetch --propose-pin` and `diff` of two sources report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cxrbuild.cli.output import Output
from cxrbuild.cli.wrapping import short_hashes
from cxrbuild.errors import count_of, printable

if TYPE_CHECKING:
    from cxrbuild.pins import PinDiff
    from cxrbuild.pins.rows import NamingRow

# How many rows of a change are listed; --json and changes.csv list all.
_MOST = 5
_LONGEST = 43


def propose_named_pin(
    output: Output,
    name: str,
    data: Path,
    *,
    out: Path | None,
    origin: str | None,
    commit: str | None,
    listing: Path | None,
    released: tuple[str, ...],
) -> None:
    """Propose the pin of another version of a source, and report what changed."""
    from cxrbuild.api import propose_pin
    from cxrbuild.artifact.names import METADATA
    from cxrbuild.catalog import read_source

    proposal = propose_pin(
        name, data, out, origin=origin, commit=commit, listing=listing, released=released,
        progress=output.progress,
    )  # fmt: skip
    report_pins(output, proposal.diff)
    output.show(f"\nProposed: git tree {proposal.tree}.")
    output.show(f"Declaration, listing and changes are in {proposal.folder}")
    copies = proposal.folder / METADATA
    if not read_source(str(proposal.declaration)).public and any(copies.glob("*")):
        output.show(
            f"{copies} has copies of the metadata, with patient numbers as the source has them: keep it "
            "apart from the dataset, and delete it when the new version is pinned."
        )
    if proposal.problems:
        output.show("\nThe declaration does not fit this version yet:")
    for problem in proposal.problems:
        output.show(problem)
    _report_rows(output, proposal.naming_rows)
    output.result("fetch-proposed-pin-1", proposal.to_dict())


def _report_rows(output: Output, rows: Sequence[NamingRow]) -> None:
    """Report the rows that a person corrects before the new version is planned."""
    if not rows:
        return
    output.show("\nRows that name images which this version does not have:")
    for file in dict.fromkeys(row.file for row in rows):
        of_file = [row for row in rows if row.file == file]
        for row in of_file[:_MOST]:
            output.bullet(f"{file}, line {row.line}: {row.path}{f' -> {row.new}' if row.new else ''}")
        if len(of_file) > _MOST:
            output.show(f"  and {len(of_file) - _MOST:,} more of {file}; --json lists all")
    if any(row.content != "withdrawals" for row in rows):
        output.show(
            "`plan` of the new version refuses reviews, links and corrections of such images: correct or "
            "remove these rows, in a copy where the file is shipped, and name the copy in the recipe."
        )
    if any(row.content == "withdrawals" for row in rows):
        output.show(
            "The rows of withdrawn images stay: the new listing has their names. A withdrawn image that is "
            "under another path needs a second row, with that path: it would be in the dataset again."
        )


def report_pins(output: Output, diff: PinDiff) -> None:
    """Report what changed between two versions of a source."""
    from cxrbuild.pins.changes import CHANGES

    rows: list[list[object]] = []
    released = diff.rows[diff.rows["released"] != ""]["change"].value_counts()
    for change, count in diff.counts().items():
        rows.append([CHANGES[change], count, int(released.get(change, 0))])
    output.show(
        f"{diff.old}: {count_of(diff.images[0], 'image')}. {diff.new}: {count_of(diff.images[1], 'image')}."
    )
    if not rows:
        output.show("Nothing that is compared changed." if diff.absent else "Nothing changed.")
        for origin in diff.absent:
            output.show(f"Not compared, as it is not there: {printable(origin)}.")
        return
    output.show("")
    output.table(["change", "images", "released"], rows)
    if diff.patients:
        output.show(f"{count_of(diff.patients, 'patient')} renamed: all their images have one new name.")
    for change in diff.counts():
        of_change = diff.rows[diff.rows["change"] == change]
        # What is released comes first.
        shown = of_change.sort_values("released", ascending=False, kind="stable").head(_MOST)
        output.show(f"\n{CHANGES[change][0].upper()}{CHANGES[change][1:]}:")
        for row in shown.to_dict("records"):
            values = " -> ".join(_short(row[key]) for key in ("old", "new") if row[key])
            where = f", in {row['released']}" if row["released"] else ""
            output.bullet(f"{row['path']}{': ' if values else ''}{values}{where}")
        if len(of_change) > _MOST:
            output.show(f"  and {len(of_change) - _MOST:,} more; --json lists all")
    for origin in diff.absent:
        output.show(f"Not compared, as it is not there: {printable(origin)}.")
    if len(diff.left_released):
        output.show(f"\n{count_of(len(diff.left_released), 'image')} of released versions left upstream.")


def _short(text: str) -> str:
    """Return a value without its middle: addresses often differ at the end. A hash has its first digits."""
    text = short_hashes(text)
    return text if len(text) <= _LONGEST else f"{text[:20]}...{text[-20:]}"
