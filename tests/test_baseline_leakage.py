"""What a model has seen: kept beside it, found again in other datasets, never tested on unawares."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cxrbuild.baseline.dataset import read_dataset
from cxrbuild.baseline.input import Images
from cxrbuild.baseline.leakage import find_seen, leave_out_seen, refuse_seen
from cxrbuild.baseline.trained_on import TRAINED_ON, read_trained_on, trained_on_of, write_trained_on
from cxrbuild.catalog import Recipe, read_recipe
from cxrbuild.errors import CxrbuildError
from cxrbuild.records import read_records
from cxrbuild.shards import lay_out

CLASSES = ["COVID-19", "Normal"]
NOTE = {"model_sha256": "ab", "classes": CLASSES, "dataset": {"name": "d", "version": "1.0.0"}} | {
    "manifest_sha256": None
}


def films(*rows: tuple[str, str | None, str | None, str, str | None], split: str = "test") -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["image_id", "source", "patient_id", "group", "sha256"], dtype="str")
    return table.assign(
        label=["COVID-19", "Normal"] * (len(table) // 2) + ["Normal"] * (len(table) % 2), split=split
    )


TRAINED = films(
    ("a_1", "a", "1", "a:1", "s1"), ("a_2", "a", "2", "a:2", None), ("b_9", "b", None, "b/9.png", None)
)


@pytest.mark.parametrize(
    ("row", "seen"),
    [
        (("a_1", "a", "7", "a:7", None), True),  # the film
        (("x_1", "x", "7", "x:7", "s1"), True),  # its bytes under another name
        (("a_3", "a", "2", "a:other", None), True),  # the patient, linked otherwise
        (("a_3", "a", "3", "a:2", None), True),  # what is linked to the patient
        (("b_1", "b", "1", "b:1", None), False),  # a patient of the same number, of another source
        (("b_2", "b", None, "b/2.png", None), False),  # neither patient is known
        (("a_3", None, None, "a_3", None), False),
    ],
)
def test_a_film_is_seen_where_it_or_its_patient_is(row: tuple, seen: bool) -> None:
    assert find_seen(films(row), TRAINED).tolist() == [seen]


def test_a_film_is_seen_by_way_of_a_third() -> None:
    """The dataset says that patients 2 and 5 are one; the model's did not know."""
    table = films(
        ("a_2", "a", "2", "a:25", None), ("a_5", "a", "5", "a:25", None), ("a_6", "a", "6", "a:6", None)
    )
    assert find_seen(table, TRAINED).tolist() == [True, True, False]


def test_what_leaks_is_counted_and_named_and_train_does_not_leak() -> None:
    rows = [(f"a_{i}", "a", str(i), f"a:{i}", None) for i in range(1, 8)]
    table = pd.concat(
        [films(*rows), films(("a_1b", "a", "1", "a:1", None), split="train")], ignore_index=True
    )
    with pytest.raises(CxrbuildError) as error:
        refuse_seen(Path("model.keras"), table, find_seen(table, TRAINED))
    assert "model.keras: the test would leak" in str(error.value)
    assert "Found: test COVID-19 1 of 3; test Normal 1 of 4: a_1, a_2. Add --leave-out-seen" in str(
        error.value
    )
    refuse_seen(Path("model.keras"), table, find_seen(table, TRAINED.iloc[2:]))


def test_the_others_are_left_and_a_class_that_is_gone_is_told() -> None:
    table = films(*((f"a_{i}", "a", str(i), f"a:{i}", None) for i in range(2, 6)))
    labels = np.array([CLASSES.index(label) for label in table["label"]], np.int32)
    grey = np.arange(4, dtype=np.uint8).reshape(4, 1, 1)
    images = Images(table, labels, grey, grey)
    kept, left_out = leave_out_seen(Path("m"), images, find_seen(table, TRAINED), CLASSES)
    assert kept.table["image_id"].tolist() == ["a_3", "a_4", "a_5"]
    assert kept.whole.ravel().tolist() == [1, 2, 3]
    assert left_out == {"test": {"COVID-19": 1, "Normal": 0}}
    seen = table["label"] == "COVID-19"
    with pytest.raises(CxrbuildError, match="m: no test film of COVID-19 is left"):
        leave_out_seen(Path("m"), images, seen, CLASSES)


def test_the_list_stands_beside_its_model_and_no_other(tmp_path: Path) -> None:
    model = tmp_path / "model.keras"
    assert trained_on_of(model, "ab", CLASSES) is None
    write_trained_on(tmp_path, TRAINED, NOTE)
    trained = trained_on_of(model, "ab", CLASSES)
    assert trained is not None
    assert trained.films["image_id"].tolist() == TRAINED["image_id"].tolist()
    assert trained.films["patient_id"].isna().tolist() == [False, False, True]
    assert trained.summary() == {
        "dataset": {"name": "d", "version": "1.0.0"}, "manifest_sha256": None, "images": 3, "patients": 3,
        "counts": {"COVID-19": 1, "Normal": 2},
    }  # fmt: skip
    with pytest.raises(CxrbuildError, match=r"another model\. Expected: that of model.keras with SHA-256 cd"):
        trained_on_of(model, "cd", CLASSES)
    with pytest.raises(
        CxrbuildError, match=r"in another order\. Expected: Normal, COVID-19\. Found: COVID-19"
    ):
        trained_on_of(model, "ab", CLASSES[::-1])
    for content in (b"", b"no table"):
        (tmp_path / TRAINED_ON).write_bytes(content)
        with pytest.raises(
            CxrbuildError, match=f"{TRAINED_ON}: not a list of training images, or a damaged one"
        ):
            read_trained_on(tmp_path)
    TRAINED.to_parquet(tmp_path / TRAINED_ON)
    with pytest.raises(CxrbuildError, match="not a list of training images"):
        read_trained_on(tmp_path)


# Whose dataset it is


@pytest.fixture(scope="module")
def recipe(demo: Path) -> Recipe:
    return read_recipe(str(demo / "declared" / "recipe.toml"))


def test_a_dataset_of_another_recipe_is_refused(
    demo: Path, public_release: Path, recipe: Recipe, tmp_path: Path
) -> None:
    from cxrbuild.shards import write_tfrecord

    manifest = read_records(demo / "build" / "manifest.parquet").head(2)
    write_tfrecord(
        lay_out(manifest), demo / "build", recipe.classes, name=recipe.name, version="2.0.0", description="",
        citation="", out=tmp_path,
    )  # fmt: skip
    paper = read_recipe("covid19-cxr")
    tfds = tmp_path / "tfds" / "demo_cxr" / "2.0.0"
    for folder, named, version in (
        (demo / "build", "demo-cxr", "1.0.0"),
        (public_release, "demo-cxr", "1.0.0"),
        (tfds, "demo_cxr", "2.0.0"),
    ):
        assert read_dataset(folder, recipe) == {"name": "demo-cxr", "version": version}
        with pytest.raises(CxrbuildError) as error:
            read_dataset(folder, paper)
        assert str(error.value) == (
            f"{folder}: the build is another recipe's. Expected: covid19-cxr. Found: {named}. "
            "Name its recipe with --recipe."
        )


def test_bare_parquet_does_not_say_whose_it_is(demo: Path, recipe: Recipe, tmp_path: Path) -> None:
    shutil.copytree(demo / "build" / "data", tmp_path / "data")
    assert read_dataset(tmp_path, recipe) == {"name": None, "version": None}
