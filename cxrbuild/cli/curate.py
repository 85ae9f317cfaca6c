"""The commands `plan` and `curate`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cxrbuild.cli.options import (
    PATH,
    allow_missing_option,
    data_option,
    given_switches,
    output_options,
    recipe_options,
    reviews_option,
)
from cxrbuild.cli.output import Output
from cxrbuild.errors import name_some

if TYPE_CHECKING:
    from cxrbuild.artifact import FunnelStep
    from cxrbuild.catalog.override import Overrides
    from cxrbuild.curation import CurationResult, Plan


@click.command()
@recipe_options
@reviews_option
@allow_missing_option
@click.option(
    "--as-pinned", is_flag=True, help="Take every file of the pins to be at hand; read metadata only."
)
@click.option("--out", type=PATH, help="Write ledger, manifest and funnel into this folder.")
@data_option
@output_options
def plan(
    recipe: str,
    lateral: bool | None,
    ct: bool | None,
    annotated: bool | None,
    reviews: tuple[str, ...],
    allow_missing: bool,
    as_pinned: bool,
    out: Path | None,
    data: Path,
    quiet: bool,
    as_json: bool,
) -> None:
    """Show what `curate` would keep, and why, without touching pixels."""
    from cxrbuild.curation import check_expectation, make_plan, read_declared, write_plan

    output = Output(quiet=quiet, as_json=as_json)
    declared = read_declared(recipe, given_switches(lateral=lateral, ct=ct, annotated=annotated), reviews)
    planned = make_plan(declared, data, as_pinned=as_pinned, progress=output.progress)
    if out is not None:
        write_plan(planned, out)
    _report_plan(output, planned, out)
    check_expectation(planned, allow_missing=allow_missing)


@click.command()
@recipe_options
@reviews_option
@click.option("--out", type=PATH, help="Folder to build in.  [default: build/<recipe>]")
@allow_missing_option
@click.option(
    "--format",
    "formats",
    type=click.Choice(["parquet", "tfrecord"]),
    multiple=True,
    help="Shards to write, repeatable; default both.",
)
@click.option("--workers", type=click.IntRange(1), help="Processes that convert.  [default: one a processor]")
@click.option(
    "--executor",
    default="local",
    show_default=True,
    metavar="local|dask://HOST:PORT",
    help="Where to convert.",
)
@data_option
@output_options
def curate(
    recipe: str,
    lateral: bool | None,
    ct: bool | None,
    annotated: bool | None,
    reviews: tuple[str, ...],
    out: Path | None,
    allow_missing: bool,
    formats: tuple[str, ...],
    workers: int | None,
    executor: str,
    data: Path,
    quiet: bool,
    as_json: bool,
) -> None:
    """Build the dataset: choose, part, convert to JPEG, write manifest and shards.

    A build that is there is brought up to date; what matches already is not done again.
    """
    from cxrbuild.curation import curate as curate_dataset
    from cxrbuild.curation import read_declared
    from cxrbuild.executors import default_workers

    output = Output(quiet=quiet, as_json=as_json)
    declared = read_declared(recipe, given_switches(lateral=lateral, ct=ct, annotated=annotated), reviews)
    folder = out or Path("build") / declared.recipe.name
    result = curate_dataset(
        declared,
        data,
        folder,
        formats=formats or ("parquet", "tfrecord"),
        allow_missing=allow_missing,
        workers=workers or default_workers(),
        executor=executor,
        progress=output.progress,
    )
    report_build(output, result)


def _report_plan(output: Output, plan: Plan, out: Path | None) -> None:
    """Tell what a build would keep, and why."""
    from cxrbuild.curation import counts, funnel_steps

    steps = funnel_steps(plan)
    _funnel(output, steps)
    _counts(output, counts(plan))
    _caveats(output, plan.declared.overrides, plan.unpinned)
    if out is not None:
        output.say(f"Ledger, manifest and funnel are in {out}.")
    output.result({
        "recipe": plan.declared.recipe.name,
        "version": plan.declared.recipe.version,
        "overrides": plan.declared.overrides.model_dump(mode="json"),
        "unpinned": plan.unpinned,
        "funnel": [step.model_dump() for step in steps],
        "counts": counts(plan),
        "out": None if out is None else str(out),
    })  # fmt: skip


def report_build(output: Output, result: CurationResult) -> None:
    """Report what was built."""
    document = result.build.document
    if result.changed:
        _funnel(output, document.funnel)
    _counts(output, document.counts)
    _caveats(output, document.overrides, document.unpinned)
    if document.missing:
        output.say(f"{len(document.missing)} images could not be had; the ledger names each.")
    if document.groups_in_several_splits:
        output.say(
            f"{len(document.groups_in_several_splits)} patients have images in more than one split, as "
            f"upstream assigns them: {name_some(document.groups_in_several_splits, 3)}."
        )
    dataset = document.dataset
    done = "is built" if result.changed else "stands as it was built, nothing to do"
    output.say(f"{dataset.name} {dataset.version} {done}: {result.build.folder}")
    output.result(result.to_dict())


def _funnel(output: Output, steps: list[FunnelStep]) -> None:
    header = ["step", *steps[0].by_source, "all"]
    output.table(header, [[step.step, *step.by_source.values(), step.images] for step in steps])
    output.say("")


def _counts(output: Output, counts: Mapping[str, Mapping[str, int]]) -> None:
    classes = list(next(iter(counts.values()), {}))
    rows: list[list[object]] = [
        [label, *(part[label] for part in counts.values()), sum(part[label] for part in counts.values())]
        for label in classes
    ]
    sums = [sum(part.values()) for part in counts.values()]
    output.table(["class", *counts, "all"], [*rows, ["all", *sums, sum(sums)]])
    output.say("")
    lacking = [
        f"{part} of {label}"
        for part in dict.fromkeys(["train", *counts, "test"])
        for label in classes
        if not counts.get(part, {}).get(label)
    ]
    if lacking:
        output.say(f"There is no image in {', '.join(lacking)}: see the recipe's [split].")


def _caveats(output: Output, overrides: Overrides, unpinned: list[str]) -> None:
    if overrides:
        output.say(f"Overrides of the recipe: {'; '.join(overrides.describe())}. Its counts are not checked.")
    if unpinned:
        output.say(f"Unpinned: {', '.join(unpinned)}. What is built from them cannot be published.")
