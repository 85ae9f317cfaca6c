"""Networks by name: their declaration, their layers, their weights from a file, and a training of one."""

from __future__ import annotations

import importlib
import re
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from command import CHECKOUT, run
from recording import Recorded

from cxrbuild.artifact.baseline import BaselineDocument
from cxrbuild.baseline import compare_baselines, train_baseline
from cxrbuild.baseline.backend import LOADING, load_tensorflow
from cxrbuild.baseline.model import build_model, load_model, save_model
from cxrbuild.baseline.trained_run import read_run
from cxrbuild.catalog import Recipe, read_recipe
from cxrbuild.catalog.baseline import Baseline
from cxrbuild.catalog.network import COVIDNET_LIKE, NETWORKS, ZHONG, Network
from cxrbuild.errors import CxrbuildError

tensorflow = pytest.mark.xdist_group("tensorflow")
KERAS = [name for name in NETWORKS if name not in (ZHONG, COVIDNET_LIKE)]
# A network of each module of keras.applications, which has its own preprocessing.
MODULES = {
    "VGG16": "vgg16",
    "VGG19": "vgg19",
    "DenseNet121": "densenet",
    "InceptionV3": "inception_v3",
    "InceptionResNetV2": "inception_resnet_v2",
    "Xception": "xception",
    "MobileNetV2": "mobilenet_v2",
    "ResNet50": "resnet",
    "ResNet50V2": "resnet_v2",
    "EfficientNetB0": "efficientnet",
}
# Built in half a second.
QUICK = ("MobileNetV2",)


# The declaration


def test_a_name_is_short_for_a_table() -> None:
    baseline = Baseline.model_validate({"network": "InceptionV3"})
    assert baseline.network == Network(name="InceptionV3", side=299, blocks=[], dense=[])
    assert baseline.training_side == 359
    assert Baseline.model_validate({}).network.name == ZHONG
    assert Baseline.model_validate({}).training_side == 96


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"name": "VGG91"}, "no network is called 'VGG91'; the nearest network is 'VGG19'"),
        ({"name": "InceptionV3", "side": 74}, "74 pixels are too few for InceptionV3; the least is 75"),
        ({"name": "VGG19", "pooling": "average"}, "pooling: only zhong has it"),
        ({"name": "VGG19", "dense": [{"units": 8, "dropout": 0}]}, "dense: only zhong has it"),
        ({"side": 15}, "15 pixels cannot be halved 4 times"),
        ({"blocks": []}, "blocks: is empty"),
        ({"weights": "a.h5"}, "no weights of zhong are published"),
        ({"name": "covidnet-like", "weights": "a.h5"}, "no weights of covidnet-like are published"),
    ],
)
def test_a_wrong_network_is_an_error(table: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Network.model_validate(table)


def test_another_network_has_its_own_side_and_the_recipes_margin() -> None:
    code = read_recipe("covid19-cxr").baseline
    changed = code.with_network("DenseNet201")
    assert (changed.network.side, changed.training_side) == (224, 269)
    assert (changed.batch, changed.class_weights) == (code.batch, code.class_weights)
    # The published figures are of the paper's network.
    assert changed.published is None
    assert code.with_network(ZHONG) is code
    with pytest.raises(CxrbuildError, match="no network is called 'densenet'; the nearest network is"):
        code.with_network("densenet")


def test_the_protocol_of_covidx_net_has_its_networks_at_224_pixels() -> None:
    protocol = read_recipe("covid19-cxr").baseline.with_variant("covidx-net")
    assert protocol.sample.count == {"COVID-19": 25, "Normal": 25}
    assert (protocol.network.name, protocol.network.side, protocol.training_side) == ("VGG19", 224, 224)
    assert protocol.gate.accuracy is None
    names = list(protocol.published.accuracy)
    assert len(names) == 7
    for name in names:
        settings = protocol.with_network(name)
        assert (settings.network.name, settings.network.side) == (name, 224)
        assert settings.published.accuracy == protocol.published.accuracy


def test_the_documentation_names_every_network() -> None:
    page = (CHECKOUT / "docs" / "networks.md").read_text(encoding="utf-8")
    for name, known in NETWORKS.items():
        row = next(line for line in page.splitlines() if line.startswith(f"| `{name}`"))
        assert f"| {known.side} |" in row
        assert f"({known.paper})" in row or f"[{known.paper}]" in row


# The layers


@tensorflow
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in KERAS],
)
def test_a_network_has_the_parameters_of_keras(name: str) -> None:
    load_tensorflow()
    import keras

    side = NETWORKS[name].side
    model = build_model(Network.model_validate({"name": name}), 3)
    own = getattr(keras.applications, name)(weights=None, classes=3, input_shape=(side, side, 3))
    assert model.count_params() == own.count_params()
    assert [type(layer).__name__ for layer in model.layers[2:]] == [
        type(layer).__name__ for layer in own.layers[1:]
    ]
    assert NETWORKS[name].side == own.input_shape[1]
    smaller = {"input_shape": (NETWORKS[name].least_side - 1,) * 2 + (3,), "weights": None}
    with pytest.raises(ValueError, match="Input size must be at least"):
        getattr(keras.applications, name)(include_top=False, **smaller)


@tensorflow
@pytest.mark.parametrize("name", MODULES)
def test_grey_values_are_scaled_as_keras_scales_them(name: str) -> None:
    load_tensorflow()
    from cxrbuild.baseline.network_keras import _scale

    grey = np.linspace(0, 1, 48, dtype=np.float32).reshape(1, 4, 12, 1).repeat(3, axis=-1)
    module = importlib.import_module(f"keras.applications.{MODULES[name]}")
    expected = module.preprocess_input((255 * grey).copy())
    found = _scale(NETWORKS[name].scaling)(grey)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    shared = [one for one in KERAS if one.startswith(name[:6])]
    assert {NETWORKS[one].scaling for one in shared if one.endswith("V2") == name.endswith("V2")} == {
        NETWORKS[name].scaling
    }


@tensorflow
def test_a_network_like_covid_net_has_its_blocks() -> None:
    load_tensorflow()
    model = build_model(Network(name=COVIDNET_LIKE, side=32, blocks=[], dense=[]), 3)
    depthwise = [layer for layer in model.layers if type(layer).__name__ == "DepthwiseConv2D"]
    sides = [layer.output.shape[1] for layer in depthwise]
    assert [sides.count(side) for side in (8, 4, 2, 1)] == [3, 4, 6, 3]
    for layer in depthwise:
        name = layer.name.removesuffix("_depthwise")
        widths = [
            model.get_layer(f"{name}_{part}").filters for part in ("projection1", "projection2", "extension")
        ]
        read = model.get_layer(f"{name}_projection1").input.shape[-1]
        assert widths[0] < read
        assert widths[0] < layer.output.shape[-1] > widths[1] < widths[2]
    # Fixed here, because the paper does not determine it.
    assert model.count_params() == 3_229_427


@tensorflow
@pytest.mark.slow
def test_equal_networks_have_equal_files(tmp_path: Path) -> None:
    """Keras numbers layers without a name, and the seed decides the weights."""
    load_tensorflow()
    import keras

    network = Network(name="Xception", side=71, blocks=[], dense=[])
    for name in ("one", "two"):
        keras.utils.set_random_seed(5)
        save_model(build_model(network, 2), tmp_path / f"{name}.keras", kept="nothing")
    assert (tmp_path / "one.keras").read_bytes() == (tmp_path / "two.keras").read_bytes()
    load_model(tmp_path / "one.keras", network, 2)
    other = Network(name="MobileNetV2", side=71, blocks=[], dense=[])
    with pytest.raises(CxrbuildError, match="the model's architecture differs"):
        load_model(tmp_path / "one.keras", other, 2)


@tensorflow
@pytest.mark.parametrize(
    ("network", "layer"),
    [
        ({"side": 16, "blocks": [{"filters": 4, "convolutions": 1}], "dense": []}, "block1_conv1"),
        pytest.param({"name": "MobileNetV2", "side": 32}, "Conv1", marks=pytest.mark.slow),
    ],
    ids=["zhong", "MobileNetV2"],
)
def test_mixed_precision_keeps_probabilities_in_float32(network: dict[str, object], layer: str) -> None:
    load_tensorflow()
    import keras

    model = build_model(Network.model_validate(network), 3, precision="mixed")
    (first,) = [one for one in model.layers if one.name == layer]
    assert first.compute_dtype == "bfloat16"
    assert (model.output.dtype, first.dtype) == ("float32", "float32")
    assert keras.config.dtype_policy().name == "float32"


# Weights from a file


@tensorflow
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.slow
def test_weights_without_the_head_are_read_from_a_file(tmp_path: Path) -> None:
    load_tensorflow()
    import keras

    path, network = tmp_path / "own.weights.h5", Network(name="MobileNetV2", side=32, blocks=[], dense=[])
    own = keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(32, 32, 3))
    own.save_weights(path)
    model = build_model(network, 3, weights=path)
    loaded = 0
    for layer in filter(lambda layer: layer.weights, own.layers):
        for mine, theirs in zip(model.get_layer(layer.name).get_weights(), layer.get_weights(), strict=True):
            np.testing.assert_array_equal(mine, theirs)
            loaded += 1
    assert loaded == 260
    with pytest.raises(CxrbuildError, match="not the weights of VGG16 without its head") as error:
        build_model(Network(name="VGG16", side=32, blocks=[], dense=[]), 3, weights=path)
    address = "https://storage.googleapis.com/tensorflow/keras-applications/vgg16/vgg16_weights_tf_dim"
    assert f"{path}: " in str(error.value)
    assert address in str(error.value)
    assert "Found: 260 arrays of weights; the network has 26." in str(error.value)
    keras.applications.MobileNetV2(alpha=0.5, include_top=False, weights=None).save_weights(path)
    with pytest.raises(CxrbuildError, match="not the weights of MobileNetV2") as error:
        build_model(network, 3, weights=path)
    found = (
        r"Found: \d+ arrays of 260 of another shape, such as [\dx ]+; the network has arrays such as [\dx ]+ "
    )
    assert re.search(found + "instead", str(error.value))
    path.write_text("no weights")
    with pytest.raises(CxrbuildError, match="not the weights of MobileNetV2") as error:
        build_model(network, 3, weights=path)
    assert "Found: a file that is not HDF5, or a damaged one." in str(error.value)


# A training


NAMED = """
[baseline]
epochs = 2
batch = 20
network = { name = "MobileNetV2", side = 32 }
learning_rate = [{ from_epoch = 1, rate = 1e-3 }]
resamples = 20
sample = { count = { "COVID-19" = 10, "Normal" = 12 }, test = 4 }
published = { where = "a protocol", accuracy = { MobileNetV2 = 0.6 } }

[baseline.variants.trained]
description = "From weights of a file"
network = { name = "VGG16", side = 32, weights = "own.weights.h5" }
"""


@pytest.fixture(scope="module")
def named_recipe(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's recipe with a network of Keras on a sample of its images."""
    folder = tmp_path_factory.mktemp("named")
    recipe = folder / "recipe.toml"
    recipe.write_text((demo / "declared" / "recipe.toml").read_text() + NAMED)
    return recipe


@tensorflow
def test_missing_weights_are_an_error_that_names_file_and_address(
    demo: Path, named_recipe: Path, tmp_path: Path
) -> None:
    ran = run("train-baseline", "--build", demo / "build", "--recipe", named_recipe, "--variant", "trained",
              "--out", tmp_path / "out", COLUMNS="1000")  # fmt: skip
    assert ran.status == 1
    assert f"{named_recipe.parent / 'own.weights.h5'}: no such file of weights of VGG16." in ran.err
    assert "from https://storage.googleapis.com/tensorflow/keras-applications/vgg16/" in ran.err
    assert not (tmp_path / "out").exists()


@tensorflow
@pytest.mark.parametrize("start", [train_baseline, partial(compare_baselines, networks=["zhong", "VGG16"])])
def test_weights_of_another_network_are_an_error_before_an_image_is_read(
    demo: Path, named_recipe: Path, tmp_path: Path, start: Callable[..., object]
) -> None:
    load_tensorflow()
    import h5py

    shutil.copytree(named_recipe.parent, tmp_path / "declared")
    with h5py.File(tmp_path / "declared" / "own.weights.h5", "w") as file:
        file["layers/dense/vars/0"] = np.zeros((2, 3), np.float32)
    recipe, progress = read_recipe(str(tmp_path / "declared" / "recipe.toml")), Recorded()
    with pytest.raises(CxrbuildError, match="not the weights of VGG16 without its head") as error:
        start(demo / "build", recipe, variant="trained", out=tmp_path / "out", progress=progress)
    assert "Found: 1 array of weights; the network has 26." in str(error.value)
    assert list(progress.totals) == [LOADING]
    assert not (tmp_path / "out").exists()


@tensorflow
@pytest.mark.slow
def test_a_named_network_is_trained_on_a_sample(demo: Path, named_recipe: Path, tmp_path: Path) -> None:
    ran = run("train-baseline", "--build", demo / "build", "--recipe", named_recipe, "--optimizer", "sgd",
              "--out", tmp_path / "out", "--quiet")  # fmt: skip
    assert ran.status == 0, ran.err
    document = BaselineDocument.read(tmp_path / "out" / "metrics.json")
    assert document.classes == ["COVID-19", "Normal"]
    assert document.dataset.counts == {
        "train": {"COVID-19": 6, "Normal": 8}, "test": {"COVID-19": 4, "Normal": 4},
    }  # fmt: skip
    assert (document.settings.network.name, document.settings.optimizer) == ("MobileNetV2", "sgd")
    report = (tmp_path / "out" / "report.md").read_text()
    assert "network MobileNetV2, 32 x 32 pixels" in report
    assert "**8 images show little**: one image more or less is 12.5 points" in report
    accuracy = document.summary.metrics["test"].accuracy.mean
    assert f"|  | accuracy | 0.6000 | {accuracy:.4f} | {accuracy - 0.6:+.4f} |" in report
    # The tables of another paper have other numbers.
    assert "(Table" not in report
    assert "(Figure" not in report
    trained = read_run(tmp_path / "out" / "model.keras")
    assert trained.classes == document.classes
    assert trained.network == document.settings.network
    last = trained.model.layers[-1]
    # Maps of attribution need the logits before the softmax.
    assert (type(last).__name__, last.activation.__name__) == ("Dense", "softmax")
    grey = np.zeros((1, 32, 32, 3), np.float32)
    assert np.asarray(trained.model(grey)).sum() == pytest.approx(1, abs=1e-5)
    assert read_run(tmp_path / "out" / "seed-1" / "model.keras").network == trained.network
    (tmp_path / "model.keras").write_bytes(trained.path.read_bytes())
    with pytest.raises(CxrbuildError, match="the network of this model is unknown"):
        read_run(tmp_path / "model.keras")


@tensorflow
def test_a_sample_of_too_many_patients_is_an_error(demo: Path, named_recipe: Path, tmp_path: Path) -> None:
    recipe: Recipe = read_recipe(str(named_recipe))
    text = named_recipe.read_text().replace('"Normal" = 12', '"Normal" = 1200')
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    ran = run("train-baseline", "--build", demo / "build", "--recipe", path, "--out", tmp_path / "out",
              COLUMNS="1000")  # fmt: skip
    assert ran.status == 1
    assert "the dataset has too few patients for the sample: Normal has" in ran.err
    assert "the sample 1,200 images" in ran.err
    assert recipe.baseline.sample.count["Normal"] == 12
