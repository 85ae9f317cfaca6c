"""The baseline's network: its layers, augmentation, training steps and files."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cxrbuild.artifact.baseline import Epoch, EpochTiming, Metrics, TrainingIdentity
from cxrbuild.baseline.backend import load_tensorflow
from cxrbuild.baseline.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from cxrbuild.baseline.disk import require_space
from cxrbuild.baseline.input import Images
from cxrbuild.baseline.model import build_model, copy_reproducibly, load_model, save_model
from cxrbuild.baseline.pixels import Pixels
from cxrbuild.baseline.training import Trainer
from cxrbuild.catalog import read_recipe
from cxrbuild.catalog.baseline import Augmentation
from cxrbuild.catalog.network import Block, Dense, Network
from cxrbuild.errors import CxrbuildError

# TensorFlow takes seconds to load: all its tests run in one worker.
pytestmark = pytest.mark.xdist_group("tensorflow")

CLASSES = ["COVID-19", "Normal", "Pneumonia"]
SMALL = Network(side=16, blocks=[Block(filters=4, convolutions=1)], dense=[Dense(units=8, dropout=0.5)])


@pytest.fixture(scope="module", autouse=True)
def tf():
    return load_tensorflow()


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(0)


# The network


@pytest.mark.parametrize("pooling", [pytest.param("average", marks=pytest.mark.slow), "max"])
def test_the_network_has_the_papers_layers(pooling: str) -> None:
    network = read_recipe("covid19-cxr").baseline.network
    model = build_model(network.model_copy(update={"pooling": pooling}), 3)
    assert model.count_params() == 63_148_835
    pool = {"average": "GlobalAveragePooling2D", "max": "GlobalMaxPooling2D"}[pooling]
    expected = [("InputLayer", (80, 80, 3), None)]
    for side, width, convolutions in ((80, 32, 2), (40, 64, 2), (20, 128, 3), (10, 128, 3)):
        expected += [("Conv2D", (side, side, width), "elu")] * convolutions
        expected += [("MaxPooling2D", (side // 2, side // 2, width), None), (pool, (width,), None)]
    expected += [
        ("Concatenate", (352,), None),
        ("Flatten", (12_800,), None),
        ("Concatenate", (13_152,), None),
        ("Dense", (4096,), "elu"),
        ("Dropout", (4096,), None),
        ("Dense", (2048,), "elu"),
        ("Dropout", (2048,), None),
        ("Dense", (3,), "softmax"),
    ]
    found = []
    for layer in model.layers:
        shape = layer.batch_shape if type(layer).__name__ == "InputLayer" else layer.output.shape
        found.append(
            (type(layer).__name__, shape[1:], getattr(getattr(layer, "activation", 0), "__name__", None))
        )
    assert sorted(found, key=str) == sorted(expected, key=str)
    assert [layer.rate for layer in model.layers if type(layer).__name__ == "Dropout"] == [0.5, 0.4]
    convolutions = [layer for layer in model.layers if type(layer).__name__ == "Conv2D"]
    assert {(layer.kernel_size, layer.padding) for layer in convolutions} == {((3, 3), "same")}
    # The last convolution is flattened, not its pool.
    assert model.get_layer("flatten").input is convolutions[-1].output


def test_mixed_precision_keeps_the_head_in_float32() -> None:
    model = build_model(SMALL, 3, precision="mixed")
    computed = {layer.name: layer.compute_dtype for layer in model.layers}
    assert computed["block1_conv1"] == "bfloat16"
    assert {computed[name] for name in ("dense1", "probability")} == {"float32"}
    assert {weight.dtype for weight in model.weights if "seed" not in weight.path} == {"float32"}


def test_a_model_of_another_architecture_is_an_error(tmp_path: Path) -> None:
    save_model(build_model(SMALL, 3), tmp_path / "model.keras", kept="nothing")
    assert (
        load_model(tmp_path / "model.keras", SMALL, 3).count_params() == build_model(SMALL, 3).count_params()
    )
    with pytest.raises(CxrbuildError) as error:
        load_model(tmp_path / "model.keras", SMALL.model_copy(update={"pooling": "average"}), 3)
    assert "the model's architecture differs" in str(error.value)
    assert "Expected: GlobalAveragePooling2D" in str(error.value)
    assert "Found: GlobalMaxPooling2D" in str(error.value)
    with pytest.raises(CxrbuildError, match=r"Expected: input 20 x 20 x 3\. Found: input 16 x 16 x 3"):
        load_model(tmp_path / "model.keras", SMALL.model_copy(update={"side": 20}), 3)
    with pytest.raises(CxrbuildError, match="Expected: Dense with weights 8 x 4, 4"):
        load_model(tmp_path / "model.keras", SMALL, 4)
    (tmp_path / "text.keras").write_text("no model")
    with pytest.raises(CxrbuildError, match="not a Keras model, or a damaged one"):
        load_model(tmp_path / "text.keras", SMALL, 3)
    with pytest.raises(CxrbuildError, match="no such model"):
        load_model(tmp_path / "absent.keras", SMALL, 3)


# Augmentation


def augmented(tf, grey: np.ndarray, side: int, seed: int = 1, **settings: object) -> np.ndarray:
    from cxrbuild.baseline.augmentation import augment

    quiet = {"flip": False, "brightness": 0, "contrast": (1, 1)}
    declared = Augmentation.model_validate(quiet | settings)
    return augment(tf.constant(grey), tf.constant([seed, 0]), declared, side).numpy()


def test_crops_have_every_position(tf) -> None:
    ramp = np.arange(144, dtype=np.uint8).reshape(1, 12, 12).repeat(200, axis=0)
    crops = augmented(tf, ramp, 8) * 255
    assert crops.shape == (200, 8, 8, 3)
    first = np.rint(crops[:, 0, 0, 0]).astype(int)
    rows, columns = first // 12, first % 12
    assert set(rows) == set(columns) == set(range(5))
    for crop, row, column in zip(crops, rows, columns, strict=True):
        expected = ramp[0, row : row + 8, column : column + 8]
        np.testing.assert_allclose(crop, np.repeat(expected[..., None], 3, axis=-1), atol=1e-4)


def test_flip_mirrors_half_of_the_images(tf, random: np.random.Generator) -> None:
    grey = random.integers(0, 256, (200, 6, 6), dtype=np.uint8)
    images = augmented(tf, grey, 6, flip=True)[..., 0]
    plain = np.isclose(images, grey / 255, atol=1e-6).all(axis=(1, 2))
    mirrored = np.isclose(images, grey[:, :, ::-1] / 255, atol=1e-6).all(axis=(1, 2))
    assert (plain ^ mirrored).all()
    assert 70 < mirrored.sum() < 130


@pytest.mark.parametrize(
    ("contrast", "low", "high"), [("mild", 0.8, 1.2), ("published", 0.1, 0.2), ((0.5, 0.6), 0.5, 0.6)]
)
def test_contrast_and_brightness_stay_in_their_ranges(
    tf, random: np.random.Generator, contrast: object, low: float, high: float
) -> None:
    grey = random.integers(0, 256, (300, 6, 6), dtype=np.uint8)
    images = augmented(tf, grey, 6, contrast=contrast, brightness=0.1)[..., 0]
    factor = images.std(axis=(1, 2)) / (grey / 255).std(axis=(1, 2))
    shift = images.mean(axis=(1, 2)) - (grey / 255).mean(axis=(1, 2))
    assert low - 1e-4 <= factor.min() < low + 0.1 * (high - low)
    assert high - 0.1 * (high - low) < factor.max() <= high + 1e-4
    assert -0.1 - 1e-4 <= shift.min() < -0.08
    assert 0.08 < shift.max() <= 0.1 + 1e-4


def test_the_seed_decides_the_augmentation(tf, random: np.random.Generator) -> None:
    grey = random.integers(0, 256, (8, 8, 8), dtype=np.uint8)
    once, again, other = (
        augmented(tf, grey, 6, seed, flip=True, brightness=0.1, contrast="mild") for seed in (1, 1, 2)
    )
    assert (once == again).all()
    assert (once != other).any()


@pytest.mark.slow
def test_an_epoch_equals_keras_fit(random: np.random.Generator) -> None:
    """Without augmentation and dropout, weights and figures are those of Keras' own loop."""
    import keras

    count = 40
    grey = random.integers(0, 256, (count, 16, 16), dtype=np.uint8)
    labels = np.arange(count, dtype=np.int32) % 3
    table = pd.DataFrame({"split": ["train"] * count})
    identity = TrainingIdentity.model_validate({
        "network": SMALL.model_dump() | {"dense": [{"units": 8, "dropout": 0}]},
        "augmentation": {"flip": False, "brightness": 0, "contrast": (1, 1), "side": 16},
        "batch": 16,
        "class_weights": {"COVID-19": 10, "Normal": 3},
        "seed": 5, "classes": CLASSES, "images_sha256": "", "tensorflow": "", "keras": "",
    })  # fmt: skip
    trainer = Trainer(Images(table, labels, Pixels.of(grey), Pixels.of(grey)), identity)
    model = keras.models.clone_model(trainer.model)
    model.set_weights(trainer.model.get_weights())
    model.compile(
        keras.optimizers.Adam(4e-4),
        keras.losses.CategoricalCrossentropy(label_smoothing=0.12),
        metrics=[
            keras.metrics.CategoricalAccuracy("accuracy"),
            keras.metrics.Precision(name="precision"),
            keras.metrics.Recall(name="recall"),
        ],
    )
    epoch, _ = trainer.run_epoch(1, lambda _: None)
    ours = epoch.metrics["train"].model_dump()
    order = np.random.default_rng([5, 1]).permutation(count)
    theirs = model.fit(
        np.repeat(grey[order, :, :, None] / np.float32(255), 3, axis=-1),
        np.eye(3, dtype=np.float32)[labels[order]],
        batch_size=16, class_weight={0: 10, 1: 3, 2: 1}, shuffle=False, verbose=0,
    ).history  # fmt: skip
    assert ours == pytest.approx({name: values[0] for name, values in theirs.items()}, rel=1e-5)
    for mine, other in zip(trainer.model.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(mine, other, atol=2e-6)


# Files


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_equal_weights_give_equal_files(tmp_path: Path) -> None:
    """Keras writes the time into `metadata.json`, and into the headers of the archive's entries."""
    import keras

    model = build_model(SMALL, 3, seed=1)
    save_model(model, tmp_path / "one.keras", kept="nothing")
    model.save(tmp_path / "dated.keras")
    with zipfile.ZipFile(tmp_path / "dated.keras") as archive:
        assert b"1980" not in archive.read("metadata.json")
        assert max(entry.date_time for entry in archive.infolist()) > (2000, 1, 1, 0, 0, 0)
    copy_reproducibly(tmp_path / "dated.keras", tmp_path / "two.keras")
    assert (tmp_path / "one.keras").read_bytes() == (tmp_path / "two.keras").read_bytes()
    with zipfile.ZipFile(tmp_path / "one.keras") as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    loaded = keras.saving.load_model(tmp_path / "one.keras")
    for mine, other in zip(model.get_weights(), loaded.get_weights(), strict=True):
        assert (mine == other).all()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dated.keras", "one.keras", "two.keras"]


def make_identity(**settings: object) -> TrainingIdentity:
    return TrainingIdentity.model_validate(
        {"seed": 1, "classes": CLASSES, "images_sha256": "ab", "tensorflow": "2", "keras": "3"} | settings
    )


def test_a_checkpoint_is_read_as_written(tmp_path: Path) -> None:
    path, identity = tmp_path / "checkpoint.npz", make_identity(epochs=10)
    assert read_checkpoint(path, identity) is None
    values = [np.arange(6, dtype=np.float32).reshape(2, 3), np.array(7, np.int64)]
    figures = Metrics(loss=1, accuracy=0.5, precision=float("nan"), recall=0)
    history = [Epoch(epoch=1, learning_rate=1e-4, metrics={"train": figures})]
    timing = [EpochTiming(epoch=1, train=2.5, measure=0.5)]
    write_checkpoint(path, Checkpoint(history, timing, values), identity)
    found = read_checkpoint(path, identity)
    assert found is not None
    assert found.history == history
    assert found.history[0].metrics["train"].precision is None
    assert found.timing == timing
    for value, other in zip(values, found.values, strict=True):
        assert value.dtype == other.dtype
        assert (value == other).all()
    with pytest.raises(CxrbuildError, match=r"another training\. Expected: epochs 12\. Found: epochs 10"):
        read_checkpoint(path, make_identity(epochs=12))
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(CxrbuildError, match="a damaged checkpoint"):
        read_checkpoint(path, identity)


def test_too_little_space_is_an_error_before_the_first_epoch(tmp_path: Path) -> None:
    require_space(tmp_path, 1)
    with pytest.raises(CxrbuildError, match="too little space for checkpoints and model"):
        require_space(tmp_path, 1 << 62)


@pytest.mark.parametrize("document", ["[]", "{}", '{"format": 1, "epochs": [], "timing": []}'])
def test_a_checkpoint_without_its_keys_is_an_error(tmp_path: Path, document: str) -> None:
    path = tmp_path / "checkpoint.npz"
    np.savez(path, document=np.array(document))
    with pytest.raises(CxrbuildError) as error:
        read_checkpoint(path, make_identity())
    assert f"{path}: not a checkpoint" in str(error.value)
    assert "Remove the file to train from scratch" in str(error.value)
