"""Leakage: the training images of a model are saved next to it and found in other datasets."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cxrbuild.artifact.baseline import DatasetReference, TrainedOnDocument
from cxrbuild.artifact.names import TRAINED_ON
from cxrbuild.baseline.dataset import HeldDataset, read_dataset
from cxrbuild.baseline.input import Images
from cxrbuild.baseline.leakage import exclude_seen, find_seen, require_unseen
from cxrbuild.baseline.pixels import Pixels
from cxrbuild.baseline.trained_on import find_trained_on, read_trained_on, write_trained_on
from cxrbuild.catalog import Recipe, read_recipe
from cxrbuild.errors import CxrbuildError
from cxrbuild.records import read_records
from cxrbuild.shards import lay_out

CLASSES = ["COVID-19", "Normal"]
DOCUMENT = TrainedOnDocument(
    model_sha256="ab",
    classes=CLASSES,
    dataset=DatasetReference(name="d", version="1.0.0"),
    manifest_sha256=None,
)


def images_of(
    *rows: tuple[str, str | None, str | None, str, str | None], split: str = "test"
) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["image_id", "source", "patient_id", "group", "sha256"], dtype="str")
    return table.assign(
        label=["COVID-19", "Normal"] * (len(table) // 2) + ["Normal"] * (len(table) % 2), split=split
    )


TRAINED = images_of(
    ("a_1", "a", "1", "a:1", "s1"), ("a_2", "a", "2", "a:2", None), ("b_9", "b", None, "b/9.png", None)
)


@pytest.mark.parametrize(
    ("row", "seen"),
    [
        (("a_1", "a", "7", "a:7", None), True),  # the image
        (("x_1", "x", "7", "x:7", "s1"), True),  # its bytes under another id
        (("a_3", "a", "2", "a:other", None), True),  # the patient, in another group
        (("a_3", "a", "3", "a:2", None), True),  # another patient of its group
        (("b_1", "b", "1", "b:1", None), False),  # a patient with the same id, of another source
        (("b_2", "b", None, "b/2.png", None), False),  # both patients are unknown
        (("a_3", None, None, "a_3", None), False),
    ],
)
def test_an_image_is_seen_if_it_or_its_patient_is(row: tuple, seen: bool) -> None:
    assert find_seen(images_of(row), TRAINED).tolist() == [seen]


def test_an_image_is_seen_through_a_third_image() -> None:
    """The dataset links patients 2 and 5; the model's dataset did not."""
    table = images_of(
        ("a_2", "a", "2", "a:25", None), ("a_5", "a", "5", "a:25", None), ("a_6", "a", "6", "a:6", None)
    )
    assert find_seen(table, TRAINED).tolist() == [True, True, False]


def test_leaked_images_are_counted_and_named() -> None:
    rows = [(f"a_{i}", "a", str(i), f"a:{i}", None) for i in range(1, 8)]
    table = pd.concat(
        [images_of(*rows), images_of(("a_1b", "a", "1", "a:1", None), split="train")], ignore_index=True
    )
    with pytest.raises(CxrbuildError) as error:
        require_unseen(Path("model.keras"), table, find_seen(table, TRAINED))
    assert "model.keras: leakage: the model was trained on images of patients in the test" in str(error.value)
    assert "Found: test COVID-19 1 of 3; test Normal 1 of 4: a_1, a_2. Add --exclude-seen" in str(error.value)
    require_unseen(Path("model.keras"), table, find_seen(table, TRAINED.iloc[2:]))


def test_seen_images_are_excluded_and_a_class_without_images_is_an_error() -> None:
    table = images_of(*((f"a_{i}", "a", str(i), f"a:{i}", None) for i in range(2, 6)))
    labels = np.array([CLASSES.index(label) for label in table["label"]], np.int32)
    grey = np.arange(4, dtype=np.uint8).reshape(4, 1, 1)
    images = Images(table, labels, Pixels.of(grey), Pixels.of(grey))
    remaining, excluded = exclude_seen(Path("m"), images, find_seen(table, TRAINED), CLASSES)
    assert remaining.table["image_id"].tolist() == ["a_3", "a_4", "a_5"]
    assert remaining.for_testing[:].ravel().tolist() == [1, 2, 3]
    assert excluded == {"test": {"COVID-19": 1, "Normal": 0}}
    seen = table["label"] == "COVID-19"
    with pytest.raises(CxrbuildError, match="m: no test image of COVID-19 remains"):
        exclude_seen(Path("m"), images, seen, CLASSES)


def test_training_images_are_read_for_their_model_only(tmp_path: Path) -> None:
    model = tmp_path / "model.keras"
    assert find_trained_on(model, "ab", CLASSES) is None
    write_trained_on(tmp_path, TRAINED, DOCUMENT)
    trained = find_trained_on(model, "ab", CLASSES)
    assert trained is not None
    assert trained.images["image_id"].tolist() == TRAINED["image_id"].tolist()
    assert trained.images["patient_id"].isna().tolist() == [False, False, True]
    assert trained.summary().model_dump() == {
        "dataset": {"name": "d", "version": "1.0.0"}, "manifest_sha256": None, "images": 3, "patients": 3,
        "counts": {"COVID-19": 1, "Normal": 2},
    }  # fmt: skip
    with pytest.raises(
        CxrbuildError, match=r"another model\. Expected: the list of model.keras with SHA-256 cd"
    ):
        find_trained_on(model, "cd", CLASSES)
    with pytest.raises(
        CxrbuildError, match=r"in another order\. Expected: Normal, COVID-19\. Found: COVID-19"
    ):
        find_trained_on(model, "ab", CLASSES[::-1])
    for content in (b"", b"no table"):
        (tmp_path / TRAINED_ON).write_bytes(content)
        with pytest.raises(
            CxrbuildError, match=f"{TRAINED_ON}: not a list of training images, or a damaged one"
        ):
            read_trained_on(tmp_path)
    TRAINED.to_parquet(tmp_path / TRAINED_ON)
    with pytest.raises(CxrbuildError, match="not a list of training images"):
        read_trained_on(tmp_path)


# Which dataset a folder holds


@pytest.fixture(scope="module")
def recipe(demo: Path) -> Recipe:
    return read_recipe(str(demo / "declared" / "recipe.toml"))


def test_a_dataset_of_another_recipe_is_an_error(
    demo: Path, public_release: Path, recipe: Recipe, tmp_path: Path
) -> None:
    from cxrbuild.shards import Description, write_shards

    manifest = read_records(demo / "build" / "manifest.parquet").head(2)
    dataset = Description(recipe.name, "2.0.0", "", "")
    write_shards(lay_out(manifest), demo / "build", recipe.classes, ["tfrecord"], dataset, out=tmp_path)
    paper = read_recipe("covid19-cxr")
    tfds = tmp_path / "tfds" / "demo_cxr" / "2.0.0"
    for folder, named, version in (
        (demo / "build", "demo-cxr", "1.0.0"),
        (public_release, "demo-cxr", "1.0.0"),
        (tfds, "demo_cxr", "2.0.0"),
    ):
        assert read_dataset(folder, recipe).reference == DatasetReference(name="demo-cxr", version=version)
        with pytest.raises(CxrbuildError) as error:
            read_dataset(folder, paper)
        assert str(error.value) == (
            f"{folder}: the build was made from another recipe. Expected: covid19-cxr. Found: {named}. "
            "Name its recipe with --recipe."
        )


def test_bare_parquet_has_no_name(demo: Path, recipe: Recipe, tmp_path: Path) -> None:
    shutil.copytree(demo / "build" / "data", tmp_path / "data")
    assert read_dataset(tmp_path, recipe) == HeldDataset(DatasetReference(name=None, version=None), None)


@pytest.mark.parametrize("content", ["[]", "{}", '{"name": 3}'])
def test_a_damaged_dataset_info_is_an_error(recipe: Recipe, tmp_path: Path, content: str) -> None:
    (tmp_path / "dataset_info.json").write_text(content)
    with pytest.raises(CxrbuildError, match=r"dataset_info\.json: not the dataset_info\.json of TensorFlow"):
        read_dataset(tmp_path, recipe)
