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
@output_options
def train_baseline(
    build: Path | None,
    recipe_name: str,
    out: Path | None,
    epochs: int | None,
    seeds: tuple[int, ...],
    gate: bool,
    evaluate_only: Path | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Train the paper's model on a build, and report what it learned beside what was published.

    A run that was stopped goes on from its last epoch when the same command is given again.
    """
    from cxrbuild.baseline import require_gate
    from cxrbuild.baseline import train_baseline as train
    from cxrbuild.catalog import read_recipe

    output = Output(quiet=quiet, as_json=as_json)
    recipe = read_recipe(recipe_name)
    folder = build or Path("build") / recipe.name
    result = train(
        folder,
        out or folder / ("evaluation" if evaluate_only else "baseline"),
        recipe,
        epochs=epochs,
        seeds=seeds or (1,),
        evaluate_only=evaluate_only,
        progress=output.progress,
    )
    _report(output, result.metrics)
    output.say(f"The report is {result.out / 'report.md'}.")
    output.result({"out": str(result.out)} | result.metrics)
    if gate:
        require_gate(result.metrics["gate"], result.out / "report.md")


def _report(output: Output, metrics: dict[str, Any]) -> None:
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
