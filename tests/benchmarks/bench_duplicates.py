"""Measure how the audit finds changed copies of images: recall and precision by kind of change.

    python tests/benchmarks/bench_duplicates.py --build BUILD [--images 60] [--seed 1] [--workers N]

BUILD is a folder that `cxrbuild curate` wrote. Copies of some of its images are made, the same number from
each source. Each copy has one known change. They are searched among all images of the build. Recall is the
share of the copies that are found with their original. Precision is the share of correct pairs among those
with a copy. A pair is correct if both were made from one image, or from two that are duplicates in the build
itself: those are listed, so that a person can check them.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw, ImageFont, ImageOps

from cxrbuild.auditing.descriptors import ImageDescriptors, read_descriptors
from cxrbuild.auditing.duplicates import find_matches
from cxrbuild.auditing.images import read_images
from cxrbuild.auditing.store import DescriptorStore
from cxrbuild.cli.output import table
from cxrbuild.executors import default_workers, open_executor, run_batches
from cxrbuild.progress import silent
from cxrbuild.records import read_records

Draw = np.random.Generator


def resized(image: Image.Image, draw: Draw) -> Image.Image:
    factor = max(float(draw.choice([0.3, 0.5, 0.7, 1.5])), 96 / min(image.size))
    return image.resize((round(image.width * factor), round(image.height * factor)), Image.Resampling.BICUBIC)


def stretched(image: Image.Image, draw: Draw) -> Image.Image:
    wide, high = draw.uniform(0.5, 0.9, 2)
    return image.resize((round(image.width * wide), round(image.height * high)), Image.Resampling.BICUBIC)


def recompressed(image: Image.Image, draw: Draw) -> Image.Image:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=int(draw.integers(20, 60)))
    return Image.open(out).convert("L")


def crop(image: Image.Image, draw: Draw, most: float) -> Image.Image:
    left, top, right, bottom = draw.uniform(0.02, most, 4)
    width, height = image.size
    return image.crop(
        (int(left * width), int(top * height), int(width - right * width), int(height - bottom * height))
    )


def brighter(image: Image.Image, draw: Draw) -> Image.Image:
    gamma, shift = draw.choice([0.6, 1.5]), draw.integers(-30, 30)
    return image.point(lambda grey: int(np.clip(255 * (grey / 255) ** gamma + shift, 0, 255)))


def contrasted(image: Image.Image, draw: Draw) -> Image.Image:
    factor = draw.choice([0.5, 1.6])
    return image.point(lambda grey: int(np.clip((grey - 128) * factor + 128, 0, 255)))


def mirrored(image: Image.Image, draw: Draw) -> Image.Image:  # noqa: ARG001  no random value
    return ImageOps.mirror(image)


def with_margins(image: Image.Image, draw: Draw) -> Image.Image:
    margins = tuple(int(share * min(image.size)) for share in draw.uniform(0.02, 0.15, 4))
    return ImageOps.expand(image, margins, fill=int(draw.choice([0, 255])))


def rotated(image: Image.Image, draw: Draw) -> Image.Image:
    angle = draw.choice([-1, 1]) * draw.uniform(2, 5)
    return crop(image.rotate(angle, Image.Resampling.BICUBIC), draw, 0.1)


def annotated(image: Image.Image, draw: Draw) -> Image.Image:
    image = image.copy()
    pen, side = ImageDraw.Draw(image), int(min(image.size) * draw.uniform(0.08, 0.15))
    x, y = (int(draw.choice([0.02, 0.84]) * n) for n in image.size)
    pen.rectangle((x, y, x + side, y + side), fill=int(draw.choice([0, 255])))
    pen.text((x + side // 5, y), str(draw.choice(list("ABCD"))), fill=128, font=ImageFont.load_default(side))
    for _ in range(2):
        x, y = (int(share * n) for share, n in zip(draw.uniform(0.2, 0.8, 2), image.size, strict=True))
        pen.line((x, y, x + side, y + side), fill=255, width=max(2, side // 8))
    return image


def several(image: Image.Image, draw: Draw) -> Image.Image:
    return recompressed(annotated(contrasted(crop(resized(image, draw), draw, 0.1), draw), draw), draw)


CHANGES: dict[str, Callable[[Image.Image, Draw], Image.Image]] = {
    "resized": resized,
    "stretched": stretched,
    "recompressed": recompressed,
    "brightness": brighter,
    "contrast": contrasted,
    "letter and arrows": annotated,
    "mirrored": mirrored,
    "margins added": with_margins,
    "cropped, up to 15 % per side": partial(crop, most=0.15),
    "cropped, up to 25 % per side": partial(crop, most=0.25),
    "rotated and cropped": rotated,
    "several changes": several,
}


@dataclass(frozen=True)
class Copy:
    """A copy to make: of which image, with which change, at which path."""

    image: Path
    change: str
    out: Path
    seed: int


def make(copies: tuple[Copy, ...]) -> dict[str, ImageDescriptors]:
    """Make copies, and compute their descriptors; return them by SHA-256."""
    images = {}
    for copy in copies:
        with Image.open(copy.image) as image:
            changed = CHANGES[copy.change](image.convert("L"), np.random.default_rng(copy.seed))
        changed.save(copy.out, "JPEG", quality=95)
        data = copy.out.read_bytes()
        images[hashlib.sha256(data).hexdigest()] = read_descriptors(data)
    return images


def chosen(rows: pd.DataFrame, images: int, draw: Draw) -> list[int]:
    """Return the rows to copy, sources in turn."""
    order = rows.iloc[draw.permutation(len(rows))]
    turn = order.groupby("source").cumcount()
    return [int(i) for i in order.assign(turn=turn).sort_values(["turn", "source"]).index[:images]]


def main() -> None:
    """Print recall and precision by kind of change."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--images", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=default_workers())
    given = parser.parse_args()
    rows = read_records(given.build / "manifest.parquet").reset_index(drop=True)
    paths = [given.build / path for path in rows["jpeg_path"]]
    picked = chosen(rows, given.images, np.random.default_rng(given.seed))
    with tempfile.TemporaryDirectory() as name, open_executor("local", given.workers) as pool:
        folder = Path(name)
        store = DescriptorStore(folder)
        begun = time.perf_counter()
        problems = read_images(rows, given.build, store, pool, workers=given.workers, progress=silent)
        assert not problems, problems
        print(f"{len(rows):,} images read in {time.perf_counter() - begun:.1f} s")
        begun = time.perf_counter()
        digests = rows["jpeg_sha256"].tolist()
        real, _ = find_matches(
            store.table(digests), paths, folder, pool, workers=given.workers, progress=silent
        )
        print(f"and compared in {time.perf_counter() - begun:.1f} s, {given.workers} processes")
        copies = [
            Copy(paths[i], change, folder / f"{i}-{n}.jpg", given.seed + 1000 * i + n)
            for i in picked
            for n, change in enumerate(CHANGES)
        ]
        batches = [tuple(copies[i : i + 12]) for i in range(0, len(copies), 12)]
        made = dict(run_batches(pool, make, batches, ahead=3 * given.workers))
        for batch in batches:
            store.add(list(made[batch]), list(made[batch].values()))
            digests += made[batch]
        found, search = find_matches(
            store.table(digests), paths + [copy.out for copy in copies], folder, pool,
            workers=given.workers, progress=silent,
        )  # fmt: skip
        print(f"{search.compared_pairs:,} pairs compared, {search.skipped_pairs:,} skipped")
    same = [match for match in real if match.kind != "similar"]
    print(f"{len(same)} pairs in the build itself, {len(real) - len(same)} similar:")
    names = rows["image_id"]
    for match in sorted(same, key=lambda match: match.similarity):
        print(f"  {match.similarity:.2f} {match.kind} {names[match.a]} {names[match.b]}", *match.changes)
    known = {frozenset((match.a, match.b)) for match in same} | {frozenset((i,)) for i in range(len(rows))}
    made_of = [*range(len(rows)), *(i for i in picked for _ in CHANGES)]
    kinds = [copy.change for copy in copies]
    results = []
    for change in CHANGES:
        right = wrong = 0
        hit = set()
        for match in found:
            if match.kind == "similar" or match.b < len(rows):
                continue
            if kinds[match.b - len(rows)] != change:
                continue
            of = frozenset((made_of[match.a], made_of[match.b]))
            right, wrong = right + (of in known), wrong + (of not in known)
            if match.a == made_of[match.b]:
                hit.add(match.b)
        results.append(
            [change, f"{len(hit) / len(picked):.3f}", f"{right / max(right + wrong, 1):.3f}", right + wrong]
        )
    print(f"\n{len(picked)} images, each changed in {len(CHANGES)} ways, among {len(rows):,}")
    print(table(["change", "recall", "precision", "pairs"], results))


if __name__ == "__main__":
    main()
