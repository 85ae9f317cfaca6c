"""Measure how the audit finds films that were changed: recall and precision by kind of change.

    python tests/benchmarks/bench_duplicates.py --build BUILD [--films 60] [--seed 1] [--workers N]

BUILD is a folder that `cxrbuild curate` filled. Of some of its films, of each source by turns, copies are
made, each changed in one known way, and laid among all films of the build. Recall is the share of the copies
that are found with their film. Precision is the share of right pairs among those found with a copy; a pair is
right if both are made of one film, or of two that the audit finds to be one film in the build itself: those
are listed, to be looked at.
"""

from __future__ import annotations

import argparse
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

from cxrbuild.auditing.descriptors import Film, read_film
from cxrbuild.auditing.duplicates import find_matches
from cxrbuild.cli.output import table
from cxrbuild.executors import default_workers, open_executor, run_batches
from cxrbuild.progress import silent
from cxrbuild.records import read_records

Draw = np.random.Generator


def resized(film: Image.Image, draw: Draw) -> Image.Image:
    factor = max(draw.choice([0.3, 0.5, 0.7, 1.5]), 96 / min(film.size))
    return film.resize((round(film.width * factor), round(film.height * factor)), Image.Resampling.BICUBIC)


def squeezed(film: Image.Image, draw: Draw) -> Image.Image:
    wide, high = draw.uniform(0.5, 0.9, 2)
    return film.resize((round(film.width * wide), round(film.height * high)), Image.Resampling.BICUBIC)


def recompressed(film: Image.Image, draw: Draw) -> Image.Image:
    out = io.BytesIO()
    film.save(out, "JPEG", quality=int(draw.integers(20, 60)))
    return Image.open(out).convert("L")


def cut(film: Image.Image, draw: Draw, most: float) -> Image.Image:
    left, top, right, bottom = draw.uniform(0.02, most, 4)
    width, height = film.size
    return film.crop(
        (int(left * width), int(top * height), int(width - right * width), int(height - bottom * height))
    )


def brighter(film: Image.Image, draw: Draw) -> Image.Image:
    gamma, shift = draw.choice([0.6, 1.5]), draw.integers(-30, 30)
    return film.point(lambda grey: int(np.clip(255 * (grey / 255) ** gamma + shift, 0, 255)))


def contrasted(film: Image.Image, draw: Draw) -> Image.Image:
    factor = draw.choice([0.5, 1.6])
    return film.point(lambda grey: int(np.clip((grey - 128) * factor + 128, 0, 255)))


def mirrored(film: Image.Image, draw: Draw) -> Image.Image:  # noqa: ARG001  nothing is drawn
    return ImageOps.mirror(film)


def framed(film: Image.Image, draw: Draw) -> Image.Image:
    margins = tuple(int(share * min(film.size)) for share in draw.uniform(0.02, 0.15, 4))
    return ImageOps.expand(film, margins, fill=int(draw.choice([0, 255])))


def turned(film: Image.Image, draw: Draw) -> Image.Image:
    angle = draw.choice([-1, 1]) * draw.uniform(2, 5)
    return cut(film.rotate(angle, Image.Resampling.BICUBIC), draw, 0.1)


def lettered(film: Image.Image, draw: Draw) -> Image.Image:
    film = film.copy()
    pen, side = ImageDraw.Draw(film), int(min(film.size) * draw.uniform(0.08, 0.15))
    x, y = (int(draw.choice([0.02, 0.84]) * n) for n in film.size)
    pen.rectangle((x, y, x + side, y + side), fill=int(draw.choice([0, 255])))
    pen.text((x + side // 5, y), draw.choice(list("ABCD")), fill=128, font=ImageFont.load_default(side))
    for _ in range(2):
        x, y = (int(share * n) for share, n in zip(draw.uniform(0.2, 0.8, 2), film.size, strict=True))
        pen.line((x, y, x + side, y + side), fill=255, width=max(2, side // 8))
    return film


def several(film: Image.Image, draw: Draw) -> Image.Image:
    return recompressed(lettered(contrasted(cut(resized(film, draw), draw, 0.1), draw), draw), draw)


CHANGES: dict[str, Callable[[Image.Image, Draw], Image.Image]] = {
    "resized": resized,
    "squeezed": squeezed,
    "recompressed": recompressed,
    "brightness": brighter,
    "contrast": contrasted,
    "letter and arrows": lettered,
    "mirrored": mirrored,
    "margins added": framed,
    "cut, up to 15 % a side": partial(cut, most=0.15),
    "cut, up to 25 % a side": partial(cut, most=0.25),
    "turned and cut": turned,
    "several at once": several,
}


@dataclass(frozen=True)
class Copy:
    """A copy to be made: of which film, changed how, where it goes."""

    film: Path
    change: str
    out: Path
    seed: int


def make(copies: tuple[Copy, ...]) -> list[Film]:
    """Make copies, and read them in few numbers."""
    films = []
    for copy in copies:
        with Image.open(copy.film) as image:
            changed = CHANGES[copy.change](image.convert("L"), np.random.default_rng(copy.seed))
        changed.save(copy.out, "JPEG", quality=95)
        films.append(read_film(copy.out.read_bytes()))
    return films


def read(paths: tuple[Path, ...]) -> list[Film]:
    """Read films in few numbers."""
    return [read_film(path.read_bytes()) for path in paths]


def chosen(rows: pd.DataFrame, films: int, draw: Draw) -> list[int]:
    """Return the rows to copy, each source by turns."""
    order = rows.iloc[draw.permutation(len(rows))]
    turn = order.groupby("source").cumcount()
    return [int(i) for i in order.assign(turn=turn).sort_values(["turn", "source"]).index[:films]]


def main() -> None:
    """Print recall and precision by kind of change."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--films", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=default_workers())
    given = parser.parse_args()
    rows = read_records(given.build / "manifest.parquet").reset_index(drop=True)
    paths = [given.build / path for path in rows["jpeg_path"]]
    picked = chosen(rows, given.films, np.random.default_rng(given.seed))
    with tempfile.TemporaryDirectory() as folder, open_executor("local", given.workers) as pool:
        begun = time.perf_counter()
        pieces = [tuple(paths[i : i + 64]) for i in range(0, len(paths), 64)]
        read_of = dict(run_batches(pool, read, pieces, ahead=3 * given.workers))
        films = [film for piece in pieces for film in read_of[piece]]
        print(f"{len(films):,} films read in {time.perf_counter() - begun:.1f} s")
        begun = time.perf_counter()
        real = find_matches(films, paths, pool, workers=given.workers, progress=silent)
        print(f"and compared in {time.perf_counter() - begun:.1f} s, {given.workers} processes")
        copies = [
            Copy(paths[i], change, Path(folder) / f"{i}-{n}.jpg", given.seed + 1000 * i + n)
            for i in picked
            for n, change in enumerate(CHANGES)
        ]
        batches = [tuple(copies[i : i + 12]) for i in range(0, len(copies), 12)]
        made = dict(run_batches(pool, make, batches, ahead=3 * given.workers))
        everything = films + [film for batch in batches for film in made[batch]]
        found = find_matches(
            everything, paths + [copy.out for copy in copies], pool, workers=given.workers, progress=silent
        )
    same = [match for match in real if match.kind != "alike"]
    print(f"{len(same)} pairs in the build itself, {len(real) - len(same)} alike:")
    names = rows["image_id"]
    for match in sorted(same, key=lambda match: match.similarity):
        print(f"  {match.similarity:.2f} {match.kind} {names[match.a]} {names[match.b]}", *match.changes)
    known = {frozenset((match.a, match.b)) for match in same} | {frozenset((i,)) for i in range(len(films))}
    made_of = [*range(len(films)), *(i for i in picked for _ in CHANGES)]
    kinds = [copy.change for copy in copies]
    results = []
    for change in CHANGES:
        right = wrong = 0
        hit = set()
        for match in found:
            if match.kind == "alike" or match.b < len(films):
                continue
            if kinds[match.b - len(films)] != change:
                continue
            of = frozenset((made_of[match.a], made_of[match.b]))
            right, wrong = right + (of in known), wrong + (of not in known)
            if match.a == made_of[match.b]:
                hit.add(match.b)
        results.append(
            [change, f"{len(hit) / len(picked):.3f}", f"{right / max(right + wrong, 1):.3f}", right + wrong]
        )
    print(f"\n{len(picked)} films, each changed in {len(CHANGES)} ways, among {len(films):,}")
    print(table(["change", "recall", "precision", "pairs"], results))


if __name__ == "__main__":
    main()
