"""Variants of the baseline: their declaration, their labels, and their optimizers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cxrbuild.artifact.baseline import TrainingIdentity
from cxrbuild.baseline import backend
from cxrbuild.baseline.backend import load_tensorflow
from cxrbuild.baseline.evaluation import keras_metrics
from cxrbuild.baseline.input import Images
from cxrbuild.baseline.pixels import Pixels
from cxrbuild.baseline.training import Trainer
from cxrbuild.catalog import read_recipe
from cxrbuild.catalog.baseline import Baseline, Training
from cxrbuild.catalog.network import Block, Dense, Network
from cxrbuild.errors import CxrbuildError

CLASSES = ["COVID-19", "Normal", "Pneumonia"]


def test_the_variant_text_follows_the_papers_text() -> None:
    code = read_recipe("covid19-cxr").baseline
    assert code.variant == "code"
    text = code.with_variant("text")
    assert text.variant == "text"
    assert text.network.pooling == "average"
    assert text.network.blocks == code.network.blocks
    assert text.label_smoothing_over == "others"
    rates = [stage.rate for stage in text.learning_rate]
    assert rates[0] < rates[1] > rates[2]
    unchanged = set(Training.model_fields) - {"network", "label_smoothing_over", "learning_rate"}
    assert all(getattr(text, name) == getattr(code, name) for name in unchanged)
    assert text.published == code.published


def test_the_default_variant_is_the_recipes_own_settings() -> None:
    code = read_recipe("covid19-cxr").baseline
    assert code.with_variant("code") == code.model_copy(update={"variants": {}})


def test_an_unknown_variant_gives_the_nearest_or_all() -> None:
    baseline = read_recipe("covid19-cxr").baseline
    with pytest.raises(CxrbuildError, match=r"called 'txt'; the nearest variant is 'text'"):
        baseline.with_variant("txt")
    with pytest.raises(CxrbuildError, match=r"called 'zzz'; expected one of code, text"):
        baseline.with_variant("zzz")


@pytest.mark.parametrize(
    ("variant", "message"),
    [
        (
            'epoch = 3\ndescription = "a"',
            r"variants.fast.epoch: unknown key; the nearest known key is `epochs`",
        ),
        ("epochs = 3", r"variants.fast.description: missing"),
        (
            'description = "a"\nnetwork = { side = 100 }',
            r"variants.fast: augmentation.side: 96 is less than network.side, 100",
        ),
        ('description = "a"\nmomentum = 1.5', r"variants.fast: expected a number under 1; found 1.5"),
    ],
)
def test_a_wrong_variant_is_an_error(tmp_path: Path, variant: str, message: str) -> None:
    shipped = Path(read_recipe("covid19-cxr").folder, "covid19-cxr.toml").read_text()
    path = tmp_path / "recipe.toml"
    path.write_text(f"{shipped}\n[baseline.variants.fast]\n{variant}\n")
    with pytest.raises(CxrbuildError, match=message):
        read_recipe(str(path))


def test_a_variant_with_the_name_of_the_default_is_an_error() -> None:
    with pytest.raises(ValueError, match="`variant` has the same name"):
        Baseline.model_validate({"variant": "code", "variants": {"code": {"description": "again"}}})


@pytest.mark.xdist_group("tensorflow")
@pytest.mark.parametrize(("over", "true", "other"), [("all", 0.92, 0.04), ("others", 0.88, 0.06)])
def test_labels_are_smoothed_as_declared(over: str, true: float, other: float) -> None:
    load_tensorflow()
    probabilities = np.array([[0.7, 0.2, 0.1]], np.float32)
    smoothing = Training.model_validate({"label_smoothing_over": over}).keras_label_smoothing(3)
    loss = keras_metrics(np.array([0]), probabilities, smoothing)["loss"]
    expected = -(np.log(probabilities[0]) * [true, other, other]).sum()
    assert loss == pytest.approx(expected, rel=1e-6)


@pytest.mark.xdist_group("tensorflow")
@pytest.mark.parametrize("optimizer", [pytest.param("nadam", marks=pytest.mark.slow), "sgd"])
def test_an_epoch_gives_the_weights_of_keras_with_the_same_optimizer(optimizer: str) -> None:
    load_tensorflow()
    import keras

    random = np.random.default_rng(0)
    grey = random.integers(0, 256, (8, 16, 16), dtype=np.uint8)
    labels = np.arange(8, dtype=np.int32) % 3
    network = Network(side=16, blocks=[Block(filters=4, convolutions=1)], dense=[Dense(units=8, dropout=0)])
    identity = TrainingIdentity.model_validate({
        "network": network.model_dump(), "optimizer": optimizer, "momentum": 0.5,
        "learning_rate": [{"from_epoch": 1, "rate": 0.01}],
        "label_smoothing_over": "others",
        "augmentation": {"flip": False, "brightness": 0, "contrast": (1, 1), "side": 16},
        "batch": 8, "seed": 5, "classes": CLASSES, "images_sha256": "", "tensorflow": "", "keras": "",
    })  # fmt: skip
    table, pixels = pd.DataFrame({"split": ["train"] * 8}), Pixels.of(grey)
    trainer = Trainer(Images(table, labels, pixels, pixels), identity)
    model = keras.models.clone_model(trainer.model)
    model.set_weights(trainer.model.get_weights())
    known = {"nadam": keras.optimizers.Nadam(0.01), "sgd": keras.optimizers.SGD(0.01, momentum=0.5)}
    model.compile(known[optimizer], "categorical_crossentropy")
    smoothed = np.where(np.eye(3)[labels] == 1, 0.88, 0.06)
    pixels = np.repeat(grey[..., np.newaxis] / np.float32(255), 3, axis=-1)
    for epoch in (1, 2):
        trainer.run_epoch(epoch, lambda _: None)
        model.fit(pixels, smoothed, batch_size=8, epochs=1, verbose=0)
    for ours, theirs in zip(trainer.model.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-5)


def test_all_packages_of_the_extra_are_looked_for_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    backend.require_packages()
    monkeypatch.setattr(backend, "_PACKAGES", ("numpy", "no_such_plots", "no_such_network"))
    with pytest.raises(CxrbuildError, match="not installed") as error:
        backend.require_packages()
    assert error.value.found == "no_such_plots, no_such_network"
