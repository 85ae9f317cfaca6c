"""What `explain` refuses: masks of another size or missing, builds without pixels, other models."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from baseline_training import BaselineResult
from command import run
from PIL import Image
from recording import Recorded

from cxrbuild.catalog import Recipe, Source, read_source
from cxrbuild.catalog.lung_masks import LungMasks
from cxrbuild.catalog.source import Pin
from cxrbuild.errors import CxrbuildError, DeclarationError
from cxrbuild.explanation import explain
from cxrbuild.explanation.lungs import find_masks, make_region, require_usable
from cxrbuild.fetching.record import TreeFile, format_record, record_path
from cxrbuild.files import git_blob_of
from cxrbuild.progress import silent
from cxrbuild.records import conform, read_records, write_records

pytestmark = pytest.mark.xdist_group("tensorflow")

RECORDS = conform(
    pd.DataFrame(
        {
            "image_id": ["a", "b"], "source": "s", "source_path": ["images/a.png", "images/b.png"],
            "width": [60, 60], "height": [40, 40],
        }
    )
)  # fmt: skip
TOML = """
name = "s"
title = "A source"
[reader]
kind = "folders"
images = ["images/*"]
pattern = "^(?P<folder>[^/]+)/"
[lung_masks]
path = "masks/{stem}.png"
"""


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """A source of two images with masks, in `data`."""
    (tmp_path / "s.toml").write_text(TOML)
    for name in "ab":
        draw_mask(tmp_path / "data" / "sources" / "s" / "masks" / f"{name}.png", (60, 40))
    return read_source(str(tmp_path / "s.toml"))


def draw_mask(path: Path, size: tuple[int, int], white: int = 255) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros(size[::-1], np.uint8)
    pixels[5:-5, 5:-5] = white
    Image.fromarray(pixels).save(path)


def problems(source: Source, data: Path) -> dict[str, str]:
    return make_region(find_masks(RECORDS, [source], data), 8, silent)[1].unusable


# Lung masks


def test_masks_of_the_size_of_their_images_make_a_region(source: Source, tmp_path: Path) -> None:
    data = tmp_path / "data"
    # Fewer pixels in the same proportion fit too: 60 x 40 is 30 x 20.
    draw_mask(data / "sources" / "s" / "masks" / "b.png", (30, 20))
    region, masks = make_region(find_masks(RECORDS, [source], data), 8, silent)
    assert sorted(masks.files) == ["a", "b"]
    assert region.masks == 2
    assert region.coverage >= 0.9
    assert region.mask.shape == (8, 8)
    assert not region.mask[0].any()
    assert region.mask[3:5, 3:5].all()
    require_usable(masks, data)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda path: draw_mask(path, (40, 60)), "40 x 60 pixels, its image has 60 x 40"),
        (lambda path: draw_mask(path, (60, 43)), "60 x 43 pixels, its image has 60 x 40"),
        (lambda path: draw_mask(path, (60, 40), white=90), "nothing in it is white"),
        (lambda path: path.write_bytes(b"no image"), "unsupported: "),
    ],
    ids=["turned", "another proportion", "empty", "no image"],
)
def test_a_mask_that_cannot_be_used_is_named(
    source: Source, tmp_path: Path, change: Callable[[Path], None], problem: str
) -> None:
    change(tmp_path / "data" / "sources" / "s" / "masks" / "a.png")
    found = problems(source, tmp_path / "data")
    assert list(found) == ["s/masks/a.png"]
    assert found["s/masks/a.png"].startswith(problem)
    masks = make_region(find_masks(RECORDS, [source], tmp_path / "data"), 8, silent)[1]
    with pytest.raises(CxrbuildError, match=r"1 lung mask cannot be used.*masks/a\.png.*--allow-missing"):
        require_usable(masks, tmp_path / "data")


def test_a_mask_that_the_listing_names_is_missing(source: Source, tmp_path: Path) -> None:
    (tmp_path / "listing.txt").write_text("images/a.png\nimages/b.png\nmasks/a.png\nmasks/b.png\n")
    pinned = source.model_copy(update={"pin": Pin(sha256="0" * 64, listing="listing.txt")})
    (tmp_path / "data" / "sources" / "s" / "masks" / "b.png").unlink()
    # Without a listing nothing says that this image has a mask.
    assert problems(source, tmp_path / "data") == {}
    assert problems(pinned, tmp_path / "data") == {"s/masks/b.png": "no such file"}


def test_masks_of_two_sources_with_one_path_are_both_named(source: Source, tmp_path: Path) -> None:
    data = tmp_path / "data"
    other = source.model_copy(update={"name": "t"})
    shutil.copytree(data / "sources" / "s", data / "sources" / "t")
    records = pd.concat([RECORDS, RECORDS.assign(source="t", image_id=["c", "d"])], ignore_index=True)
    for name in "st":
        draw_mask(data / "sources" / name / "masks" / "a.png", (60, 40), white=90)
    masks = make_region(find_masks(records, [source, other], data), 8, silent)[1]
    assert masks.unusable == dict.fromkeys(["s/masks/a.png", "t/masks/a.png"], "nothing in it is white")
    assert sorted(masks.files) == ["b", "d"]


def test_a_mask_that_two_images_have_is_the_mask_of_neither(source: Source, tmp_path: Path) -> None:
    records = RECORDS.assign(source_path=["images/a.png", "images/old/a.jpg"])
    masks = find_masks(records, [source], tmp_path / "data")
    assert masks.files == {}
    assert masks.unusable == {"s/masks/a.png": "2 images have it: images/a.png, images/old/a.jpg"}


def test_masks_that_are_declared_but_not_there_are_an_error(source: Source, tmp_path: Path) -> None:
    with pytest.raises(CxrbuildError, match=r"declares lung masks.*masks/a\.png.*no such folder"):
        find_masks(RECORDS, [source], tmp_path / "elsewhere")
    shutil.rmtree(tmp_path / "data" / "sources" / "s" / "masks")
    with pytest.raises(CxrbuildError, match=r"masks/a\.png.*a folder without them.*--without-masks"):
        find_masks(RECORDS, [source], tmp_path / "data")
    assert find_masks(RECORDS.assign(source="other"), [source], tmp_path / "elsewhere").files == {}


def test_a_mask_that_changed_since_it_was_fetched_is_an_error(source: Source, tmp_path: Path) -> None:
    root = tmp_path / "data" / "sources" / "s"
    files = {
        f"masks/{name}.png": TreeFile("100644", git_blob_of(root / f"masks/{name}.png")) for name in "ab"
    }
    record_path(root).write_text(format_record(files))
    assert problems(source, tmp_path / "data") == {}
    draw_mask(root / "masks" / "a.png", (60, 40), white=200)
    with pytest.raises(
        CxrbuildError, match=r"1 lung mask changed.*the masks that fetch put.*masks/a\.png.*cxrbuild fetch"
    ):
        find_masks(RECORDS, [source], tmp_path / "data")


@pytest.mark.parametrize(
    ("path", "message"),
    [("masks/{id}.png", "no part is called {id}"), ("masks/a.png", "needs {stem} or {name}"),
     ("{stem", "not a template")],
)  # fmt: skip
def test_a_template_of_masks_that_cannot_be_filled_is_refused(
    tmp_path: Path, path: str, message: str
) -> None:
    (tmp_path / "s.toml").write_text(TOML.replace("masks/{stem}.png", path))
    with pytest.raises(DeclarationError, match=f"lung_masks.path: {message}"):
        read_source(str(tmp_path / "s.toml"))


def test_the_masks_of_cohen_are_declared() -> None:
    source = read_source("cohen")
    assert source.lung_masks is not None
    images = [path for path in source.listing if path.startswith("images/")]
    masked = {source.lung_masks.path_for(path) for path in images} & set(source.listing)
    assert len(masked) == 205
    # The other four files are masks of the same images again, called `..._mask.png.png`.
    others = {path for path in source.listing if path.startswith("annotations/lungVAE-masks/")} - masked
    assert sorted(path.rpartition("_mask")[2] for path in others if "_mask" in path) == [".png.png"] * 4
    assert LungMasks(path="{folder}/m/{name}").path_for("a/b.jpg") == "a/m/b.jpg"


# Builds and models


def test_a_build_without_pixels_is_refused(demo: Path, small_recipe: Path, tmp_path: Path) -> None:
    records = read_records(demo / "build" / "manifest.parquet")
    write_records(tmp_path / "manifest.parquet", records)
    ran = run("explain", "--build", tmp_path, "--recipe", small_recipe)
    assert ran.status == 1
    assert "this dataset has no pixels. Expected: " in " ".join(ran.err.split())
    assert "Found: manifest.parquet alone. Run `cxrbuild curate`" in " ".join(ran.err.split())


def test_a_damaged_image_is_named(
    demo: Path, recipe: Recipe, trained: BaselineResult, tmp_path: Path
) -> None:
    build = Path(shutil.copytree(demo / "build", tmp_path / "build"))
    path = min((build / "images" / "test" / "Normal").iterdir())
    path.write_bytes(b"no image")
    with pytest.raises(CxrbuildError, match=rf"1 image cannot be read.*{path.name} \(its SHA-256 differs"):
        explain(build, recipe, model=trained.out / "model.keras", out=tmp_path / "out")


def save_network(path: Path, side: int, channels: int, outputs: int, activation: str = "softmax") -> Path:
    from keras import Sequential, layers

    network = Sequential(
        [layers.Input((side, side, channels)), layers.Conv2D(2, 3), layers.Flatten(),
         layers.Dense(outputs, activation=activation)]
    )  # fmt: skip
    network.save(path)
    return path


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((16, 1, 3), r"the model has another input.*Found: 16 x 16 x 1"),
        (
            (16, 3, 2),
            r"the model has another output.*3 outputs, COVID-19, Normal, Pneumonia.*Found: 2 outputs",
        ),
        ((16, 3, 3, "sigmoid"), r"the model has another output.*activation sigmoid"),
    ],
    ids=["one channel", "two classes", "sigmoid"],
)
def test_another_model_is_refused(
    demo: Path, recipe: Recipe, tmp_path: Path, shape: tuple[int, int, int], message: str
) -> None:
    model = save_network(tmp_path / "other.keras", *shape)
    with pytest.raises(CxrbuildError, match=message):
        explain(demo / "build", recipe, model=model, out=tmp_path / "out")


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_a_model_without_rows_and_columns_is_refused(demo: Path, recipe: Recipe, tmp_path: Path) -> None:
    from keras import Sequential, layers

    network = [
        layers.Input((16, 16, 3)),
        layers.GlobalAveragePooling2D(),
        layers.Dense(3, activation="softmax"),
    ]
    Sequential(network).save(tmp_path / "other.keras")
    with pytest.raises(CxrbuildError, match="no layer of the model has rows and columns") as caught:
        explain(demo / "build", recipe, model=tmp_path / "other.keras", out=tmp_path / "out")
    assert caught.value.where == tmp_path / "other.keras"
    assert str(caught.value.found) == "layers of the kinds GlobalAveragePooling2D, Dense"
    assert "train-baseline" in caught.value.todo


def test_a_missing_or_damaged_model_is_refused(demo: Path, recipe: Recipe, tmp_path: Path) -> None:
    model = tmp_path / "m.keras"
    with pytest.raises(CxrbuildError, match=r"no such model.*train-baseline"):
        explain(demo / "build", recipe, model=model)
    model.write_bytes(b"no model")
    with pytest.raises(CxrbuildError, match=r"not a Keras model.*train-baseline.*--model"):
        explain(demo / "build", recipe, model=model)


def test_images_of_patients_that_the_model_was_trained_on_are_never_explained(
    demo: Path, recipe: Recipe, trained: BaselineResult, tmp_path: Path
) -> None:
    build = Path(shutil.copytree(demo / "build", tmp_path / "build"))
    records = read_records(build / "manifest.parquet")
    moved = records.index[(records["split"] == "train") & (records["label"] == "Normal")][:1]
    records.loc[moved, "split"] = "test"
    write_records(build / "manifest.parquet", records)
    model = trained.out / "model.keras"
    with pytest.raises(CxrbuildError, match="leakage: the model was trained on images of patients"):
        explain(build, recipe, model=model, out=tmp_path / "out")
    progress = Recorded()
    found = explain(
        build, recipe, model=model, out=tmp_path / "out", exclude_seen_patients=True, progress=progress
    )
    # Without masks and a validation split no bar is of them.
    progress.require_ended()
    assert {"reading lung masks", "predicting validation images"}.isdisjoint(progress.planned)
    assert found.document.dataset.excluded_as_seen == {"COVID-19": 0, "Normal": 1, "Pneumonia": 0}
    assert found.document.dataset.counts == trained.document.dataset.counts["test"]
    assert found.document.lungs is None
