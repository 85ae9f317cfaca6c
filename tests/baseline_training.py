"""A trained baseline for several test modules: TensorFlow starts once and trains once for all of them."""

from __future__ import annotations

import gc
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from cxrbuild.baseline import BaselineResult, experiment, train_baseline
from cxrbuild.baseline.backend import load_tensorflow
from cxrbuild.catalog import Recipe, read_recipe

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# A network that trains in seconds.
SMALL = """
[baseline]
epochs = 5
batch = 16
class_weights = { "COVID-19" = 10, "Normal" = 3 }
learning_rate = [{ from_epoch = 1, rate = 4e-3 }, { from_epoch = 4, rate = 2e-3 }]
focus = "COVID-19"
resamples = 50

[baseline.network]
side = 16
blocks = [{ filters = 4, convolutions = 1 }]
dense = [{ units = 8, dropout = 0.5 }]

[baseline.augmentation]
side = 20

[baseline.gate]
accuracy = 1.0
tolerance = 0.0
recall = { "Normal" = 0.0 }

[baseline.published]
where = "a paper"
metrics = { test = { loss = 0.5, accuracy = 0.9, precision = 0.9, recall = 0.9 } }
probability = { "Normal" = [0.6, 0.5, 0.7] }
confusion = { "COVID-19" = [5, 1, 0], "Normal" = [0, 4, 0], "Pneumonia" = [0, 1, 4] }
"""


@pytest.fixture(scope="session")
def small_recipe(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of the demo's recipe with a small baseline."""
    folder = shutil.copytree(demo / "declared", tmp_path_factory.mktemp("baseline") / "declared")
    recipe = folder / "recipe.toml"
    recipe.write_text(recipe.read_text() + SMALL)
    return recipe


@pytest.fixture(scope="session")
def recipe(small_recipe: Path) -> Recipe:
    """The demo's recipe with a small baseline."""
    return read_recipe(str(small_recipe))


@pytest.fixture(scope="session")
def trained(demo: Path, recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> BaselineResult:
    """The result of two seeds, trained without interruption; a test that changes it works on a copy."""
    load_tensorflow()
    # Each training collects garbage: a search of all that TensorFlow imported takes long.
    gc.freeze()
    return train_baseline(demo / "build", recipe, out=tmp_path_factory.mktemp("out"), seeds=[1, 2])


@pytest.fixture
def drawn_figures(monkeypatch: pytest.MonkeyPatch) -> dict[str, Figure]:
    """The figures that a test draws, by the name of their file, which is empty.

    Writing takes most of the time; the figures of `trained` are written.
    """
    from matplotlib.figure import Figure

    figures: dict[str, Figure] = {}

    def keep(figure: Figure, path: Path, **_: object) -> None:
        figures[Path(path).name.lstrip(".").partition(".")[0]] = figure
        Path(path).touch()

    monkeypatch.setattr(Figure, "savefig", keep)
    return figures


@pytest.fixture
def laid_out_figures(drawn_figures: dict[str, Figure], monkeypatch: pytest.MonkeyPatch) -> dict[str, Figure]:
    """The same figures, laid out as they would be written."""
    from matplotlib.figure import Figure

    keep = Figure.savefig

    def lay_out(figure: Figure, path: Path, **options: object) -> None:
        if figure not in drawn_figures.values():  # the second format has the same layout
            figure.draw_without_rendering()
        keep(figure, path, **options)

    monkeypatch.setattr(Figure, "savefig", lay_out)
    return drawn_figures


@pytest.fixture
def without_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw no figures: they take longer than a small network."""
    monkeypatch.setattr(experiment, "draw_figures", lambda *_: None)


def load_weights(model: Path) -> list[np.ndarray]:
    import keras

    return keras.saving.load_model(model).get_weights()


def have_equal_weights(one: Path, other: Path) -> bool:
    return all((a == b).all() for a, b in zip(load_weights(one), load_weights(other), strict=True))
