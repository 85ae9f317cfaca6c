"""Train models on a build, and explain them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cxrbuild.api.arguments import AnyPath
from cxrbuild.api.declarations import recipe_of
from cxrbuild.arguments import checked
from cxrbuild.progress import Progress, silent

if TYPE_CHECKING:
    from cxrbuild.baseline import BaselineResult, ComparisonResult
    from cxrbuild.catalog import Recipe
    from cxrbuild.explanation import ExplanationResult


@checked
def train_baseline(
    build: AnyPath,
    recipe: AnyPath | Recipe | None = None,
    *,
    out: AnyPath | None = None,
    variant: str | None = None,
    network: str | None = None,
    optimizer: str | None = None,
    epochs: int | None = None,
    seeds: Sequence[int] = (1,),
    evaluate_only: AnyPath | None = None,
    exclude_seen: bool = False,
    progress: Progress = silent,
) -> BaselineResult:
    """Train the recipe's network on a build and evaluate it next to the published figures.

    Parameters
    ----------
    build
        The folder of a build, a release or a TensorFlow Datasets version.
    recipe
        The recipe whose ``[baseline]`` is trained; default the shipped recipe of the build's name.
    out
        The folder of the results; default ``<build>/baseline``, or ``<build>/evaluation`` of a saved model;
        of a release, ``<release>-baseline`` or ``<release>-evaluation`` next to it.
    variant
        A variant of the recipe's baseline, such as ``text``; default the recipe's own settings.
    network
        Another network: ``zhong``, ``covidnet-like`` or one of ``keras.applications``.
    optimizer
        Another optimizer: ``adam``, ``nadam`` or ``sgd``.
    epochs
        Number of epochs; default the recipe's.
    seeds
        A model is trained for each seed.
    evaluate_only
        A saved model to evaluate instead of training one.
    exclude_seen
        With ``evaluate_only``: exclude the images of patients that the model was trained on.
    progress
        Opens progress bars.

    Returns
    -------
    BaselineResult
        ``document``: the content of ``metrics.json``, with the ``gate`` of the recipe; ``rows()``: its table.

    Raises
    ------
    CxrbuildError
        The build has no pixels or not all classes, TensorFlow is not installed, or the model was trained on
        images of the test split.
    """
    from cxrbuild.baseline import train_baseline as train

    return train(
        Path(build),
        recipe_of(build, recipe),
        out=None if out is None else Path(out),
        variant=variant,
        network=network,
        optimizer=optimizer,
        epochs=epochs,
        seeds=tuple(seeds),
        evaluate_only=None if evaluate_only is None else Path(evaluate_only),
        exclude_seen_patients=exclude_seen,
        progress=progress,
    )


@checked
def compare_baselines(
    build: AnyPath,
    recipe: AnyPath | Recipe | None = None,
    *,
    out: AnyPath | None = None,
    variant: str | None = None,
    networks: Sequence[str] = (),
    optimizers: Sequence[str] = (),
    folds: int | None = None,
    leave_out: Sequence[str] = (),
    epochs: int | None = None,
    seeds: Sequence[int] = (1,),
    progress: Progress = silent,
) -> ComparisonResult:
    """Train every combination of networks and optimizers on the same images, and compare them.

    Parameters
    ----------
    build
        The folder of a build, a release or a TensorFlow Datasets version.
    recipe
        The recipe whose ``[baseline]`` is trained; default the shipped recipe of the build's name.
    out
        The folder of the results; default ``<build>/comparison``, with the variant, folds or sources;
        of a release, ``<release>-comparison`` next to it.
    variant
        A variant of the recipe's baseline; default the recipe's own settings.
    networks, optimizers
        Their names; default the recipe's. Differences are from the first combination.
    folds
        Cross-validate in so many folds of the images that are not in the test split.
    leave_out
        Sources that are withheld from training and evaluated on.
    epochs
        Number of epochs; default the recipe's.
    seeds
        A model is trained for each seed.
    progress
        Opens progress bars.

    Returns
    -------
    ComparisonResult
        ``document``: the content of ``comparison.json``; ``rows()``: its table.

    Raises
    ------
    CxrbuildError
        There is no such network or source, a class cannot fill the folds, a source cannot be withheld, or the
        build has no pixels.
    """
    from cxrbuild.baseline import compare_baselines as compare

    return compare(
        Path(build),
        recipe_of(build, recipe),
        out=None if out is None else Path(out),
        variant=variant,
        networks=tuple(networks),
        optimizers=tuple(optimizers),
        folds=folds,
        leave_out=tuple(leave_out),
        epochs=epochs,
        seeds=tuple(seeds),
        progress=progress,
    )


@checked
def explain(
    build: AnyPath,
    recipe: AnyPath | Recipe | None = None,
    data: AnyPath = "data",
    *,
    model: AnyPath | None = None,
    out: AnyPath | None = None,
    exclude_seen: bool = False,
    without_masks: bool = False,
    allow_missing: bool = False,
    occlude_all: bool = False,
    progress: Progress = silent,
) -> ExplanationResult:
    """Show which pixels a trained model uses, and what it predicts without the lungs.

    Parameters
    ----------
    build
        The folder of a build, a release or a TensorFlow Datasets version.
    recipe
        The recipe whose sources declare lung masks; default the shipped recipe of the build's name, else the
        one that the build records, if the declarations of its sources are where they were.
    data
        The folder that `fetch` filled, which has the masks.
    model
        A saved model; default ``baseline/model.keras`` in the build.
    out
        The folder of the results; default ``<build>/explanation``; of a release, ``<release>-explanation``
        next to it.
    exclude_seen
        Exclude the images of patients that the model was trained on.
    without_masks
        Do not read lung masks.
    allow_missing
        Continue without lung masks that are missing or cannot be used.
    occlude_all
        Make the occlusion map of every image, not only of those on the page.
    progress
        Opens progress bars.

    Returns
    -------
    ExplanationResult
        ``document``: the content of ``explanation.json``; ``rows()``: the table of its tests.

    Raises
    ------
    CxrbuildError
        The build has no pixels, the model has another input or other classes, TensorFlow is not installed,
        the model was trained on images of the test split, or lung masks cannot be used.
    """
    from cxrbuild.explanation import explain as explain_model

    return explain_model(
        Path(build),
        recipe_of(build, recipe, recorded=True),
        data=Path(data),
        model=None if model is None else Path(model),
        out=None if out is None else Path(out),
        exclude_seen_patients=exclude_seen,
        without_masks=without_masks,
        allow_missing=allow_missing,
        occlude_all=occlude_all,
        progress=progress,
    )
