"""The command `review`."""

from __future__ import annotations

from dataclasses import astuple
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cxrbuild.cli.options import (
    DEFAULT_RECIPE,
    NAME_OR_PATH,
    PATH,
    data_option,
    output_options,
    reviews_option,
)
from cxrbuild.cli.output import Output
from cxrbuild.errors import count_of, printable

if TYPE_CHECKING:
    from cxrbuild.catalog import Review
    from cxrbuild.review import Kappa, ReviewImage

# The number of unreadable images that are listed; the JSON document lists all.
_MAX_PROBLEMS = 10


@click.command(short_help="Write a page to mark images on, or compare two reviews.")
@click.option("--build", type=PATH, help="Review the images of this build.")
@click.option(
    "--recipe",
    default=DEFAULT_RECIPE,
    show_default=True,
    type=NAME_OR_PATH,
    metavar="NAME|FILE",
    help="Without --build: review the images that this recipe keeps, and those that a review excluded.",
)
@reviews_option
@click.option("--source", "sources", multiple=True, help="Only images of this source. Repeatable.")
@click.option("--label", "labels", multiple=True, help="Only images of this class. Repeatable.")
@click.option("--unreviewed", is_flag=True, help="Only images that have no review.")
@click.option(
    "--propose/--no-propose", default=True, show_default=True, help="Show marks that a detector proposes."
)
@click.option(
    "--embed-images/--no-embed-images",
    "embed",
    default=None,
    help="Embed large images in the page, or link the image files.  [default: embed up to 1,000]",
)
@click.option("--out", type=PATH, default=Path("review.html"), show_default=True, help="HTML file to write.")
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
@data_option
@output_options
def review(
    build: Path | None,
    recipe: str,
    reviews: tuple[str, ...],
    sources: tuple[str, ...],
    labels: tuple[str, ...],
    unreviewed: bool,
    propose: bool,
    embed: bool | None,
    out: Path,
    workers: int | None,
    compare: tuple[Path, Path] | None,
    data: Path,
    quiet: bool,
    as_json: bool,
) -> None:
    """Write a page on which a reader marks images, or compare two readers' reviews.

    The page is one HTML file that needs only a browser. It exports the marks as a review file, which
    `curate --reviews` reads.
    """
    output = Output(quiet=quiet, as_json=as_json)
    if compare is not None:
        _compare(output, *compare)
        return
    from cxrbuild.executors import default_workers, open_executor
    from cxrbuild.review import select_images, write_page

    images, title, max_pixels = _list_images(build, recipe, reviews, data)
    selected = select_images(images, sources=sources, labels=labels, unreviewed=unreviewed)
    with open_executor("local", workers or default_workers()) as executor:
        page = write_page(
            selected, out, executor, title=title, propose=propose, embed=embed, max_pixels=max_pixels,
            progress=output.progress,
        )  # fmt: skip
    if page.proposed:
        output.table(["proposed", "images"], list(page.proposed.items()))
        output.say("")
    output.say(
        f"Wrote {printable(page.page)}: {count_of(page.images, 'image')}, "
        f"{page.reviewed:,} of them with a review, {page.bytes / 1e6:.1f} MB. Open it in a browser."
    )
    if page.unreadable:
        output.say(f"\n{count_of(len(page.unreadable), 'image')} cannot be read; the page shows the problem:")
        shown = page.unreadable[:_MAX_PROBLEMS]
        output.table(
            ["source", "path", "problem"], [[printable(text) for text in astuple(image)] for image in shown]
        )
        if len(page.unreadable) > len(shown):
            output.say(f"and {len(page.unreadable) - len(shown):,} more")
    if not page.embedded:
        output.say(
            "It links the image files, so it works on this machine only; --embed-images embeds the images."
        )
    output.result(page.to_dict())


def _list_images(
    build: Path | None, recipe: str, reviews: tuple[str, ...], data: Path
) -> tuple[list[ReviewImage], str, int]:
    """Return the images, the name of the dataset, and the most pixels that its recipe allows."""
    from cxrbuild.artifact import open_build
    from cxrbuild.catalog import read_reviews
    from cxrbuild.curation import make_plan, read_declared
    from cxrbuild.review import images_of_build, images_of_plan

    if build is not None:
        given = [review for name in reviews for review in read_reviews(name, Path())]
        limit = open_build(build).document.recipe.conversion.max_pixels
        return images_of_build(build, data, given), build.name, limit
    declared = read_declared(recipe, {}, reviews)
    images = images_of_plan(make_plan(declared, data), data)
    return images, declared.recipe.name, declared.recipe.conversion.max_pixels


def _compare(output: Output, a: Path, b: Path) -> None:
    from cxrbuild.catalog import read_reviews
    from cxrbuild.review import compare_reviews

    found = compare_reviews(*(read_reviews(str(path.resolve()), Path()) for path in (a, b)))
    output.table(
        ["question", "images", "agreement", "kappa"],
        [_format_kappa("mark", found.mark), _format_kappa("at a finding", found.finding)],
    )
    if None in (found.mark.kappa, found.finding.kappa):
        output.say("\nKappa is undefined where neither reader gave two different answers.")
    output.say(
        f"\nJudged by one reader only: {count_of(found.only_a, 'image')} in {printable(a)}, "
        f"{found.only_b:,} in {printable(b)}."
    )
    if found.conflicts:
        output.say(f"\n{count_of(len(found.conflicts), 'conflict')}:")
        output.table(
            ["source", "path", printable(a.name), printable(b.name)],
            [
                [printable(x.source), printable(x.path), _format_review(x), _format_review(y)]
                for x, y in found.conflicts
            ],
        )
    output.result(found.to_dict())


def _format_kappa(question: str, kappa: Kappa) -> list[object]:
    value = "undefined" if kappa.kappa is None else f"{kappa.kappa:.3f}"
    return [question, kappa.images, f"{kappa.agreement:.3f}" if kappa.images else "undefined", value]


def _format_review(review: Review) -> str:
    return review.mark + (", at a finding" if review.marks_finding else "")
