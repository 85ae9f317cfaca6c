"""The command `overlap`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cxrbuild.cli.command import Command
from cxrbuild.cli.options import PATH, PLACE, output_options
from cxrbuild.cli.output import Output
from cxrbuild.errors import count_of, printable, verb_of

if TYPE_CHECKING:
    from cxrbuild.overlapping import OverlapResult

# How many pairs are listed; --json and pairs.csv list all.
_MOST = 10


@click.command(cls=Command)
@click.argument("a", type=PLACE)
@click.argument("b", type=PLACE)
@click.option("--out", type=PATH, help="Folder for pairs.csv and the leak-free lists.  [default: none]")
@click.option(
    "--against",
    multiple=True,
    type=click.Choice(["train", "validation", "test"]),
    help="Leak-free lists: count only images in this split of the other dataset; repeatable.  [default: all]",
)
@click.option(
    "--workers", type=click.IntRange(1), help="Number of processes.  [default: one for each processor]"
)
@output_options
def overlap(
    a: Path | str,
    b: Path | str,
    out: Path | None,
    against: tuple[str, ...],
    workers: int | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Find images shared by two datasets, even if renamed or modified.

    A and B are builds, releases, or files that `cxrbuild fingerprint` wrote. A leak-free list has the images
    of one dataset without patients who also appear in the other dataset. To compare lists of names without
    images, run `cxrbuild audit --list train=A.csv --list test=B.csv`; to compare a list with a dataset, run
    `cxrbuild audit --list FILE --with DATASET`.
    """
    from cxrbuild.api import overlap as find_overlap
    from cxrbuild.overlapping import LEAK_FREE, PAIRS

    output = Output(quiet=quiet, as_json=as_json)
    # The tables are written before anything is printed: the reader of a pipe may go before the end.
    result = find_overlap(a, b, out, against=against, workers=workers, progress=output.progress)
    _report(output, result, against)
    document = result.to_dict(against)
    if out is not None:
        files = [out / name for name in (PAIRS, *(LEAK_FREE.format(side=side) for side in ("a", "b")))]
        output.show(f"\nWritten to {out}: {', '.join(path.name for path in files)}")
        document |= {"files": [str(path) for path in files]}
    output.result("overlap-1", document)


def _report(output: Output, result: OverlapResult, against: tuple[str, ...]) -> None:
    """Report the counts by split, and the first pairs."""
    shared = result.count_shared()
    splits = sorted({split for counts in shared.values() for split in counts})
    if shared:
        output.table(
            ["images of A", *(f"in B's {split}" for split in splits)],
            [[split, *(counts.get(split, 0) for split in splits)] for split, counts in shared.items()],
        )
        output.show("")
    for pair in result.pairs[:_MOST]:
        changes = f", {' and '.join(pair.changes)}" if pair.changes else ""
        output.show(
            f"  {printable(pair.a)} ({pair.split_a}) is {printable(pair.b)} ({pair.split_b}): "
            f"{pair.kind}{changes}, {pair.similarity:g}"
        )
    if len(result.pairs) > _MOST:
        output.show(f"  and {len(result.pairs) - _MOST:,} more; --json and --out list all")
    for side, document in (("a", result.a), ("b", result.b)):
        free = len(result.leak_free(side, against))
        missing = document.images - document.described
        hidden = f"; {missing:,} without pixels, compared by hash alone" if missing else ""
        output.show(
            f"{side.upper()}, {document.dataset.name} {document.dataset.version}: "
            f"{count_of(document.images, 'image')}, {free:,} leak-free{hidden}."
        )
    if result.search.skipped_pairs:
        output.show(
            f"{count_of(result.search.limited_images, 'image')} "
            f"{verb_of(result.search.limited_images, 'resembles')} more than {result.search.most_per_image} "
            f"others: {count_of(result.search.skipped_pairs, 'pair')} "
            f"{verb_of(result.search.skipped_pairs, 'was')} not compared."
        )
    if result.level == "keypoints":
        output.show("Compared by keypoints: strongly cropped copies may be missed.")
