"""Images whose class is planted: a mark in a corner or a patch in the lungs; with lung masks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from PIL import Image

from cxrbuild.api import curate
from cxrbuild.baseline import experiment, train_baseline
from cxrbuild.catalog import Recipe, read_recipe

SIDE = 64
CLASSES = ("COVID-19", "Normal")
COUNTS = {"train": 96, "val": 16, "test": 48}
Sign = Literal["mark", "patch"]

SOURCE = """
name = "planted"
title = "Synthetic images"
license = "CC0-1.0"
public = true

[reader]
kind = "folders"
images = ["images/*.png"]
ignore = ["masks/*"]
patient_id = "keep"
pattern = "^images/(?P<split>[a-z]+)/(?P<class>[a-z]+)/(?P<patient>p[0-9]+)_(?P<sex>[FM])_(?P<age>[0-9]+)"

[columns]
patient_id = { from = "patient" }
finding = { from = "class" }
patient_sex = { from = "sex", map = { "F" = "F", "M" = "M" } }
patient_age = { from = "age" }
modality = { value = "XR" }
upstream_split = { from = "split" }

[lung_masks]
path = "masks/{stem}.png"
"""
RECIPE = """
name = "planted-cxr"
version = "1.0.0"
date = "2026-01-01"
title = "Synthetic images"
sources = ["planted.toml"]

[labels]
"COVID-19" = { planted = ["sick"] }
"Normal" = { planted = ["well"] }

[[rules]]
name = "other_finding"
kind = "labelled"
reason = "It has no class."

[split]
salt = "planted"

[[split.declared]]
source = "planted"
map = { train = "train", val = "validation", test = "test" }

[baseline]
epochs = 5
batch = 8
label_smoothing = 0.0
learning_rate = [{ from_epoch = 1, rate = 2e-3 }, { from_epoch = 4, rate = 5e-4 }]
focus = "COVID-19"
resamples = 100

[baseline.network]
side = 32
blocks = [{ filters = 8, convolutions = 1 }, { filters = 16, convolutions = 1 }]
dense = [{ units = 16, dropout = 0.1 }]

[baseline.augmentation]
side = 32
"""


@dataclass(frozen=True)
class Planted:
    """A build of planted images, and the model that was trained on it.

    Attributes
    ----------
    data
        The data folder.
    build
        The build; the model is in its folder ``baseline``.
    recipe_file, recipe
        The recipe.
    """

    data: Path
    build: Path
    recipe_file: Path
    recipe: Recipe


def make_planted(folder: Path, sign: Sign, *, masked: tuple[str, ...] = CLASSES) -> Planted:
    """Draw the images, build them and train a small network.

    Parameters
    ----------
    folder
        An empty folder.
    sign
        What the images of the class COVID-19 have and the others have not.
    masked
        The classes whose images have lung masks.
    """
    source = folder / "data" / "sources" / "planted"
    random = np.random.default_rng(1)
    number = 0
    for split, count in COUNTS.items():
        for label, name in zip(CLASSES, ("sick", "well"), strict=True):
            for _ in range(count // 2):
                number += 1
                stem = f"p{number:03d}_{'FM'[number % 4 == 0]}_{20 + number % 50}"
                lungs = draw_lungs(random)
                sick = label == CLASSES[0]
                pixels = draw_image(random, lungs, sign if sick else None)
                _save(source / "images" / split / name / f"{stem}.png", pixels)
                if label in masked:
                    _save(source / "masks" / f"{stem}.png", np.where(lungs, 255, 0))
    (folder / "planted.toml").write_text(SOURCE)
    (folder / "recipe.toml").write_text(RECIPE)
    recipe = read_recipe(str(folder / "recipe.toml"))
    build = folder / "build"
    curate(recipe, data=folder / "data", out=build, formats=[], workers=1)
    with pytest.MonkeyPatch.context() as patch:
        # They take longer than the training, and `explain` reads none.
        patch.setattr(experiment, "draw_figures", lambda *_: None)
        train_baseline(build, recipe)
    return Planted(folder / "data", build, folder / "recipe.toml", recipe)


def draw_lungs(random: np.random.Generator) -> np.ndarray:
    """Return two rectangles inside the border, at a place that differs from image to image."""
    mask = np.zeros((SIDE, SIDE), bool)
    top, left = (int(shift) for shift in random.integers(12, 17, 2))
    mask[top : top + 34, left : left + 13] = True
    mask[top : top + 34, left + 20 : left + 33] = True
    return mask


def draw_image(random: np.random.Generator, lungs: np.ndarray, sign: Sign | None) -> np.ndarray:
    """Return dark lungs in a grey chest with noise, with a white mark in a corner or a patch in the lungs."""
    pixels = np.where(lungs, 60.0, 130.0)
    if sign == "mark":
        pixels[1:8, 1:8] = 250
    if sign == "patch":
        rows, columns = np.nonzero(lungs)
        row = int(random.integers(rows.min(), rows.max() - 9))
        left = int(columns.min() + random.integers(0, 5) + 20 * random.integers(0, 2))
        pixels[row : row + 9, left : left + 9] = 250
    return np.clip(pixels + random.normal(0, 12, pixels.shape), 0, 255)


def _save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(path)
