"""The command `train-baseline`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cxrbuild.cli.command import Command
from cxrbuild.cli.options import (
    PATH,
    RECIPE_OF_BUILD,
    default_build,
    image_build_option,
    output_options,
    recipe_here,
    recipe_option,
)
from cxrbuild.cli.output import Output

if TYPE_CHECKING:
    from cxrbuild.artifact.baseline import BaselineDocument

# The catalogue has both; importing that would slow down every `--help`.
_MAX_EPOCHS, _MAX_SEED = 2000, 2**31 - 1


@click.command("train-baseline", cls=Command)
@image_build_option
@recipe_option(
    f"The recipe whose [baseline] is trained: a shipped one, or a .toml file.  [default: {RECIPE_OF_BUILD}]"
)
@click.option(
    "--out",
    type=PATH,
    metavar="DIR",
    help="Write results to DIR.  [default: <build>/baseline, or evaluation, or comparison; "
    "of a release, <release>-baseline next to it]",
)
@click.option(
    "--variant",
    metavar="NAME",
    help="Train a variant that the recipe declares, such as `text`.  [default: the recipe's own settings]",
)
@click.option(
    "--network",
    "networks",
    metavar="NAME",
    multiple=True,
    help="Train another network: `zhong` (the paper's), `covidnet-like`, or one of keras.applications, such "
    "as `DenseNet201`; repeatable, to compare several.",
)
@click.option(
    "--optimizer",
    "optimizers",
    type=click.Choice(["adam", "nadam", "sgd"]),
    multiple=True,
    help="Train with another optimizer; repeatable, to compare several.",
)
@click.option(
    "--folds",
    type=click.IntRange(2),
    help="Compare by cross-validation in so many folds of the images that are not in the test split.",
)
@click.option(
    "--leave-out",
    metavar="SOURCE",
    multiple=True,
    help="Compare on a source that is withheld from training; repeatable.",
)
@click.option(
    "--epochs", type=click.IntRange(1, _MAX_EPOCHS), help="Number of epochs; overrides the recipe's."
)
@click.option(
    "--seed",
    "seeds",
    type=click.IntRange(0, _MAX_SEED),
    multiple=True,
    help="Train a model with this seed; repeatable.  [default: 1]",
)
@click.option(
    "--gate", is_flag=True, help="Exit with status 3 if the results miss the recipe's required figures."
)
@click.option(
    "--evaluate-only", type=PATH, metavar="MODEL", help="Evaluate a saved model instead of training."
)
@click.option(
    "--exclude-seen",
    is_flag=True,
    help="With --evaluate-only: exclude test images of patients that the model was trained on.",
)
@output_options
def train_baseline(
    build: Path | None,
    recipe: str | None,
    out: Path | None,
    variant: str | None,
    networks: tuple[str, ...],
    optimizers: tuple[str, ...],
    folds: int | None,
    leave_out: tuple[str, ...],
    epochs: int | None,
    seeds: tuple[int, ...],
    gate: bool,
    evaluate_only: Path | None,
    exclude_seen: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Train the paper's model and compare it with the paper.

    With several networks or optimizers, --folds or --leave-out, every combination is trained on the same
    images, and compared with the first one: the results are in <build>/comparison.

    An interrupted run resumes from its last epoch when the command is repeated. A saved model is never tested
    on images of patients that it was trained on: that is an
    error; with --exclude-seen those images are excluded.
    """
    from cxrbuild.api.declarations import recipe_of
    from cxrbuild.baseline import (
        COMPARED,
        METRICS,
        compare_baselines,
        describe_checks,
        require_declared_gate,
        require_gate,
    )
    from cxrbuild.baseline import train_baseline as train

    if exclude_seen and evaluate_only is None:
        raise click.UsageError("--exclude-seen requires --evaluate-only")
    output = Output(quiet=quiet, as_json=as_json)
    comparing = len({*networks}) > 1 or len({*optimizers}) > 1 or folds is not None or bool(leave_out)
    for option, given in (("--gate", gate), ("--evaluate-only", evaluate_only is not None)):
        if comparing and given:
            raise click.UsageError(f"{option} is for one network; a comparison trains several")
    if folds is not None and leave_out:
        raise click.UsageError("--folds and --leave-out are two protocols; run one comparison for each")
    place = build or default_build(output, recipe)
    declared = recipe_of(place, recipe or recipe_here(output, place))
    if comparing:
        compared = compare_baselines(
            place,
            declared,
            out=out,
            variant=variant,
            networks=networks,
            optimizers=optimizers,
            folds=folds,
            leave_out=leave_out,
            epochs=epochs,
            seeds=seeds or (1,),
            progress=output.progress,
        )
        output.table(["", "", *COMPARED], compared.rows())
        output.show("")
        output.show(f"The report is {compared.out / 'comparison.md'}")
        output.result("train-baseline-comparison-1", compared.to_dict())
        return
    if gate:
        # Checked before the training, which can take hours.
        require_declared_gate(declared)
    result = train(
        place,
        declared,
        out=out,
        variant=variant,
        network=networks[0] if networks else None,
        optimizer=optimizers[0] if optimizers else None,
        epochs=epochs,
        seeds=seeds or (1,),
        evaluate_only=evaluate_only,
        exclude_seen_patients=exclude_seen,
        progress=output.progress,
    )
    output.table(["", *METRICS], result.rows())
    output.show("")
    _report_training_data(output, result.document)
    if result.seconds_per_epoch is not None:
        output.show(f"An epoch took {result.seconds_per_epoch:.1f} s (median).")
    output.show(f"The report is {result.out / 'report.md'}")
    output.result("train-baseline-1", result.to_dict())
    if gate:
        require_gate(result.document.gate, result.out / "report.md")
        output.show(f"The gate is passed: {describe_checks(result.document.gate)}.")


def _report_training_data(output: Output, document: BaselineDocument) -> None:
    from cxrbuild.artifact.names import TRAINED_ON

    for split, of_split in document.dataset.excluded_as_seen.items():
        if any(of_split.values()):
            tested = document.dataset.counts[split]
            counts = ", ".join(
                f"{name} {count:,} of {count + tested[name]:,}" for name, count in of_split.items()
            )
            output.show(
                f"Excluded from {split}, because the model was trained on images of these patients: {counts}."
            )
    if document.runs[0].model.trained_on is None:
        output.show(
            f"The training images of this model are unknown, because there is no {TRAINED_ON} next to it: "
            "they may include images of this test."
        )
