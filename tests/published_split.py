"""A small source, a published list of its images, and the recipe that takes its split from the list."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from image_files import saved
from PIL import Image

SOURCE = """
name = "mine"
title = "Mine"
public = true

[reader]
kind = "folders"
pattern = '(?:^|/)(?P<patient>p\\d)_'
images = ["*.png"]
patient_id = "keep"

[columns.patient_id]
from = "patient"
"""
OTHER = """
name = "other"
title = "A source that a user brings"
public = true

[reader]
kind = "folders"
pattern = '(?P<patient>[^/]+)\\.png$'
images = ["*.png"]
patient_id = "keep"
"""
LIST = """
name = "ours"
title = "Ours"
columns = { file = "file", label = "class", patient = "patient", source = "from", split = "part" }
splits = { learn = "train", exam = "test" }

[[files]]
file = "list.csv"

[[sources]]
names = ["Mine", "mien"]
source = "mine"

[[sources]]
names = ["else"]
source = "other"
pattern = '^n(?P<number>\\d+)\\.png$'
path = "scans/n {number}.png"
"""
RECIPE = """
name = "ours"
version = "1.0.0"
date = "2026-11-23"
title = "Ours"
sources = ["mine.toml", "other.toml"]

[labels]
"Sick" = { ours = ["sick", "ill"] }
"Well" = { ours = ["well"] }

[split]
salt = "ours"
published = { list = "ours.toml" }
allow_empty = { train = ["Well"] }
"""
ROWS = """file;patient;class;from;part
p1_a.png;p1;sick;Mine;learn
.\\img\\P1_B.JPG;p1;ill;mien;exam
p2 c.png;p2;well;Mine;exam
p1_a.png;p9;well;mine;exam
n7.png;n7;well;else;learn
n8.png;n8;sick;;exam
"""


def write_declared(folder: Path, rows: str = ROWS, **replaced: str) -> Path:
    """Write source, list and recipe, and three images of the source; return the recipe's path."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {"mine": SOURCE, "other": OTHER, "ours": LIST, "recipe": RECIPE} | replaced
    for name, text in texts.items():
        (folder / f"{name}.toml").write_text(text, encoding="utf-8")
    (folder / "list.csv").write_text(rows, encoding="utf-8")
    source = folder / "data" / "sources" / "mine"
    for number, name in enumerate(("p1_a.png", "img/p1_b.png", "img/p2 c.png", "p3_d.png", "x.png")):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        write_image(source / name, number)
    return folder / "recipe.toml"


def write_image(path: Path, seed: int) -> None:
    """Write a small image of noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (24, 24), dtype=np.uint8)
    path.write_bytes(saved(Image.fromarray(pixels), "PNG"))
