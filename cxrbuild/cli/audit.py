"""The command `audit`."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cxrbuild.cli.command import Command
from cxrbuild.cli.lists import audit_given_lists
from cxrbuild.cli.options import (
    NAME_OR_PLACE,
    PATH,
    RECIPE_HERE,
    RECIPE_OF_BUILD,
    build_option,
    data_option,
    default_build,
    default_recipe,
    output_options,
    recipe_here,
    recipe_option,
    worker_options,
)
from cxrbuild.cli.output import Output
from cxrbuild.cli.wrapping import NO_LIMIT, output_width
from cxrbuild.errors import count_of, verb_of

if TYPE_CHECKING:
    from cxrbuild.auditing.audit import AuditResult

# The widths of the last column, and what the ids and the status take of a terminal.
_LEAST_WIDTH, _MOST_WIDTH, _TAKEN = 20, 42, 38


@click.command(cls=Command)
@build_option("The build to audit.")
@recipe_option(
    "The recipe whose [audit] has the limits; with --list, whose sources are compared.  [default: "
    f"{RECIPE_OF_BUILD}, else the checks' own limits; with --list {RECIPE_HERE}]"
)
@click.option(
    "--list",
    "lists",
    multiple=True,
    metavar="[SPLIT=]FILE|NAME",
    help="Audit a published list of files instead of a build; repeatable.",
)
@click.option(
    "--with",
    "dataset",
    type=NAME_OR_PLACE,
    metavar="DATASET",
    help="With --list: compare split, class and patients with a build, release, plan, manifest.parquet or "
    "published name.",
)
@click.option(
    "--columns",
    metavar="NAME=COLUMN,...",
    help="With --list: columns by name, or by position from 1: file, patient, label, source, split.",
)
@click.option(
    "--pixels/--no-pixels",
    default=True,
    show_default=True,
    help="With --list: compare the images that are in --data.",
)
@click.option(
    "--out",
    type=PATH,
    metavar="FILE.csv",
    help="With --list: write a row for each listed file, with split, class, patient and findings.  "
    "[default: none]",
)
@data_option
@worker_options
@output_options
def audit(
    build: Path | str | None,
    recipe: str | None,
    lists: tuple[str, ...],
    dataset: Path | str | None,
    columns: str | None,
    pixels: bool,
    out: Path | None,
    data: Path,
    workers: int | None,
    executor: str,
    quiet: bool,
    as_json: bool,
) -> None:
    r"""Check a build for leakage, duplicates and confounding.

    Writes `audit.json` and `audit.html` into the build; a release includes the result. `audit-pairs.csv` has
    the pairs with their files, `audit-links.csv` the duplicates as links for the recipe. Exit status 3 if a
    check finds more than its limit.

    With --list it checks published lists of files with split and class instead. FILE can also be the name of
    a shipped list or the .toml file of a declared one. It writes only the table of --out, and compares the
    lists with:

    \b
      1. the metadata of the sources in --data, if there is any;
      2. the images in --data, unless --no-pixels is given;
      3. the dataset of --with, if given: shared images by split and class,
         and patients in different splits of list and dataset.
    """
    from cxrbuild.api import audit as audit_build
    from cxrbuild.auditing.audit import require_passed
    from cxrbuild.catalog import recipe_names

    output = Output(quiet=quiet, as_json=as_json)
    if lists:
        if build is not None:
            raise click.UsageError("--list audits a list instead of a build; omit one of --list and --build")
        audit_given_lists(
            output,
            lists,
            dataset,
            columns,
            recipe or default_recipe(output),
            data,
            out,
            pixels=pixels,
            workers=workers,
            executor=executor,
        )
        return
    if dataset is not None:
        raise click.UsageError("--with compares a list with a dataset; name the list with --list FILE")
    if out is not None:
        raise click.UsageError("--out writes the rows of a list; name the list with --list FILE")
    place = build or default_build(output, recipe)
    recipe = recipe or recipe_here(output, place)
    result = audit_build(place, recipe, workers=workers, executor=executor, progress=output.progress)
    if recipe is None and result.build.name not in recipe_names():
        output.show(
            "The limits are the checks' own, since a build does not record those of its recipe. "
            "--recipe FILE takes the [audit] of a recipe."
        )
    report_audit(output, result, place)
    require_passed(result)


def report_audit(output: Output, result: AuditResult, build: Path | str | None = None) -> None:
    """Report what each check of an audit found, and where the page is."""
    place = build if isinstance(build, str) else str(result.build.folder)
    from cxrbuild.artifact import names
    from cxrbuild.exactness import describe_exactness
    from cxrbuild.report.page import describe_statuses

    columns = output_width(err=output.as_json)
    width = columns if columns == NO_LIMIT else max(_LEAST_WIDTH, min(_MOST_WIDTH, columns - _TAKEN))
    rows: list[list[object]] = []
    for check in result.document.checks:
        allowed = f" (up to {check.limit:g} allowed)" if check.status == "passed" and check.value else ""
        first, *more = textwrap.wrap(check.message + allowed, width)
        rows.append([check.id, check.status, first])
        rows.extend(["", "", line] for line in more)
    output.table(["check", "status", "found"], rows)
    output.show("")
    for sentence in describe_statuses(result.document.checks):
        output.show(sentence)
    search = result.document.duplicate_search
    if search.skipped_pairs:
        output.show(
            f"{count_of(search.limited_images, 'image')} {verb_of(search.limited_images, 'resembles')} more "
            f"than {search.most_per_image} others: only the best candidates were compared, "
            f"{count_of(search.skipped_pairs, 'pair')} {verb_of(search.skipped_pairs, 'was')} not."
        )
    if unpinned := result.build.document.unpinned:
        output.show(f"Unpinned: {', '.join(unpinned)}. The files were audited as they are.")
        for sentence in describe_exactness(result.build.document.exactness):
            output.show(sentence)
    pairs = result.document.pairs
    # No full stop after a path: it would be copied along.
    output.show(f"\nThe images are shown in {place}/{names.AUDIT_PAGE}")
    if pairs:
        # Similar images are no finding of a check: without their name a table of `none` would contradict.
        similar = sum(not pair.is_duplicate for pair in pairs)
        kinds = [
            f"{count_of(number, 'pair')} of {kind} images"
            for number, kind in ((len(pairs) - similar, "duplicate"), (similar, "similar"))
            if number
        ]
        output.show(f"{' and '.join(kinds)}, with files and splits: {place}/{names.AUDIT_PAIRS}")
    if result.links:
        # The check of unlinked duplicates counts those of two patients alone.
        unlinked = sum(pair.is_duplicate and not pair.linked for pair in pairs)
        kinds = [
            f"{count_of(number, 'pair')} of duplicates of {whose}"
            for number, whose in (
                (unlinked, "patients who are not linked"),
                (result.links - unlinked, "one patient, which no link declares"),
            )
            if number
        ]
        output.show(f"{' and '.join(kinds)}, as links: {place}/{names.AUDIT_LINKS}")
    output.result("audit-1", result.to_dict() | {"build": place})
