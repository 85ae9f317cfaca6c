"""`explain` on networks by name, in mixed precision, and on models that were trained for some classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from baseline_training import BaselineResult

from cxrbuild.artifact.baseline import DatasetReference, TrainedOnDocument
from cxrbuild.baseline.augmentation import scale_pixels
from cxrbuild.baseline.backend import load_tensorflow
from cxrbuild.baseline.model import build_model, save_model
from cxrbuild.baseline.trained_on import write_trained_on
from cxrbuild.catalog import Recipe
from cxrbuild.catalog.network import Network
from cxrbuild.explanation import explain
from cxrbuild.explanation.attribution import Attribution, probabilities_of
from cxrbuild.explanation.model import open_model
from cxrbuild.files import sha256_of
from cxrbuild.records import read_records

pytestmark = pytest.mark.xdist_group("tensorflow")
SMALL = {"blocks": [{"filters": 4, "convolutions": 1}], "dense": [{"units": 8, "dropout": 0.5}]}


@pytest.mark.parametrize(
    ("network", "precision"),
    [
        ({"side": 20} | SMALL, "float32"),
        ({"side": 16} | SMALL, "mixed"),
        pytest.param({"name": "MobileNetV2", "side": 64}, "float32", marks=pytest.mark.slow),
        pytest.param({"name": "VGG16", "side": 64}, "float32", marks=pytest.mark.slow),
        pytest.param({"name": "covidnet-like", "side": 64}, "float32", marks=pytest.mark.slow),
    ],
    ids=["zhong", "mixed", "MobileNetV2", "VGG16", "covidnet-like"],
)
def test_every_network_has_maps(tmp_path: Path, network: dict[str, object], precision: str) -> None:
    load_tensorflow()
    declared = Network.model_validate(network)
    save_model(build_model(declared, 3, precision=precision), tmp_path / "model.keras", kept="nothing")
    model = open_model(tmp_path / "model.keras", ["a", "b", "c"])
    attribution = Attribution(model)
    assert attribution.side == declared.side
    grey = np.random.default_rng(0).integers(0, 256, (3, declared.side, declared.side), np.uint8)
    logits, cam = attribution.grad_cam(grey)
    np.testing.assert_allclose(attribution.predict(grey), logits, atol=1e-4)
    # The logits are those of the model's own probabilities.
    expected = np.asarray(model(scale_pixels(grey), training=False))
    np.testing.assert_allclose(
        probabilities_of(logits), expected, atol=2e-3 if precision == "mixed" else 1e-5
    )
    gradients = attribution.integrated_gradients(grey, logits.argmax(axis=1))
    occlusion = attribution.occlusion(grey[0], int(logits[0].argmax()))
    for maps in (cam, gradients, occlusion[np.newaxis]):
        assert maps.shape[1:] == grey.shape[1:]
        assert np.isfinite(maps).all()
        assert (maps >= 0).all()
    assert gradients.max() > 0


def test_a_model_of_two_of_three_classes_is_explained_on_these(
    demo: Path, recipe: Recipe, trained: BaselineResult, tmp_path: Path
) -> None:
    network, classes = Network.model_validate({"side": 16} | SMALL), ["COVID-19", "Normal"]
    model = tmp_path / "model.keras"
    save_model(build_model(network, 2), model, kept="nothing")
    records = read_records(demo / "build" / "manifest.parquet")
    images = records[(records["split"] == "train") & records["label"].isin(classes)]
    document = TrainedOnDocument(
        model_sha256=sha256_of(model), classes=classes, dataset=DatasetReference(name=None, version=None),
        manifest_sha256=None,
    )  # fmt: skip
    write_trained_on(tmp_path, images.rename(columns={"jpeg_sha256": "sha256"}), document)
    found = explain(demo / "build", recipe, model=model, out=tmp_path / "out").document
    assert found.classes == classes
    tested = trained.document.dataset.counts["test"]
    assert found.dataset.counts == {name: tested[name] for name in classes}
    table = pd.read_parquet(tmp_path / "out" / "explain.parquet")
    assert set(table["label"]) == set(classes)
