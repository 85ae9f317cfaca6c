"""The command `train-baseline`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cxrbuild.cli.options import DEFAULT_RECIPE, PATH, output_options
from cxrbuild.cli.output import Output


@click.command("train-baseline")
@click.option(
    "--build",
    type=PATH,
    metavar="DIR",
    help="A build, a release or a TensorFlow Datasets folder.  [default: build/<recipe>]",
)
@click.option(
    "--recipe",
    "recipe_name",
    default=DEFAULT_RECIPE,
    show_default=True,
    metavar="NAME|FILE",
    help="Whose [baseline] to train: a shipped recipe, or a .toml file.",
)
@click.option(
    "--out",
    type=PATH,
    metavar="DIR",
    help="Where the results go.  [default: <build>/baseline, or <build>/evaluation with --evaluate-only]",
)
@click.option("--epochs", type=click.IntRange(1), help="Epochs, in place of the recipe's.")
@click.option(
    "--seed",
    "seeds",
    type=click.IntRange(0),
    multiple=True,
    help="Seed, repeatable: a model is trained for each.  [default: 1]",
)
@click.option("--gate", is_flag=True, help="End with status 3 where the recipe's gate is not reached.")
@click.option(
    "--evaluate-only", type=PATH, metavar="MODEL", help="Evaluate a saved model in place of training."
)
@click.option(
    "--leave-out-seen",
    is_flag=True,
    help="With --evaluate-only: test on the films alone whose patients the model was not trained on.",
)
@output_options
def train_baseline(
    build: Path | None,
    recipe_name: str,
    out: Path | None,
    epochs: int | None,
    seeds: tuple[int, ...],
    gate: bool,
    evaluate_only: Path | None,
    leave_out_seen: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Train the recipe's model on a build, and report what it learned beside what was published.

    A run that was stopped goes on from its last epoch when the same command is given again. A saved model is
    not tested on films that it was trained on, nor on other films of their patients: that is an error, or
    they are left out.
    """
    from cxrbuild.baseline import describe_checks, refuse_no_gate, require_gate
    from cxrbuild.baseline import train_baseline as train
    from cxrbuild.catalog import read_recipe

    if leave_out_seen and evaluate_only is None:
        raise click.UsageError("--leave-out-seen goes with --evaluate-only")
    output = Output(quiet=quiet, as_json=as_json)
    recipe = read_recipe(recipe_name)
    if gate:
        # Before hours of training, not after.
        refuse_no_gate(recipe)
    folder = build or Path("build") / recipe.name
    result = train(
        folder,
        out or folder / ("evaluation" if evaluate_only else "baseline"),
        recipe,
        epochs=epochs,
        seeds=seeds or (1,),
        evaluate_only=evaluate_only,
        leave_out=leave_out_seen,
        progress=output.progress,
    )
    _report(output, result.metrics)
    output.say(f"The report is {result.out / 'report.md'}.")
    output.result({"out": str(result.out)} | result.metrics)
    if gate:
        require_gate(result.metrics["gate"], result.out / "report.md")
        output.say(f"The gate is reached: {describe_checks(result.metrics['gate'])}.")


def _report(output: Output, metrics: dict[str, Any]) -> None:
    from cxrbuild.baseline.trained_on import TRAINED_ON

    summary = metrics["summary"]["metrics"]
    published = (metrics["settings"]["published"] or {}).get("metrics", {})
    names = ("loss", "accuracy", "precision", "recall")
    rows: list[list[object]] = []
    for row, figures in summary.items():
        if row in published:
            rows.append([f"{row}, published", *(f"{published[row][name]:.4f}" for name in names)])
        rows.append([row, *(f"{figures[name]['mean']:.4f}" for name in names)])
    output.table(["", *names], rows)
    output.say("")
    for part, classes in metrics["dataset"]["left_out"].items():
        if any(classes.values()):
            tested = metrics["dataset"]["counts"][part]
            words = ", ".join(
                f"{name} {count:,} of {count + tested[name]:,}" for name, count in classes.items()
            )
            output.say(f"Left out of {part}, for the model was trained on films of these patients: {words}.")
    if metrics["runs"][0]["model"]["trained_on"] is None:
        output.say(
            f"What this model was trained on is not known, for no {TRAINED_ON} stands beside it: it may have "
            "been trained on images of this test."
        )
