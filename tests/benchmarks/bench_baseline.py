"""Compare an epoch of `train-baseline` with one of a plain Keras script: same model, same images, one run.

    python tests/benchmarks/bench_baseline.py BUILD [--rounds N] [--every N] [--full-size]

In each round every program runs in a process of its own, one after the other, for two epochs. The second
epoch counts, so that compiling and reading once do not. Ours writes no checkpoint and measures nothing, as
the script does. With `--every N` both train on every Nth image alone: a step costs the same. Mooney's images
are enlarged with `--full-size` to about 1,300 pixels, which upstream has; the tests have them at 224 pixels.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ratios import record

EPOCHS = 2
# The limit of the ratio of our time to the script's, at the published code's batch and at ours.
TARGETS = {32: 0.55, 64: 0.8}


def make_part(build: Path, part: Path, every: int, *, full_size: bool) -> None:
    """Make a build of every Nth image of each split and class."""
    from full_size import enlarge
    from PIL import Image

    from cxrbuild.files import sha256_of
    from cxrbuild.records import read_records, write_records

    records = read_records(build / "manifest.parquet").sort_values("image_id")
    records = records[records.groupby(["split", "label"]).cumcount() % every == 0].set_index("image_id")
    enlarged = records.index[(records["source"] == "mooney") & full_size]
    jobs = []
    for number, (image_id, path) in enumerate(records["jpeg_path"].items()):
        target = part / str(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        if image_id in enlarged:
            jobs.append((str(build / str(path)), str(target), number))
        else:
            target.symlink_to((build / str(path)).resolve())
    with multiprocessing.get_context("spawn").Pool(os.cpu_count()) as pool:
        pool.map(enlarge, jobs, chunksize=16)
    for image_id in enlarged:
        target = part / str(records.at[image_id, "jpeg_path"])
        with Image.open(target) as image:
            records.loc[image_id, ["width", "height"]] = image.size
        records.loc[image_id, ["jpeg_sha256", "jpeg_bytes"]] = sha256_of(target), target.stat().st_size
    write_records(part / "manifest.parquet", records.reset_index())


def measure_ours(build: Path) -> list[float]:
    """Return the seconds of each epoch, and of reading the images."""
    from cxrbuild.artifact.baseline import TrainingIdentity
    from cxrbuild.baseline.input import read_images
    from cxrbuild.baseline.training import Trainer
    from cxrbuild.catalog import read_recipe
    from cxrbuild.catalog.baseline import Training
    from cxrbuild.progress import silent

    recipe = read_recipe("covid19-cxr")
    assert recipe.baseline is not None
    start = time.perf_counter()
    images = read_images(build, recipe.classes, 96, 80, silent, scratch=build)
    reading = time.perf_counter() - start
    images = images.select(images.table["split"].to_numpy() == "train")
    identity = TrainingIdentity.model_validate(
        {name: getattr(recipe.baseline, name) for name in Training.model_fields}
        | {"seed": 1, "classes": recipe.classes, "images_sha256": "", "tensorflow": "", "keras": ""}
    )
    trainer = Trainer(images, identity)
    assert trainer.model.count_params() == 63_148_835
    epochs = [trainer.run_epoch(epoch, lambda _: None)[1].train for epoch in range(1, EPOCHS + 1)]
    return [*epochs, reading]


def run_script(*command: object) -> list[float]:
    done = subprocess.run([sys.executable, *map(str, command)], check=True, capture_output=True, text=True)
    seconds: list[float] = json.loads(done.stdout)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("build", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--full-size", action="store_true")
    parser.add_argument("--ours", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.ours:
        print(json.dumps(measure_ours(given.build)))
        return
    with tempfile.TemporaryDirectory() as scratch:
        part = Path(scratch)
        make_part(given.build, part, given.every, full_size=given.full_size)
        compare(part, given.rounds, "full-size images" if given.full_size else "images as they are")


def compare(build: Path, rounds: int, images: str) -> None:
    """Run both programs in turns, and print and record the ratios."""
    here, peer = Path(__file__), Path(__file__).with_name("peer_keras.py")
    rows = []
    for number in range(rounds):
        epochs = run_script(here, build, "--ours")
        row = {"ours": epochs[EPOCHS - 1], "reading": epochs[EPOCHS]}
        row |= {f"script {batch}": run_script(peer, build, batch, EPOCHS)[-1] for batch in TARGETS}
        rows.append(row)
        figures = ", ".join(f"{name} {value:.1f} s" for name, value in row.items())
        print(f"round {number + 1}: {figures}", flush=True)
    for batch, target in TARGETS.items():
        ratios = [row["ours"] / row[f"script {batch}"] for row in rows]
        median = statistics.median(ratios)
        record(f"{images}: an epoch / the published code's at batch {batch}", ratios, at_most=target)
        print(
            f"{images}: an epoch at batch 64 takes {median:.2f} ({min(ratios):.2f} to {max(ratios):.2f}) "
            f"of the script's at batch {batch}; "
            f"target at most {target}: {'reached' if median <= target else 'missed'}"
        )


if __name__ == "__main__":
    main()
