"""Images of the size that Mooney's have upstream, from those of the tests, which have 224 pixels."""

from __future__ import annotations

import multiprocessing
import random
from pathlib import Path

from PIL import Image

_SIDE = 1300
_RECIPE = """
name = "bench"
version = "1.0.0"
date = "2026-11-26"
title = "Images to measure"
sources = ["bench-source.toml"]

[labels]
"A" = { bench-source = ["a"] }
"B" = { bench-source = ["b"] }

[[rules]]
name = "unlabelled"
kind = "labelled"
reason = "The folder is no class."

[split]
salt = "bench"

[split.test]
share = 0.2
"""
_SOURCE = """
name = "bench-source"
title = "Images to measure"
license = "CC0-1.0"

[reader]
kind = "folders"
images = ["*.jpg"]
pattern = "^(?P<folder>[^/]+)/"

[columns.finding]
from = "folder"
"""


def enlarge(job: tuple[str, str, int]) -> None:
    """Write an image enlarged to about the size of Mooney's as grey JPEG."""
    source, target, seed = job
    with Image.open(source) as image:
        scale = _SIDE / max(image.size) * random.Random(seed).uniform(0.8, 1.2)
        size = round(image.width * scale), round(image.height * scale)
        # Noise, as a sensor's, so that the files are as large as those of the source.
        large = image.convert("L").resize(size, Image.Resampling.BICUBIC)
        noise = Image.effect_noise(size, 6)
        Image.blend(large, noise, 0.1).save(target, "JPEG", quality=90)


def make_full_size(data: Path, folder: Path, count: int, processes: int) -> list[Path]:
    """Write enlarged images in two classes, with a source and a recipe next to them; return their paths."""
    found = sorted(str(path) for path in (data / "sources" / "mooney").rglob("*.jp*g"))
    chosen = random.Random(1).sample(found, min(count, len(found)))
    jobs = []
    for number, source in enumerate(chosen):
        target = folder / "images" / "ab"[number % 2] / f"{number:05d}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        jobs.append((source, str(target), number))
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        pool.map(enlarge, jobs, chunksize=16)
    (folder / "bench-source.toml").write_text(_SOURCE)
    (folder / "recipe.toml").write_text(_RECIPE)
    return [Path(target) for _, target, _ in jobs]
