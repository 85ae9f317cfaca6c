"""The command `explain`."""

from __future__ import annotations

from pathlib import Path

import click

from cxrbuild.cli.command import Command
from cxrbuild.cli.options import (
    PATH,
    RECIPE_OF_BUILD,
    data_option,
    default_build,
    image_build_option,
    output_options,
    recipe_here,
    recipe_option,
)
from cxrbuild.cli.output import Output


@click.command(
    cls=Command, short_help="Show where a trained model looks, and what it predicts without the lungs."
)
@image_build_option
@recipe_option(
    "The recipe of the dataset, whose sources declare lung masks.  [default: "
    f"{RECIPE_OF_BUILD}, else what the build records]"
)
@click.option(
    "--model", type=PATH, metavar="FILE", help="A saved model.  [default: <build>/baseline/model.keras]"
)
@click.option(
    "--out",
    type=PATH,
    metavar="DIR",
    help="Write results to DIR.  [default: <build>/explanation; of a release, "
    "<release>-explanation next to it]",
)
@click.option(
    "--exclude-seen", is_flag=True, help="Exclude test images of patients that the model was trained on."
)
@click.option("--without-masks", is_flag=True, help="Do not read lung masks.")
@click.option(
    "--allow-missing",
    is_flag=True,
    help="Continue without lung masks that are missing or cannot be used, and record them.",
)
@click.option(
    "--occlude-all", is_flag=True, help="Make occlusion maps of all images, not only of those on the page."
)
@click.option(
    "--gate",
    is_flag=True,
    help="Exit with status 3 if more than half of the model's success survives without the lungs.",
)
@data_option
@output_options
def explain(
    build: Path | None,
    recipe: str | None,
    model: Path | None,
    out: Path | None,
    exclude_seen: bool,
    without_masks: bool,
    allow_missing: bool,
    occlude_all: bool,
    gate: bool,
    data: Path,
    quiet: bool,
    as_json: bool,
) -> None:
    """Show where a trained model looks, and what it predicts without the lungs.

    Writes `explain.html`, `explain.parquet` and `explanation.json`: attribution maps of the test images,
    blackout tests, figures by source, age, sex and view, and calibration. A release includes the figures.
    """
    from cxrbuild.api.declarations import recipe_of
    from cxrbuild.catalog import read_source
    from cxrbuild.errors import count_of
    from cxrbuild.explanation import explain as explain_model
    from cxrbuild.explanation import require_passed

    output = Output(quiet=quiet, as_json=as_json)
    place = build or default_build(output, recipe)
    declared = recipe_of(place, recipe or recipe_here(output, place), recorded=True)
    result = explain_model(
        place,
        declared,
        data=data,
        model=model,
        out=out,
        exclude_seen_patients=exclude_seen,
        without_masks=without_masks,
        allow_missing=allow_missing,
        occlude_all=occlude_all,
        progress=output.progress,
    )
    output.table(result.header(), result.rows())
    output.show("")
    if result.unusable_masks:
        count = count_of(len(result.unusable_masks), "lung mask")
        output.show(f"{count} cannot be used: {', '.join(result.unusable_masks)}.")
    output.show(result.document.sentence)
    sources = [read_source(name, declared.folder) for name in declared.sources]
    if not without_masks and all(source.lung_masks is None for source in sources):
        output.show(
            "No source of the recipe declares lung masks: `[lung_masks]` in a source file states where "
            "they are."
        )
    output.show(f"The maps are shown in {result.out / 'explain.html'}")
    output.result("explain-1", result.to_dict())
    if gate:
        require_passed(result)
