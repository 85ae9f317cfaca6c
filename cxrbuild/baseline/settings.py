"""The settings of a training: those of the recipe, with what a command changes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from cxrbuild.artifact.baseline import TrainingIdentity
from cxrbuild.baseline.input import Images
from cxrbuild.baseline.network_keras import read_weights, require_weights
from cxrbuild.catalog import Recipe
from cxrbuild.catalog.baseline import MAX_EPOCHS, MAX_SEED, Baseline, Training
from cxrbuild.catalog.network import Network
from cxrbuild.errors import CxrbuildError, name_some
from cxrbuild.files import sha256_of

Optimizer = Literal["adam", "nadam", "sgd"]


def choose_settings(
    recipe: Recipe,
    *,
    variant: str | None = None,
    network: str | None = None,
    optimizer: str | None = None,
    epochs: int | None = None,
) -> Baseline:
    """Return the settings of a recipe, with what a command changes.

    Parameters
    ----------
    recipe
        The recipe; without a `[baseline]` it has the defaults.
    variant
        A variant of the recipe's baseline.
    network
        The name of a network.
    optimizer
        The name of an optimizer.
    epochs
        Number of epochs.

    Raises
    ------
    CxrbuildError
        There is no such variant or network, or the number of epochs is invalid.
    """
    default = recipe.baseline or Baseline.model_validate({})
    if epochs is not None and not 1 <= epochs <= MAX_EPOCHS:
        raise CxrbuildError(
            "invalid number of epochs", expected=f"from 1 to {MAX_EPOCHS:,}", found=epochs,
            todo=f"Name a number from 1 to {MAX_EPOCHS:,}",
        )  # fmt: skip
    settings = default.with_variant(variant or default.variant)
    if network is not None:
        settings = settings.with_network(network)
    changes = {"optimizer": optimizer, "epochs": epochs}
    given = {key: value for key, value in changes.items() if value is not None}
    augmentation = settings.augmentation.model_copy(update={"side": settings.training_side})
    return settings.with_changes(augmentation=augmentation, **given)


def name_folder(recipe: Recipe, settings: Baseline, name: str) -> str:
    """Return the name of a result's folder, with a suffix for each setting that is not the default.

    Parameters
    ----------
    recipe
        The recipe.
    settings
        The settings of ``choose_settings``.
    name
        The name for the default.
    """
    default = recipe.baseline or Baseline.model_validate({})
    if settings.variant != default.variant:
        name += f"-{settings.variant}"
        default = default.with_variant(settings.variant)
    if settings.network.name != default.network.name:
        name += f"-{settings.network.name}"
    if settings.optimizer != default.optimizer:
        name += f"-{settings.optimizer}"
    return name


def trained_classes(recipe: Recipe, settings: Baseline) -> list[str]:
    """Return the classes that a model distinguishes: the recipe's, or those of the sample."""
    if settings.sample is None:
        return recipe.classes
    return [name for name in recipe.classes if name in settings.sample.count]


def require_trainable(recipe: Recipe, seeds: Sequence[int]) -> None:
    """Check that a recipe has two classes, and that all seeds are valid.

    Raises
    ------
    CxrbuildError
        They are not.
    """
    if len(recipe.classes) < 2:
        raise CxrbuildError(
            "a model needs two classes to distinguish",
            where=recipe.name,
            expected="two classes or more in the recipe's [labels]",
            found=recipe.classes[0],
            todo="Name a recipe with two classes or more",
        )
    invalid = [seed for seed in seeds if not 0 <= seed <= MAX_SEED]
    if invalid or not seeds:
        raise CxrbuildError(
            "invalid seeds",
            expected=f"one or more numbers from 0 to {MAX_SEED:,}",
            found=name_some(invalid) or "none",
            todo="Name seeds in this range",
        )


def find_weights(recipe: Recipe, settings: Baseline) -> Path | None:
    """Return the file of weights that a network starts from, ``None`` for random weights.

    Raises
    ------
    CxrbuildError
        The file does not exist; the error names the address that it comes from.
    """
    if settings.network.weights is None:
        return None
    path = recipe.folder / settings.network.weights
    require_weights(settings.network, path)
    return path


def require_fitting_weights(candidates: Sequence[tuple[Network, Path | None]]) -> None:
    """Check that each file of weights is that of its network, before a training that may take hours.

    Parameters
    ----------
    candidates
        Networks, each with the file that it starts from.

    Raises
    ------
    CxrbuildError
        A file cannot be read, or has the weights of another network.
    """
    read: list[tuple[Network, Path | None]] = []
    for network, weights in candidates:
        if weights is not None and (network, weights) not in read:
            read_weights(network, weights)
            read.append((network, weights))


def make_identity(
    settings: Baseline, classes: list[str], images: Images, weights: Path | None
) -> TrainingIdentity:
    """Return everything but the seed that decides the weights of a trained model.

    Parameters
    ----------
    settings
        The settings of ``choose_settings``.
    classes
        The classes in the order of their numbers.
    images
        The images.
    weights
        The file of weights that the network starts from.
    """
    import keras
    import tensorflow as tf

    values = {name: getattr(settings, name) for name in Training.model_fields}
    return TrainingIdentity(
        **values | {"network": without_folder(settings).network},
        seed=0,
        classes=classes,
        images_sha256=images.fingerprint(),
        weights_sha256=None if weights is None else sha256_of(weights),
        tensorflow=tf.__version__,
        keras=keras.__version__,
    )


def without_folder(settings: Baseline) -> Baseline:
    """Return the settings as documents record them: of the file of weights its name alone."""
    if settings.network.weights is None:
        return settings
    name = Path(settings.network.weights).name
    network = settings.network.model_copy(update={"weights": name})
    return settings.model_copy(update={"network": network})
