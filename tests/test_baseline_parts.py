"""The baseline's parts: the network, its input, what is measured and what is demanded."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cxrbuild.baseline.backend import load_tensorflow
from cxrbuild.baseline.checkpoint import Checkpoint, read_checkpoint, require_space, write_checkpoint
from cxrbuild.baseline.evaluation import (
    confusion,
    cross_check,
    measure,
    measure_again,
    probability_of_truth,
    reliability,
    worst_mistakes,
)
from cxrbuild.baseline.gate import check_gate, require_gate
from cxrbuild.baseline.image_table import find_films
from cxrbuild.baseline.input import Images, read_images
from cxrbuild.baseline.model import build_model, load_model, save_model
from cxrbuild.baseline.training import Trainer
from cxrbuild.bootstrap import class_figures
from cxrbuild.catalog import read_recipe
from cxrbuild.catalog.baseline import Augmentation, Baseline, Block, Dense, Gate, Network
from cxrbuild.errors import CheckError, CxrbuildError, DeclarationError
from cxrbuild.progress import silent
from cxrbuild.records import read_records, write_records
from cxrbuild.shards import lay_out, write_tfrecord

# TensorFlow takes seconds to load: all its tests in one worker.
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


@pytest.mark.parametrize("pooling", ["average", "max"])
def test_the_network_is_the_papers_layer_by_layer(pooling: str) -> None:
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
    # Flattened is the last convolution, not its pool.
    assert model.get_layer("flatten").input is convolutions[-1].output


def test_mixed_precision_keeps_the_head_in_float32() -> None:
    model = build_model(SMALL, 3, precision="mixed")
    computed = {layer.name: layer.compute_dtype for layer in model.layers}
    assert computed["block1_conv1"] == "bfloat16"
    assert {computed[name] for name in ("dense1", "probability")} == {"float32"}
    assert {weight.dtype for weight in model.weights if "seed" not in weight.path} == {"float32"}


def test_a_model_of_another_architecture_is_refused(tmp_path: Path) -> None:
    save_model(build_model(SMALL, 3), tmp_path / "model.keras", kept="nothing")
    assert (
        load_model(tmp_path / "model.keras", SMALL, 3).count_params() == build_model(SMALL, 3).count_params()
    )
    with pytest.raises(CxrbuildError) as error:
        load_model(tmp_path / "model.keras", SMALL.model_copy(update={"pooling": "average"}), 3)
    assert "a model of another architecture" in str(error.value)
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


# Training images are varied


def augmented(tf, grey: np.ndarray, side: int, seed: int = 1, **settings: object) -> np.ndarray:
    from cxrbuild.baseline.augmentation import augment

    quiet = {"flip": False, "brightness": 0, "contrast": (1, 1)}
    declared = Augmentation.model_validate(quiet | settings)
    return augment(tf.constant(grey), tf.constant([seed, 0]), declared, side).numpy()


def test_a_crop_is_a_part_of_the_image_and_its_place_varies(tf) -> None:
    ramp = np.arange(144, dtype=np.uint8).reshape(1, 12, 12).repeat(200, axis=0)
    crops = augmented(tf, ramp, 8) * 255
    assert crops.shape == (200, 8, 8, 3)
    first = np.rint(crops[:, 0, 0, 0]).astype(int)
    rows, columns = first // 12, first % 12
    assert set(rows) == set(columns) == set(range(5))
    for crop, row, column in zip(crops, rows, columns, strict=True):
        expected = ramp[0, row : row + 8, column : column + 8]
        np.testing.assert_allclose(crop, np.repeat(expected[..., None], 3, axis=-1), atol=1e-4)


def test_a_flip_mirrors_half_of_the_images(tf, random: np.random.Generator) -> None:
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


def test_the_seed_decides_the_variation(tf, random: np.random.Generator) -> None:
    grey = random.integers(0, 256, (8, 8, 8), dtype=np.uint8)
    once, again, other = (
        augmented(tf, grey, 6, seed, flip=True, brightness=0.1, contrast="mild") for seed in (1, 1, 2)
    )
    assert (once == again).all()
    assert (once != other).any()


def test_training_is_what_keras_fit_does(random: np.random.Generator) -> None:
    """With nothing drawn, an epoch ends with the weights and the figures of Keras' own loop."""
    import keras

    count = 40
    grey = random.integers(0, 256, (count, 16, 16), dtype=np.uint8)
    labels = np.arange(count, dtype=np.int32) % 3
    table = pd.DataFrame({"split": ["train"] * count})
    baseline = Baseline.model_validate({
        "network": SMALL.model_dump() | {"dense": [{"units": 8, "dropout": 0}]},
        "augmentation": {"flip": False, "brightness": 0, "contrast": (1, 1), "side": 16},
        "batch": 16,
        "class_weights": {"COVID-19": 10, "Normal": 3},
    })  # fmt: skip
    trainer = Trainer(baseline, Images(table, labels, grey, grey), CLASSES, seed=5)
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
    ours = trainer.run_epoch(1, lambda _: None)["train"]
    order = np.random.default_rng([5, 1]).permutation(count)
    theirs = model.fit(
        np.repeat(grey[order, :, :, None] / np.float32(255), 3, axis=-1),
        np.eye(3, dtype=np.float32)[labels[order]],
        batch_size=16, class_weight={0: 10, 1: 3, 2: 1}, shuffle=False, verbose=0,
    ).history  # fmt: skip
    assert ours == pytest.approx({name: values[0] for name, values in theirs.items()}, rel=1e-5)
    for mine, other in zip(trainer.model.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(mine, other, atol=2e-6)


# The input


@pytest.fixture
def build(demo: Path, tmp_path: Path) -> Path:
    """A build that a test may damage."""
    return Path(shutil.copytree(demo / "build", tmp_path / "build"))


def test_build_shards_and_tfrecord_hold_the_same_images(build: Path) -> None:
    manifest = read_records(build / "manifest.parquet")
    write_tfrecord(
        lay_out(manifest), build, CLASSES, name="demo", version="1.0.0", description="", citation=""
    )
    (build / "shards").mkdir()
    (build / "data").rename(build / "shards" / "data")
    folders = [build, build / "shards", build / "tfds" / "demo" / "1.0.0"]
    first, *others = [read_images(folder, CLASSES, 20, 16, silent) for folder in folders]
    assert first.table["image_id"].tolist() == sorted(manifest["image_id"])
    assert first.table["group"].tolist() == manifest.sort_values("image_id")["group"].tolist()
    assert first.wide.std() > 10
    for other in others:
        assert other.fingerprint() == first.fingerprint()


def test_images_are_sampled_from_the_film_as_tensorflow_does(tf, build: Path) -> None:
    from PIL import Image

    manifest = read_records(build / "manifest.parquet").sort_values("image_id", ignore_index=True)
    images = read_images(build, CLASSES, 20, 16, silent)
    for row in (0, 40, len(manifest) - 1):
        with Image.open(build / manifest["jpeg_path"][row]) as film:
            grey = np.asarray(film.convert("L"), np.float32)[..., np.newaxis]
        for found, side in ((images.wide[row], 20), (images.whole[row], 16)):
            expected = tf.image.resize(grey, (side, side))[..., 0].numpy()
            assert np.abs(found - expected).max() < 1.01
        assert CLASSES[images.labels[row]] == manifest["label"][row]


def drop(build: Path, **where: str) -> None:
    records = read_records(build / "manifest.parquet")
    wanted = np.logical_and.reduce([records[name] == value for name, value in where.items()])
    write_records(build / "manifest.parquet", records[~wanted])


def test_a_missing_class_and_an_empty_part_are_named_together(build: Path) -> None:
    drop(build, split="test")
    drop(build, split="train", label="Normal")
    with pytest.raises(CxrbuildError) as error:
        find_films(build, CLASSES)
    assert "train holds no Normal; test is empty" in str(error.value)
    assert "Found: train COVID-19 38, train Pneumonia 22" in str(error.value)
    assert str(build) in str(error.value)


def test_a_class_that_the_recipe_does_not_know_is_named(build: Path) -> None:
    with pytest.raises(CxrbuildError, match="the recipe has no class Pneumonia"):
        find_films(build, CLASSES[:2])


def test_every_damaged_jpeg_is_named(build: Path) -> None:
    records = read_records(build / "manifest.parquet")
    paths = [build / path for path in records["jpeg_path"][:5]]
    paths[0].write_bytes(paths[0].read_bytes()[:-200])
    paths[1].write_bytes(b"<html>503 Service Unavailable</html>")
    paths[2].unlink()
    paths[3].write_bytes(paths[4].read_bytes())
    with pytest.raises(CxrbuildError) as error:
        read_images(build, CLASSES, 20, 16, silent)
    words = str(error.value)
    assert "4 images cannot be read" in words
    for path in paths[:4]:
        assert str(path) in words
    assert f"{paths[2]} (no such file)" in words
    assert f"{paths[3]} (other bytes than its SHA-256 in the manifest)" in words
    assert str(paths[4]) not in words
    # Where nothing is known of the bytes, the decoder still finds out.
    records["jpeg_sha256"] = None
    write_records(build / "manifest.parquet", records)
    with pytest.raises(CxrbuildError) as error:
        read_images(build, CLASSES, 20, 16, silent)
    assert "3 images cannot be read" in str(error.value)
    assert f"{paths[0]} (truncated: a JPEG" in str(error.value)
    assert f"{paths[1]} (unsupported: " in str(error.value)


def test_a_plan_and_an_empty_folder_are_no_dataset(build: Path, tmp_path: Path) -> None:
    records = read_records(build / "manifest.parquet")
    records["jpeg_path"] = None
    write_records(build / "manifest.parquet", records)
    with pytest.raises(CxrbuildError, match="A plan holds no images: run `cxrbuild curate`"):
        find_films(build, CLASSES)
    (tmp_path / "empty").mkdir()
    with pytest.raises(CxrbuildError, match="no dataset to train on"):
        find_films(tmp_path / "empty", CLASSES)


def test_a_shard_of_another_kind_is_named(build: Path) -> None:
    (build / "manifest.parquet").unlink()
    shard = build / "data" / "test-00000-of-00001.parquet"
    pd.DataFrame({"image": [1], "label": [0]}).to_parquet(shard)
    with pytest.raises(CxrbuildError, match=f"{shard}: not a shard of images with labels"):
        find_films(build, CLASSES)


# What is measured


@pytest.fixture
def predictions(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    labels = random.integers(0, 3, 200).astype(np.int32)
    logits = random.normal(size=(200, 3)) + 1.5 * np.eye(3)[labels]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    # Rounded, so that there are ties.
    return labels, np.round(probabilities, 1).astype(np.float32)


def test_keras_and_scikit_learn_agree(predictions: tuple[np.ndarray, np.ndarray]) -> None:
    labels, probabilities = predictions
    probabilities = probabilities / probabilities.sum(axis=1, keepdims=True)
    figures = measure(labels, probabilities, 0.12)
    cross_check(figures, measure_again(labels, probabilities, 0.12))
    with pytest.raises(CxrbuildError, match=r"Expected: recall 0\.\d+\. Found: recall 0.123000"):
        cross_check(figures | {"recall": 0.123}, figures)


def test_precision_and_recall_count_what_is_over_a_half() -> None:
    labels = np.array([0, 0, 1, 2], np.int32)
    probabilities = np.array([[0.9, 0.1, 0], [0.4, 0.3, 0.3], [0.7, 0.2, 0.1], [0, 0, 1]], np.float32)
    figures = measure(labels, probabilities, 0.0)
    # Right by the greatest: all but the third. Over a half: three, of which two are right.
    assert figures["accuracy"] == pytest.approx(3 / 4)
    assert figures["precision"] == pytest.approx(2 / 3)
    assert figures["recall"] == pytest.approx(2 / 4)


def test_figures_of_each_class_are_scikit_learns(predictions: tuple[np.ndarray, np.ndarray]) -> None:
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support, roc_auc_score

    labels, probabilities = predictions
    groups = [f"patient {row // 2}" for row in range(len(labels))]
    figures = class_figures(labels, probabilities, groups, resamples=100)
    called = probabilities.argmax(axis=1)
    expected = precision_recall_fscore_support(labels, called)[:3]
    for k, of_class in enumerate(figures):
        values = [of_class[name]["value"] for name in ("precision", "recall", "f1", "auc")]
        auc = roc_auc_score(labels == k, probabilities[:, k])
        assert values == pytest.approx([*(row[k] for row in expected), auc])
        assert all(figure["low"] < figure["value"] < figure["high"] for figure in of_class.values())
    assert (confusion(labels, probabilities) == confusion_matrix(labels, called)).all()


def test_patients_are_drawn_not_images(predictions: tuple[np.ndarray, np.ndarray]) -> None:
    """Nine copies of every film tell nothing new: drawn by patient, the intervals stay as wide."""
    labels, probabilities = predictions
    alone = class_figures(labels, probabilities, [str(i) for i in range(200)], resamples=500)
    labels, probabilities = labels.repeat(9), probabilities.repeat(9, axis=0)
    by_patient = class_figures(labels, probabilities, [str(i // 9) for i in range(1800)], resamples=500)
    by_image = class_figures(labels, probabilities, [str(i) for i in range(1800)], resamples=500)

    def width(figures: list) -> float:
        return figures[0]["recall"]["high"] - figures[0]["recall"]["low"]

    assert width(by_patient) == pytest.approx(width(alone))
    assert width(by_image) < width(alone) / 2


def test_a_class_that_is_never_called_has_no_precision() -> None:
    labels = np.array([0, 1, 2, 1], np.int32)
    probabilities = np.array([[0.8, 0.1, 0.1]] * 4, np.float32)
    figures = class_figures(labels, probabilities, list("abcd"), resamples=10)[1]
    assert np.isnan([figures["precision"][key] for key in ("value", "low", "high")]).all()
    assert figures["recall"]["value"] == 0
    assert figures["auc"]["value"] == 0.5


def test_the_probability_of_the_truth_has_its_interval() -> None:
    labels = np.zeros(100, np.int32)
    truth = np.linspace(0.5, 1, 100)
    mean, low, high = probability_of_truth(labels, np.stack([truth, 1 - truth], axis=1))
    assert mean == pytest.approx(0.75)
    assert mean - low == pytest.approx(1.96 * truth.std(ddof=1) / 10, rel=1e-4)
    assert high - mean == pytest.approx(mean - low)


def test_reliability_is_the_gap_between_confidence_and_truth() -> None:
    labels = np.array([0] * 10, np.int32)
    probabilities = np.array([[0.85, 0.15]] * 8 + [[0.35, 0.65]] * 2, np.float32)
    result = reliability(labels, probabilities)
    assert [(row["count"], row["accuracy"]) for row in result["bins"]] == [(2, 0), (8, 1)]
    assert result["expected_calibration_error"] == pytest.approx(0.2 * 0.65 + 0.8 * 0.15)


def test_the_worst_mistakes_come_first() -> None:
    table = pd.DataFrame({"image_id": ["a", "d", "c", "b"]})
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.1, 0.9], [0.2, 0.8]], np.float32)
    assert worst_mistakes(table, np.zeros(4, np.int32), probabilities) == [2, 3, 1]


def test_the_gate_names_what_fell_short() -> None:
    gate = Gate(accuracy=0.873, tolerance=0.02, recall={"COVID-19": 0.95})
    assert check_gate(gate, 0.853, {"COVID-19": 0.95})["passed"]
    require_gate(check_gate(gate, 0.853, {"COVID-19": 0.95}), "report.md")
    with pytest.raises(CheckError) as error:
        require_gate(check_gate(gate, 0.8529, {"COVID-19": 0.96}), "report.md")
    assert "fell short of the gate: test accuracy. Expected: test accuracy at least 0.8530" in str(
        error.value
    )
    assert error.value.status == 3
    with pytest.raises(CheckError, match=r"gate: recall of COVID-19\. .* Found: 0\.9400"):
        require_gate(check_gate(gate, 0.9, {"COVID-19": 0.94}), "report.md")
    assert not check_gate(gate, 0.9, {"COVID-19": float("nan")})["passed"]


# What is kept and what is declared


def test_a_checkpoint_gives_back_what_it_was_given(tmp_path: Path) -> None:
    path, identity = tmp_path / "checkpoint.npz", {"seed": 1, "epochs": 10}
    assert read_checkpoint(path, identity) is None
    values = [np.arange(6, dtype=np.float32).reshape(2, 3), np.array(7, np.int64)]
    write_checkpoint(path, Checkpoint([{"epoch": 1}], values), identity)
    held = read_checkpoint(path, identity)
    assert held is not None
    assert held.history == [{"epoch": 1}]
    for value, other in zip(values, held.values, strict=True):
        assert value.dtype == other.dtype
        assert (value == other).all()
    with pytest.raises(CxrbuildError, match=r"another kind\. Expected: epochs 12\. Found: epochs 10"):
        read_checkpoint(path, identity | {"epochs": 12})
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(CxrbuildError, match="a damaged checkpoint"):
        read_checkpoint(path, identity)


def test_a_disk_that_cannot_hold_it_is_refused_before_the_first_epoch(tmp_path: Path) -> None:
    require_space(tmp_path, 1)
    with pytest.raises(CxrbuildError, match="too little space for checkpoints and model"):
        require_space(tmp_path, 1 << 62)


def test_all_faults_of_a_baseline_are_told(demo: Path, tmp_path: Path) -> None:
    declared = shutil.copytree(demo / "declared", tmp_path / "declared")
    recipe = declared / "recipe.toml"
    recipe.write_text(
        recipe.read_text()
        + """
[baseline]
epoch = 3
learning_rate = [{ from_epoch = 2, rate = 1e-4 }]
[baseline.augmentation]
contrast = "strong"
"""
    )
    with pytest.raises(DeclarationError) as error:
        read_recipe(str(recipe))
    assert "baseline.epoch: unknown key; the nearest known key is `epochs`" in str(error.value)
    assert "baseline.augmentation.contrast" in str(error.value)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ('class_weights = { "Covid" = 2 }', "baseline.class_weights: 'Covid' is no class"),
        ('focus = "Covid"', "baseline.focus: 'Covid' is no class"),
        ('gate.recall = { "Covid" = 0.9 }', "baseline.gate.recall: 'Covid' is no class"),
        ("learning_rate = [{ from_epoch = 2, rate = 1e-4 }]", "the stages must start at epoch 1 and go up"),
        ("augmentation.side = 64", "augmentation.side: 64 is less than network.side, 80"),
        ("network.side = 8", "side: 8 pixels cannot be halved 4 times"),
        ("augmentation.contrast = [1.2, 0.8]", "contrast: 1.2 to 0.8 is no range of factors"),
    ],
)
def test_a_fault_of_a_baseline_is_told(demo: Path, tmp_path: Path, table: str, words: str) -> None:
    declared = shutil.copytree(demo / "declared", tmp_path / "declared")
    recipe = declared / "recipe.toml"
    recipe.write_text(f"{recipe.read_text()}\n[baseline]\n{table}\n")
    with pytest.raises(DeclarationError) as error:
        read_recipe(str(recipe))
    assert words in str(error.value)
