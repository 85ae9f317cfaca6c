"""The command `review`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cxrbuild.cli.options import DEFAULT_RECIPE, PATH, data_option, output_options, reviews_option
from cxrbuild.cli.output import Output
from cxrbuild.errors import count_of

if TYPE_CHECKING:
    from cxrbuild.catalog import Review
    from cxrbuild.review import Film
    from cxrbuild.review.agreement import Kappa


@click.command()
@click.option("--build", type=PATH, help="Look at the films of a build.")
@click.option(
    "--recipe",
    default=DEFAULT_RECIPE,
    show_default=True,
    metavar="NAME|FILE",
    help="Without --build: look at the films that this recipe keeps, or leaves out for a mark.",
)
@reviews_option
@click.option("--source", "sources", multiple=True, help="Only films of this source, repeatable.")
@click.option("--label", "labels", multiple=True, help="Only films of this class, repeatable.")
@click.option("--unreviewed", is_flag=True, help="Only films that nobody has seen.")
@click.option("--propose/--no-propose", default=True, show_default=True, help="Search the films for marks.")
@click.option(
    "--views/--no-views",
    default=None,
    help="Put the large views into the page, or show the films' own files.  [default: up to 1,000 films]",
)
@click.option("--out", type=PATH, default=Path("review.html"), show_default=True, help="The page to write.")
@click.option("--workers", type=click.IntRange(1), help="Processes at work.  [default: one a processor]")
@click.option(
    "--compare",
    type=PATH,
    nargs=2,
    metavar="A.csv B.csv",
    help="Compare what two people saw, in place of writing a page.",
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
    views: bool | None,
    out: Path,
    workers: int | None,
    compare: tuple[Path, Path] | None,
    data: Path,
    quiet: bool,
    as_json: bool,
) -> None:
    """Write a page on which a person judges films, or compare what two people saw.

    The page is one HTML file that needs nothing but a browser. What is judged on it is exported as a review
    file, which `curate --reviews` takes.
    """
    output = Output(quiet=quiet, as_json=as_json)
    if compare is not None:
        _compare(output, *compare)
        return
    from cxrbuild.executors import default_workers, open_executor
    from cxrbuild.review import choose_films, write_page

    films, title = _films(build, recipe, reviews, data)
    chosen = choose_films(films, sources=sources, labels=labels, unreviewed=unreviewed)
    with open_executor("local", workers or default_workers()) as executor:
        document = write_page(
            chosen, out, executor, title=title, propose=propose, views=views, progress=output.progress
        )
    if document["proposed"]:
        output.table(["proposed", "films"], [[kind, n] for kind, n in document["proposed"].items()])
        output.say("")
    output.say(
        f"One page of {document['bytes'] / 1e6:.1f} MB holds {count_of(document['films'], 'film')}, "
        f"{document['reviewed']:,} of them reviewed before; open it in a browser: {out}"
    )
    if not document["views"]:
        output.say(
            "Its large views are the films' own files, so it works on this machine; --views holds them."
        )
    output.result(document)


def _films(build: Path | None, recipe: str, reviews: tuple[str, ...], data: Path) -> tuple[list[Film], str]:
    from cxrbuild.catalog import read_reviews
    from cxrbuild.curation import make_plan, read_declared
    from cxrbuild.review import films_of_build, films_of_plan

    if build is not None:
        given = [review for name in reviews for review in read_reviews(name, Path())]
        return films_of_build(build, data, given), build.name
    declared = read_declared(recipe, {}, reviews)
    return films_of_plan(make_plan(declared, data), data), declared.recipe.name


def _compare(output: Output, a: Path, b: Path) -> None:
    from cxrbuild.catalog import read_reviews
    from cxrbuild.review import compare_reviews

    found = compare_reviews(*(read_reviews(str(path.resolve()), Path()) for path in (a, b)))
    rows: list[list[object]] = [_row("mark", found.mark), _row("at a finding", found.finding)]
    output.table(["question", "films", "agreement", "kappa"], rows)
    if None in (found.mark.kappa, found.finding.kappa):
        output.say("\nKappa is undefined where neither gave two different answers.")
    output.say(f"\nJudged by one alone: {count_of(found.only_a, 'film')} in {a}, {found.only_b:,} in {b}.")
    if found.conflicts:
        output.say(f"\n{count_of(len(found.conflicts), 'conflict')}:")
        output.table(
            ["source", "path", a.name, b.name],
            [[x.source, x.path, _said(x), _said(y)] for x, y in found.conflicts],
        )
    output.result(found.document())


def _row(question: str, kappa: Kappa) -> list[object]:
    value = "undefined" if kappa.kappa is None else f"{kappa.kappa:.3f}"
    return [question, kappa.films, f"{kappa.agreement:.3f}" if kappa.films else "undefined", value]


def _said(review: Review) -> str:
    return review.mark + (", at a finding" if review.marks_finding else "")
