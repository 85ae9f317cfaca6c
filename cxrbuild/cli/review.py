"""The command `review`."""

from __future__ import annotations

from dataclasses import astuple
from pathlib import Path

import click

from cxrbuild.cli.command import Command
from cxrbuild.cli.options import (
    PATH,
    RECIPE_HERE,
    data_option,
    default_recipe,
    output_options,
    recipe_option,
    reviews_option,
)
from cxrbuild.cli.output import Output
from cxrbuild.cli.review_files import report_agreement, write_merged
from cxrbuild.errors import count_of, printable

PAGE, CONFLICTS, MERGED = "review.html", "conflicts.html", "merged.csv"
# The number of unreadable images that are listed; the JSON document lists all.
_MAX_PROBLEMS = 10


@click.command(cls=Command, short_help="Write a page to mark images on; compare and merge reviews.")
@click.option("--build", type=PATH, help="Review the images of this build.")
@recipe_option(
    f"Without --build: review the images of this recipe, as they are planned.  [default: {RECIPE_HERE}]"
)
@reviews_option
@click.option("--source", "sources", multiple=True, help="Only images of this source. Repeatable.")
@click.option("--label", "labels", multiple=True, help="Only images of this class. Repeatable.")
@click.option(
    "--unreviewed",
    is_flag=True,
    help="Only images that nobody has judged: without a review, or marked `unseen`.",
)
@click.option(
    "--propose/--no-propose", default=True, show_default=True, help="Show marks that a detector proposes."
)
@click.option(
    "--embed-images/--no-embed-images",
    "embed",
    default=None,
    help="Embed large images in the page, or link the image files.  [default: embed up to 1,000]",
)
@click.option(
    "--out",
    type=PATH,
    help=f"File to write.  [default: {PAGE}; with --conflicts {CONFLICTS}; with --merge {MERGED}]",
)
@click.option(
    "--workers", type=click.IntRange(1), help="Number of processes.  [default: one for each processor]"
)
@click.option(
    "--compare",
    type=PATH,
    nargs=2,
    metavar="A.csv B.csv",
    help="Compare two review files instead of writing a page.",
)
@click.option(
    "--conflicts",
    type=PATH,
    nargs=2,
    metavar="A.csv B.csv",
    help="Write a page of the images that two review files disagree on, with both readings.",
)
@click.option(
    "--merge",
    type=PATH,
    nargs=2,
    metavar="A.csv B.csv",
    help="Merge two review files into one. Exit status 3 if conflicts are open.",
)
@click.option("--decided", type=PATH, help="With --merge: the review file that decides conflicts.")
@data_option
@output_options
def review(
    build: Path | None,
    recipe: str | None,
    reviews: tuple[str, ...],
    sources: tuple[str, ...],
    labels: tuple[str, ...],
    unreviewed: bool,
    propose: bool,
    embed: bool | None,
    out: Path | None,
    workers: int | None,
    compare: tuple[Path, Path] | None,
    conflicts: tuple[Path, Path] | None,
    merge: tuple[Path, Path] | None,
    decided: Path | None,
    data: Path,
    quiet: bool,
    as_json: bool,
) -> None:
    """Write a page on which a reader marks images, or compare and merge two readers' reviews.

    The page is one HTML file that needs only a browser. It exports the marks as a review file, which
    `curate --reviews` reads. It shows the images of the dataset, and those that only rules on reviews
    exclude, for example because nobody has reviewed them. Two readers: `--compare` measures how far they
    agree, `--conflicts` writes a page of what they disagree on, and `--merge` writes one file.
    """
    given = {"--compare": compare, "--conflicts": conflicts, "--merge": merge}
    named = [option for option, files in given.items() if files is not None]
    if len(named) > 1:
        raise click.UsageError(f"{named[0]} and {named[1]} exclude each other")
    if decided is not None and merge is None:
        raise click.UsageError("--decided requires --merge")
    output = Output(quiet=quiet, as_json=as_json)
    if compare is not None:
        report_agreement(output, *compare)
        return
    if merge is not None:
        write_merged(output, *merge, decided, out or Path(MERGED))
        return
    from cxrbuild.api import write_review_page

    page = write_review_page(
        build,
        # Of a build no recipe is read.
        "" if build is not None else recipe or default_recipe(output),
        data,
        out,
        reviews=reviews,
        sources=sources,
        labels=labels,
        unreviewed=unreviewed,
        conflicts=conflicts,
        propose=propose,
        embed_images=embed,
        workers=workers,
        progress=output.progress,
    )
    if page is None:
        output.show("The reviews have no conflict: no page is written.")
        output.result("review-without-conflict-1", {"conflicts": 0})
        return
    if page.proposed:
        output.table(["proposed", "images"], list(page.proposed.items()))
        output.show("")
    unseen = f", {page.unseen:,} marked `unseen`" if page.unseen else ""
    output.show(
        f"Wrote {printable(page.page)}: {count_of(page.images, 'image')}, "
        f"{page.reviewed:,} of them with a review{unseen}, "
        f"{page.bytes / 1e6:.1f} MB. Open it in a browser."
    )
    if page.excluded:
        counts = ", ".join(f"{n:,} by {printable(rule)}" for rule, n in page.excluded.items())
        output.show(
            f"It shows {count_of(sum(page.excluded.values()), 'image')} that only rules on reviews exclude: "
            f"{counts}. The dataset would have them without these rules; a review decides."
        )
    if unreviewed and page.unseen:
        output.show(
            "Images that are marked `unseen` are shown again: nobody has judged them, and a public release "
            "has no pixels of them. Any other mark takes them off this page; its filter `Reviewed as: not "
            "reviewed` hides them."
        )
    if page.unreadable:
        unreadable = count_of(len(page.unreadable), "image")
        output.show(f"\n{unreadable} cannot be read; the page shows the problem:")
        shown = page.unreadable[:_MAX_PROBLEMS]
        output.table(
            ["source", "path", "problem"], [[printable(text) for text in astuple(image)] for image in shown]
        )
        if len(page.unreadable) > len(shown):
            output.show(f"and {len(page.unreadable) - len(shown):,} more")
    if not page.embedded:
        output.show(
            "It links the image files, so it works on this machine only; --embed-images embeds the images."
        )
    output.result("review-1", page.to_dict())
