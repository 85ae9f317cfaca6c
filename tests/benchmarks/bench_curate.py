r"""Compare `cxrbuild curate` with bare Pillow, Hugging Face datasets and tfds on the same images.

    python tests/benchmarks/bench_curate.py --data DATA [--images 800] [--rounds 3] \
        [--peers] [--img2dataset COMMAND]

DATA is a folder that `cxrbuild fetch` filled. Two sets of images are measured: *small*, the images of the
shipped recipe as they are; and *full*, images of Mooney's source enlarged to about 1,300 pixels, the size
of that source, as grey JPEG. All programs run in turns, as processes of their own with the same number of
workers. Bare Pillow decodes and encodes, and writes nothing; `curate` writes JPEGs, Parquet and TFRecord;
the peers write Parquet or TFRecord of grey images. img2dataset, installed in an environment of its own,
gets them from a server on the loopback, whose time does not count, and keeps their colours. Then `curate`
runs again on the finished build, and once more after one of a hundred sources changed and was fetched.

A figure is a ratio of processor time (user and system, of all processes); the ratio of elapsed time is next
to it. Elapsed time depends on what else runs and on the disk: a disk in memory (/dev/shm) removes the latter.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from full_size import make_full_size
from PIL import Image
from ratios import record

# Windows does not report what processes used.
assert sys.platform != "win32"


class Cost(NamedTuple):
    """Hold the seconds that a command took: elapsed, and of all its processes together."""

    elapsed: float
    processor: float

    def over(self, *others: Cost) -> Ratio:
        """Return the ratios to the mean of others."""
        elapsed, processor = (statistics.mean(column) for column in zip(*others, strict=True))
        return Ratio(self.elapsed / elapsed, self.processor / processor)


class Ratio(NamedTuple):
    """Hold a ratio of elapsed time, and one of processor time."""

    elapsed: float
    processor: float

    def __str__(self) -> str:
        return f"{self.processor:.3f} ({self.elapsed:.3f} elapsed)"


def measure(arguments: Sequence[object], program: Path = Path(sys.executable)) -> Cost:
    """Run a command, of Python unless another program is given, and return its cost; exit if it fails."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run([program, *map(str, arguments)], check=False)
    after, elapsed = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - start
    if done.returncode:
        sys.exit(f"{arguments} ended with {done.returncode}")
    return Cost(elapsed, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)


def _bare(path: str) -> int:
    out = io.BytesIO()
    with Image.open(path) as image:
        image.convert("L").save(out, "JPEG", quality=95)
    return out.tell()


def _as_grey(row: dict[str, Image.Image]) -> dict[str, dict[str, bytes]]:
    # An image without bytes would be encoded as PNG, which takes fifteen times as long.
    out = io.BytesIO()
    row["image"].convert("L").save(out, "JPEG", quality=95)
    return {"image": {"bytes": out.getvalue()}}


def run_bare(images: list[str], _out: Path, processes: int) -> None:
    """Decode and encode in memory."""
    import multiprocessing

    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        pool.map(_bare, images, chunksize=24)


def run_datasets(images: list[str], out: Path, processes: int) -> None:
    """Write Parquet of grey images with Hugging Face datasets."""
    os.environ["HF_DATASETS_CACHE"] = str(out / "cache")
    import datasets

    features = datasets.Features({"image": datasets.Image(), "label": datasets.Value("int64")})
    rows = datasets.Dataset.from_dict({"image": images, "label": [0] * len(images)}, features)
    grey = rows.map(_as_grey, num_proc=processes)
    grey.to_parquet(out / "images.parquet")


def run_tfds(images: list[str], out: Path, _processes: int) -> None:
    """Write TFRecord of grey JPEGs with TensorFlow Datasets, which generates in one process."""
    import numpy as np
    import tensorflow_datasets as tfds

    def examples() -> object:
        for number, path in enumerate(images):
            with Image.open(path) as image:
                yield number, {"image": np.asarray(image.convert("L"))[..., None], "label": 0}

    class Bench(tfds.core.GeneratorBasedBuilder):  # type: ignore[misc]
        VERSION = tfds.core.Version("1.0.0")
        # The builder looks for its description next to this file otherwise.
        pkg_dir_path = out

        def _info(self) -> tfds.core.DatasetInfo:
            image = tfds.features.Image(shape=(None, None, 1), encoding_format="jpeg")
            features = tfds.features.FeaturesDict({"image": image, "label": np.int64})
            return tfds.core.DatasetInfo(builder=self, features=features)

        def _split_generators(self, _manager: object) -> dict[str, object]:
            return {"train": self._generate_examples()}

        def _generate_examples(self) -> object:
            return examples()

    Bench(data_dir=out).download_and_prepare()


def measure_img2dataset(program: Path, images: Sequence[Path], out: Path, processes: int) -> Cost:
    """Return the cost of img2dataset, which writes Parquet of images that it decodes and encodes."""
    # This file runs what it measures too, without the time of this import.
    from cxrbuild.demo.upstream import serve_upstream

    with serve_upstream(Path("/")) as root:
        out.mkdir()
        (out / "urls.txt").write_text("\n".join(root + quote(str(image.absolute())) for image in images))
        cost = measure(
            ["--url_list", out / "urls.txt", "--output_folder", out / "images", "--output_format", "parquet",
             "--resize_mode", "no", "--encode_quality", 95, "--processes_count", processes,
             "--thread_count", 8, "--number_sample_per_shard", 1000, "--enable_wandb", False],
            program,
        )  # fmt: skip
    written = sum(json.loads(path.read_text())["successes"] for path in (out / "images").glob("*.json"))
    if written != len(images):
        sys.exit(f"img2dataset wrote {written} of {len(images)} images")
    return cost


PEERS = ("datasets", "tfds", "img2dataset")
# The targets, by set of images and ratio.
AT_MOST = {
    ("full", "`curate` / bare Pillow"): 0.65,
    ("small", "`curate` / bare Pillow"): 1.35,
    ("full", "both formats / Parquet alone"): 1.15,
    ("full", "unchanged / first"): 0.03,
    ("small", "unchanged / first"): 0.03,
    ("full", "1 % of the images changed / first"): 0.10,
}
CONTENDERS = {"bare": run_bare, "datasets": run_datasets, "tfds": run_tfds}


def fetch(folder: Path) -> None:
    """Fetch the enlarged images, as a source that has no pin."""
    images = folder / "images"
    measure(["-m", "cxrbuild", "fetch", folder / "bench-source.toml", "--from", f"bench-source={images}",
             "--allow-unpinned", "--data", folder / "data", "--quiet"])  # fmt: skip


def bench(
    title: str, recipe: list[object], data: Path, images: list[Path], args: argparse.Namespace, scratch: Path
) -> None:
    """Measure one set of images, and print a line for each round."""
    listed = scratch / f"{title}.txt"
    listed.write_text("\n".join(map(str, images)))
    size = sum(image.stat().st_size for image in images)
    print(f"{title}: {len(images):,} images, {size / 1e6:,.0f} MB, {args.processes} processes", flush=True)

    def contend(name: str, out: Path) -> Cost:
        out.mkdir(exist_ok=True)
        return measure(
            [__file__, "--run", name, "--list", listed, "--out", out, "--processes", args.processes]
        )

    curate = ["-m", "cxrbuild", "curate", *recipe, "--data", data, "--allow-missing", "--quiet",
              "--workers", args.processes]  # fmt: skip
    # Each title's ratios, a value for each round.
    ratios = defaultdict(list)
    bare = contend("bare", scratch / "bare")
    for number in range(args.rounds):
        out = scratch / f"{title}-{number}"
        first = measure([*curate, "--out", out])
        before, bare = bare, contend("bare", scratch / "bare")
        parquet = measure([*curate, "--out", scratch / f"{title}-{number}-parquet", "--format", "parquet"])
        unchanged = measure([*curate, "--out", out])
        found = {
            "`curate` / bare Pillow": first.over(before, bare),
            "both formats / Parquet alone": first.over(parquet),
            "unchanged / first": unchanged.over(first),
        }
        if title == "full":
            for image in images[::100]:
                with image.open("ab") as stream:
                    stream.write(b"changed")
            fetch(scratch)
            found["1 % of the images changed / first"] = measure([*curate, "--out", out]).over(first)
        if args.peers and number == 0:
            for name in ("datasets", "tfds"):
                found[f"{name} / `curate`"] = contend(name, scratch / f"{title}-{name}").over(first)
        if args.img2dataset and number == 0:
            cost = measure_img2dataset(args.img2dataset, images, scratch / f"{title}-urls", args.processes)
            found["img2dataset / `curate`"] = cost.over(first)
        print(f"  round {number + 1}: bare {bare.processor:.1f} s", flush=True)
        for what, ratio in found.items():
            print(f"    {what}: {ratio}", flush=True)
            ratios[what].append(ratio.processor)
        shutil.rmtree(out)
        shutil.rmtree(scratch / f"{title}-{number}-parquet")
    for what, values in ratios.items():
        targets: dict[str, float] = {"at_least": 3} if title == "full" and what.startswith(PEERS) else {}
        if (title, what) in AT_MOST:
            targets = {"at_most": AT_MOST[title, what]}
        record(f"{title} images: {what}", values, **targets)


def main() -> None:
    """Measure both sets of images."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="a folder that `cxrbuild fetch` filled")
    parser.add_argument("--images", type=int, default=800, help="how many images are enlarged")
    parser.add_argument("--only", choices=["small", "full"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scratch", type=Path)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--peers", action="store_true", help="measure datasets and tfds as well")
    parser.add_argument("--img2dataset", type=Path, help="the program, to measure it as well")
    parser.add_argument("--run", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--list", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.run:
        CONTENDERS[args.run](args.list.read_text().split("\n"), args.out, args.processes)
        return

    from cxrbuild.records import read_records

    with tempfile.TemporaryDirectory(dir=args.scratch) as name:
        scratch = Path(name)
        if args.only != "small":
            images = make_full_size(args.data, scratch, args.images, args.processes)
            fetch(scratch)
            bench("full", ["--recipe", scratch / "recipe.toml"], scratch / "data", images, args, scratch)
        if args.only != "full":
            plan = scratch / "plan"
            measure(
                [
                    "-m",
                    "cxrbuild",
                    "plan",
                    "--drop-lateral",
                    "--data",
                    args.data,
                    "--out",
                    plan,
                    "--allow-missing",
                    "--quiet",
                ]
            )
            rows = read_records(plan / "manifest.parquet")
            paths = zip(rows["source"], rows["source_path"], strict=True)
            images = [args.data / "sources" / source / path for source, path in paths]
            images = [image for image in images if image.exists()]
            bench("small", ["--drop-lateral"], args.data, images, args, scratch)


if __name__ == "__main__":
    main()
