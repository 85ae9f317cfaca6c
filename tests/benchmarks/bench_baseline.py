"""An epoch of `train-baseline` beside an epoch of a plain Keras script: same model, same images, one run.

    python tests/benchmarks/bench_baseline.py BUILD [--rounds N]

In each round every side runs in a process of its own, one after the other, for two epochs; the second counts,
so that what is compiled or read once is left out on every side. Ours is without checkpoint and measuring,
which the script does not do either.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

EPOCHS = 2
# Of the script's time an epoch, at the published code's batch and at ours.
TARGETS = {32: 0.55, 64: 0.8}


def ours(build: Path) -> list[float]:
    """Return the seconds of each epoch, and of reading the images."""
    from cxrbuild.baseline.input import read_images
    from cxrbuild.baseline.training import Trainer
    from cxrbuild.catalog import read_recipe
    from cxrbuild.progress import silent

    recipe = read_recipe("covid19-cxr")
    assert recipe.baseline is not None
    began = time.perf_counter()
    images = read_images(build, recipe.classes, 96, 80, silent)
    reading = time.perf_counter() - began
    trainer = Trainer(recipe.baseline, images, recipe.classes, seed=1)
    assert trainer.model.count_params() == 63_148_835
    epochs = [trainer.run_epoch(epoch, lambda _: None)["seconds"]["train"] for epoch in range(1, EPOCHS + 1)]
    return [*epochs, reading]


def seconds(*command: object) -> list[float]:
    done = subprocess.run([sys.executable, *map(str, command)], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("build", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ours", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.ours:
        print(json.dumps(ours(given.build)))
        sys.exit()
    here, peer = Path(__file__), Path(__file__).with_name("peer_keras.py")
    rows = []
    for number in range(given.rounds):
        epochs = seconds(here, given.build, "--ours")
        row = {"ours": epochs[EPOCHS - 1], "reading": epochs[EPOCHS]}
        row |= {f"script {batch}": seconds(peer, given.build, batch, EPOCHS)[-1] for batch in TARGETS}
        rows.append(row)
        print(f"round {number + 1}: " + ", ".join(f"{name} {value:.1f} s" for name, value in row.items()))
    for batch, target in TARGETS.items():
        ratios = [row["ours"] / row[f"script {batch}"] for row in rows]
        median = statistics.median(ratios)
        print(
            f"an epoch at batch 64 takes {median:.2f} ({min(ratios):.2f} to {max(ratios):.2f}) "
            f"of the script's at batch {batch}; "
            f"target at most {target}: {'reached' if median <= target else 'missed'}"
        )
