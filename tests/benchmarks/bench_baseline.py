"""Compare an epoch of `train-baseline` with one of a plain Keras script: same model, same images, one run.

    python tests/benchmarks/bench_baseline.py BUILD [--rounds N] [--every N]

In each round every program runs in a process of its own, one after the other, for two epochs. The second
epoch counts, so that compiling and reading once do not. Ours writes no checkpoint and measures nothing, as
the script does. With `--every N` both train on every Nth image alone: a step costs the same.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from ratios import record

EPOCHS = 2
# The limit of the ratio of our time to the script's, at the published code's batch and at ours.
TARGETS = {32: 0.55, 64: 0.8}


def measure_ours(build: Path, every: int = 1) -> list[float]:
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
    mask = np.zeros(len(images.labels), bool)
    mask[images.rows("train")[::every]] = True
    images = images.select(mask)
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
    return json.loads(done.stdout)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("build", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--ours", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.ours:
        print(json.dumps(measure_ours(given.build, given.every)))
        sys.exit()
    here, peer = Path(__file__), Path(__file__).with_name("peer_keras.py")
    rows = []
    for number in range(given.rounds):
        epochs = run_script(here, given.build, "--ours", "--every", given.every)
        row = {"ours": epochs[EPOCHS - 1], "reading": epochs[EPOCHS]}
        row |= {
            f"script {batch}": run_script(peer, given.build, batch, EPOCHS, given.every)[-1]
            for batch in TARGETS
        }
        rows.append(row)
        print(f"round {number + 1}: " + ", ".join(f"{name} {value:.1f} s" for name, value in row.items()))
    for batch, target in TARGETS.items():
        ratios = [row["ours"] / row[f"script {batch}"] for row in rows]
        median = statistics.median(ratios)
        record(f"an epoch / the published code's at batch {batch}", ratios, at_most=target)
        print(
            f"an epoch at batch 64 takes {median:.2f} ({min(ratios):.2f} to {max(ratios):.2f}) "
            f"of the script's at batch {batch}; "
            f"target at most {target}: {'reached' if median <= target else 'missed'}"
        )
