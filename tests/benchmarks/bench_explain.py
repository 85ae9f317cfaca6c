"""Compare `explain` with an epoch of `train-baseline`, and its memory for few and for many images.

    python tests/benchmarks/bench_explain.py BUILD [--data DIR] [--rounds N]

In each round every program runs in a process of its own, one after the other: two epochs of training, of
which the second counts; explaining every test image; and explaining a quarter of them. Times are scaled to
the paper's dataset: 5,614 training images and 740 test images. Loading TensorFlow counts for neither. The
weights are random: they decide no time.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# Windows does not report what processes used.
assert sys.platform != "win32"

TRAIN, TEST = 5614, 740
# Explaining the test images takes at most one epoch.
TARGET = 1.0


def measure_epoch(build: Path) -> dict[str, float]:
    """Return the seconds of an epoch, scaled to the paper's training images."""
    from bench_baseline import measure_ours

    from cxrbuild.records import read_records

    seconds = measure_ours(build)[1]
    return {"epoch": seconds * TRAIN / (read_records(build / "manifest.parquet")["split"] == "train").sum()}


def measure_explanation(build: Path, data: Path | None, model: Path) -> dict[str, float]:
    """Return the seconds of explaining a build, and the peak memory in MB."""
    from cxrbuild.baseline.backend import load_tensorflow
    from cxrbuild.catalog import read_recipe
    from cxrbuild.explanation import explain

    load_tensorflow()
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as out:
        result = explain(
            build, read_recipe("covid19-cxr"), data=data or Path("data"), model=model, out=Path(out),
            without_masks=data is None, allow_missing=True,
        )  # fmt: skip
    return {
        "seconds": time.perf_counter() - start,
        "images": sum(result.document.dataset.counts.values()),
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def save_untrained(path: Path) -> None:
    from cxrbuild.baseline.model import build_model, save_model
    from cxrbuild.catalog import read_recipe

    recipe = read_recipe("covid19-cxr")
    assert recipe.baseline is not None
    save_model(build_model(recipe.baseline.network, len(recipe.classes)), path, kept="nothing")


def make_part(build: Path, part: Path) -> None:
    """Make a build with a quarter of the test images of each class."""
    from cxrbuild.records import read_records, write_records

    records = read_records(build / "manifest.parquet").sort_values("image_id")
    number = records.groupby(["split", "label"]).cumcount()
    write_records(part / "manifest.parquet", records[(records["split"] == "train") | (number % 4 == 0)])
    (part / "images").symlink_to((build / "images").resolve())


def run_here(*words: object) -> dict[str, float]:
    command = [sys.executable, __file__, *map(str, words)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def main(given: argparse.Namespace) -> None:
    data = ["--data", given.data] if given.data else []
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        model, part = Path(folder) / "model.keras", Path(folder) / "part"
        part.mkdir()
        save_untrained(model)
        make_part(given.build, part)
        for number in range(given.rounds):
            epoch = run_here(given.build, "--measure", "epoch")["epoch"]
            whole = run_here(given.build, *data, "--measure", "explanation", "--model", model)
            quarter = run_here(part, *data, "--measure", "explanation", "--model", model)
            row = {
                "epoch": epoch,
                "explain": whole["seconds"] * TEST / whole["images"],
                "memory": whole["memory"],
                "memory of a quarter": quarter["memory"],
            }
            rows.append(row)
            print(f"round {number + 1}: " + ", ".join(f"{name} {value:.1f}" for name, value in row.items()))
    ratios = [row["explain"] / row["epoch"] for row in rows]
    median = statistics.median(ratios)
    print(
        f"explaining {TEST} images takes {median:.2f} ({min(ratios):.2f} to {max(ratios):.2f}) of an epoch; "
        f"target at most {TARGET:g}: {'reached' if median <= TARGET else 'missed'}"
    )
    growth = statistics.median(row["memory"] / row["memory of a quarter"] for row in rows)
    print(f"four times the images take {growth:.2f} times the memory")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("build", type=Path)
    parser.add_argument("--data", type=Path, help="the folder with the lung masks; without it none are read")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--measure", choices=["epoch", "explanation"], help=argparse.SUPPRESS)
    parser.add_argument("--model", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure == "epoch":
        print(json.dumps(measure_epoch(options.build)))
    elif options.measure == "explanation":
        print(json.dumps(measure_explanation(options.build, options.data, options.model)))
    else:
        main(options)
