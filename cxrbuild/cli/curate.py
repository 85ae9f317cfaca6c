"""The commands `plan` and `curate`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cxrbuild.cli.command import Command
from cxrbuild.cli.differing_rows import report_findings
from cxrbuild.cli.exactness import report_exactness
from cxrbuild.cli.options import (
    PATH,
    PLACE,
    allow_missing_option,
    data_place_option,
    default_recipe,
    given_switches,
    output_options,
    recipe_options,
    reviews_option,
    worker_options,
)
from cxrbuild.cli.output import Output
from cxrbuild.errors import count_of, name_some
from cxrbuild.patients import describe_shared_ids, find_shared_ids

# How many findings without a class are listed.
_FINDINGS = 6

if TYPE_CHECKING:
    import pandas as pd

    from cxrbuild.artifact import Build, FunnelStep
    from cxrbuild.artifact.build import PreviousSplit
    from cxrbuild.artifact.correction import Corrections
    from cxrbuild.catalog import Recipe
    from cxrbuild.catalog.override import Overrides
    from cxrbuild.curation import CurationResult, Plan


@click.command(cls=Command)
@recipe_options
@reviews_option
@allow_missing_option
@click.option(
    "--as-pinned",
    is_flag=True,
    help="Assume that every pinned file is present; read metadata only. The metadata must be in "
    "--data: `fetch` puts it there.",
)
@click.option("--out", type=PATH, help="Folder to write ledger, manifest and funnel to.")
@click.option(
    "--differing-rows",
    type=PATH,
    metavar="FILE.csv",
    help="File of corrections to write: a line to fill in for each image with conflicting findings and no "
    "correction.",
)
@data_place_option
@output_options
def plan(
    recipe: str | None,
    lateral: bool | None,
    ct: bool | None,
    annotated: bool | None,
    reviews: tuple[str, ...],
    allow_missing: bool,
    as_pinned: bool,
    out: Path | None,
    differing_rows: Path | None,
    data: Path | str,
    quiet: bool,
    as_json: bool,
) -> None:
    """Show what `curate` would keep, without reading pixels."""
    from cxrbuild.api import plan as make_plan
    from cxrbuild.artifact import names
    from cxrbuild.curation import check_expectation

    output = Output(quiet=quiet, as_json=as_json)
    planned = make_plan(
        recipe or default_recipe(output),
        data,
        out,
        switches=given_switches(lateral=lateral, ct=ct, annotated=annotated),
        reviews=reviews,
        as_pinned=as_pinned,
        differing_rows=differing_rows,
        progress=output.progress,
    )
    # What is missing is reported before it is refused.
    _report_plan(output, planned, out)
    check_expectation(
        planned, allow_missing=allow_missing, ledger=None if out is None else out / names.LEDGER
    )


@click.command(cls=Command)
@recipe_options
@reviews_option
@click.option("--out", type=PLACE, help="Folder of the build.  [default: build/<recipe>]")
@click.option("--replace", is_flag=True, help="Replace a build of another dataset or version in this folder.")
@allow_missing_option
@click.option(
    "--format",
    "formats",
    type=click.Choice(["parquet", "tfrecord"]),
    multiple=True,
    help="Format of the shards. Repeatable.  [default: both]",
)
@worker_options
@data_place_option
@output_options
def curate(
    recipe: str | None,
    lateral: bool | None,
    ct: bool | None,
    annotated: bool | None,
    reviews: tuple[str, ...],
    out: Path | str | None,
    replace: bool,
    allow_missing: bool,
    formats: tuple[str, ...],
    workers: int | None,
    executor: str,
    data: Path | str,
    quiet: bool,
    as_json: bool,
) -> None:
    """Build a dataset: apply rules, split, convert to JPEG, write shards.

    A build that is already there is updated; unchanged images are skipped. A build of another version is not
    touched without --replace.
    """
    from cxrbuild.api import curate as curate_dataset

    output = Output(quiet=quiet, as_json=as_json)
    result = curate_dataset(
        recipe or default_recipe(output),
        data,
        out,
        switches=given_switches(lateral=lateral, ct=ct, annotated=annotated),
        reviews=reviews,
        formats=formats or ("parquet", "tfrecord"),
        allow_missing=allow_missing,
        replace=replace,
        workers=workers,
        executor=executor,
        progress=output.progress,
    )
    report_build(output, result, out)


def _report_plan(output: Output, plan: Plan, out: Path | None) -> None:
    """Report what a build would keep, and why others are excluded."""
    from cxrbuild.releasing import foresee
    from cxrbuild.split import groups_in_several_splits

    _report_funnel(output, plan.funnel_steps)
    _report_counts(output, plan.counts, plan.declared.recipe, lambda: plan.records)
    _report_without_class(output, plan.records, plan.declared.recipe)
    report_findings(output, plan.other_findings, plan.joined_rows)
    if listed := plan.listed:
        rows = ", ".join(f"{count:,} {code}" for code, count in listed.items())
        name = plan.declared.image_list.name if plan.declared.image_list else ""
        output.show(f"The list {name} has {count_of(sum(listed.values()), 'row')}: {rows}.")
    _report_corrections(output, plan.corrections)
    _report_previous(output, plan.previous)
    _report_several_splits(output, groups_in_several_splits(plan.records).index, plan.declared.recipe)
    _report_caveats(output, plan.declared.overrides, plan.unpinned)
    if plan.unlocked:
        from cxrbuild.fetch_advice import record_command

        output.show(
            f"The lock has no entry of {name_some(one.name for one in plan.unlocked)}: run `"
            + record_command(plan.data, plan.unlocked)
            + "`, which records the files and compares them with their pin."
        )
    report_exactness(output, plan.exactness)
    if shared := describe_shared_ids(plan.shared_ids):
        output.show(shared)
    forecast = foresee(plan)
    for refusal in forecast.refusals:
        output.show(f"A public release of this plan would be refused: {refusal}")
    for note in forecast.notes:
        output.show(note)
    if out is not None:
        output.show(f"Ledger, manifest and funnel are in {out}")
    more: dict[str, object] = {
        "release_refusals": [one.to_dict() for one in forecast.refusals],
        "notes": output.notes,
    }
    output.result("plan-1", plan.to_dict() | more | {"out": None if out is None else str(out)})


def report_build(output: Output, result: CurationResult, out: Path | str | None = None) -> None:
    """Report what was built, and where: the build's folder, or the address that it was written to."""
    place = out if isinstance(out, str) else str(result.build.folder)
    document = result.build.document
    if result.changed:
        _report_funnel(output, document.funnel)
    _report_counts(output, document.counts, document.recipe, lambda: result.build.ledger)
    if result.changed:
        _report_without_class(output, result.build.ledger, document.recipe)
        report_findings(output, result.other_findings)
    _report_corrections(output, document.corrections)
    _report_previous(output, document.previous)
    _report_caveats(output, document.overrides, document.unpinned)
    report_exactness(output, document.exactness)
    recipe = document.recipe
    compared = ["the counts under `expect`"] if recipe.expect else []
    compared += [f"the published manifest {recipe.manifest}"] if recipe.manifest else []
    # Any other difference than a missing image is an error before this.
    if compared and not document.overrides:
        but = " but for the missing images" if document.missing else ""
        output.show(
            f"Names, classes and splits compared with {' and '.join(compared)}: equal{but}. "
            "Bytes are not part of that comparison."
        )
    if document.missing:
        output.show(
            f"{count_of(len(document.missing), 'image')} of the dataset missing; `build.json` and the ledger "
            "list them."
        )
    _report_several_splits(output, document.groups_in_several_splits, document.recipe)
    if result.changed:
        shared = find_shared_ids(result.build.manifest, document.namespaces)
        if shared:
            output.show(describe_shared_ids(shared))
    _report_outdated(output, result.build)
    dataset = document.dataset
    state = "built" if result.changed else "unchanged"
    output.show(f"{dataset.name} {dataset.version} {state}: {place}")
    if output.as_json:  # of an unchanged build nothing else reads the ledger
        output.result("curate-1", result.to_dict() | {"build": place, "notes": output.notes})


def _report_several_splits(output: Output, groups: Iterable[str], recipe: Recipe) -> None:
    """Report the groups that the list or the sources assign to several splits."""
    if names := list(groups):
        output.show(
            f"{'The list assigns' if recipe.split.published else 'The sources assign'} "
            f"{count_of(len(names), 'patient')} to more than one split: {name_some(names, 3)}."
        )


def _report_outdated(output: Output, build: Build) -> None:
    """Report the results in a build that are of a former state of it."""
    from cxrbuild.artifact import names
    from cxrbuild.artifact.results import outdated_results

    made_by = {
        "audit": ("audit", names.AUDIT, names.AUDIT_PAGE),
        "baseline": ("train-baseline", f"{names.BASELINE_FOLDER}/"),
        "explanation": ("explain", f"{names.EXPLANATION_FOLDER}/"),
    }
    for kind in outdated_results(build.folder, build.manifest_sha256):
        command, *files = made_by[kind]
        there = " and ".join(name for name in files if (build.folder / name).exists())
        output.show(
            f"{there}: of a former state of this build. Run `cxrbuild {command}` again; a release is refused "
            "until then."
        )


def _report_previous(output: Output, previous: PreviousSplit | None) -> None:
    """Report which splits are held from the former version, and which groups had several there."""
    if previous is None:
        return
    text = f"Held from the former version, {previous.name}: the splits of {count_of(previous.held, 'image')}."
    if previous.lost:
        text += f" Excluded here, or no longer upstream: {count_of(previous.lost, 'image')} of it."
    if groups := previous.groups_in_several_splits:
        text += (
            f" {count_of(len(groups), 'group')} with images in several splits there, now whole in train, "
            f"else in validation: {name_some(groups, 3)}."
        )
    output.show(text)


def _report_funnel(output: Output, steps: list[FunnelStep]) -> None:
    header = ["step", *steps[0].by_source, "all"]
    output.table(header, [[step.step, *step.by_source.values(), step.images] for step in steps])
    output.show("")


def _report_without_class(output: Output, records: pd.DataFrame, recipe: Recipe) -> None:
    """Report the findings that no class has: a new one must not go unnoticed among those of a rule."""
    from cxrbuild.curation import findings_without_class

    found = findings_without_class(records, recipe)
    if found and recipe.split.published is None:
        shown = [f"{finding} {n:,}{_class_of_others(finding, recipe)}" for finding, n in found.items()]
        output.show(f"Findings without a class: {name_some(shown, _FINDINGS)}.")


def _class_of_others(finding: str, recipe: Recipe) -> str:
    """Return which sources the class of this name takes images of, where it does not take the finding."""
    for name, sources in recipe.labels.items():
        if name.casefold() == finding.casefold():
            return f" (the class {name} takes images of {name_some(list(sources))} only)"
    return ""


def _report_counts(
    output: Output,
    counts: Mapping[str, Mapping[str, int]],
    recipe: Recipe,
    read_records: Callable[[], pd.DataFrame],
) -> None:
    from cxrbuild.exclusions import MISSING

    classes = list(next(iter(counts.values()), {}))
    rows: list[list[object]] = [
        [label, *(split[label] for split in counts.values()), sum(split[label] for split in counts.values())]
        for label in classes
    ]
    sums = [sum(split.values()) for split in counts.values()]
    output.table(["class", *counts, "all"], [*rows, ["all", *sums, sum(sums)]])
    output.show("")
    empty = [
        (split, label)
        for split in dict.fromkeys(["train", *counts, "test"])
        for label in classes
        if not counts.get(split, {}).get(label)
    ]
    if not empty:
        return
    records = read_records()
    missing = records[records["exclusion"].isin(MISSING)]
    of_missing = set(zip(missing["split"], missing["label"], strict=True))
    decides = "the list decides" if recipe.split.published else "see [split] in the recipe"
    for reason, found in (
        ("all are missing", [one for one in empty if one in of_missing]),
        (decides, [one for one in empty if one not in of_missing]),
    ):
        if found:
            places = ", ".join(f"{split} of {label}" for split, label in found)
            output.show(f"No image in {places}: {reason}.")


def _report_corrections(output: Output, corrections: Corrections) -> None:
    """Report how many values of the metadata the recipe corrects."""
    if corrections:
        files = name_some(file.name for file in corrections.files)
        values = "; ".join(corrections.describe()) or "none of these sources"
        output.show(f"Values corrected by {files}: {values}.")


def _report_caveats(output: Output, overrides: Overrides, unpinned: list[str]) -> None:
    if overrides:
        described = "; ".join(overrides.describe())
        output.show(f"Overrides of the recipe: {described}. Its counts are not checked.")
    if unpinned:
        output.show(f"Unpinned: {', '.join(unpinned)}. A build from unpinned sources cannot be published.")
