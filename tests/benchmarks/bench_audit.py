"""Time how a whole audit grows with the number of images, and how much memory it needs.

    python tests/benchmarks/bench_audit.py --build BUILD [--images 10000 30000] [--folder FOLDER]

BUILD is a folder that `cxrbuild curate` wrote from a recipe of its own name. For each number, a build of made
images is written and audited twice with one process; the second audit finds descriptors and pairs of the
first. A made image is the mean of two images of BUILD, 224 pixels wide, so that made images are as similar as
chests are. Each tenth one is a cropped copy of the image before it. An audit that was killed is resumed from
its descriptors if the same folder is given again.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import resource
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from ratios import record

from cxrbuild.artifact import names, open_build
from cxrbuild.auditing.audit import AuditResult, audit
from cxrbuild.catalog import read_recipe
from cxrbuild.executors import wait_for_fork_server
from cxrbuild.records import conform, write_records

# Windows does not report what processes used.
assert sys.platform != "win32"

SIDE = 224


def make(paths: list[Path], out: Path, count: int) -> list[str]:
    """Write made images, and return their SHA-256."""
    random = np.random.default_rng(0)
    digests = []
    image = Image.new("L", (SIDE, SIDE))
    for i in range(count):
        if i % 10 == 9:
            made = image.crop((12, 8, SIDE - 6, SIDE - 16))
        else:
            first, second = (opened(paths[n]) for n in random.integers(len(paths), size=2))
            made = image = Image.blend(first, second, 0.5)
        path = out / f"{i}.jpg"
        made.save(path, "JPEG", quality=85)
        digests.append(hashlib.sha256(path.read_bytes()).hexdigest())
    return digests


def opened(path: Path) -> Image.Image:
    """Return an image, resized."""
    with Image.open(path) as image:
        image.draft("L", (SIDE, SIDE))
        return image.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX)


def write_build(source: Path, folder: Path, count: int) -> None:
    """Write a build of made images."""
    build = open_build(source)
    random = np.random.default_rng(1)
    rows = build.manifest.iloc[random.integers(len(build.manifest), size=count)].reset_index(drop=True)
    (folder / names.IMAGES).mkdir(parents=True)
    digests = make([source / path for path in build.manifest["jpeg_path"]], folder / names.IMAGES, count)
    numbers = [f"{i}" for i in range(count)]
    rows = rows.assign(
        image_id=numbers, patient_id=numbers, group=numbers, jpeg_sha256=digests, source_sha256=digests,
        jpeg_path=[f"{names.IMAGES}/{i}.jpg" for i in range(count)],
    )  # fmt: skip
    write_records(folder / names.MANIFEST, conform(rows))
    shutil.copy(source / names.BUILD, folder / names.BUILD)


def usages() -> list[resource.struct_rusage]:
    """Return what this process used, and what its workers did: all of them have ended afterwards."""
    wait_for_fork_server()
    return [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]


def processor_seconds() -> float:
    """Return the processor time of this process and of its workers."""
    return sum(usage.ru_utime + usage.ru_stime for usage in usages())


def measure(folder: Path, count: int, which: str) -> tuple[AuditResult, float]:
    """Audit a build, print time and memory, and return the seconds an image."""
    begun = processor_seconds()
    result = audit(folder, read_recipe(open_build(folder).name), workers=1)
    seconds = processor_seconds() - begun
    search = result.document.duplicate_search
    # Of this process and its one worker, which need not have been at their peak at the same time.
    most = sum(usage.ru_maxrss for usage in usages()) / 1e6
    print(
        f"{count:9,} images, {which}: {seconds:.0f} s of processor time, {1000 * seconds / count:.1f} ms per "
        f"image, {search.compared_pairs:,} pairs compared, {search.skipped_pairs:,} skipped, "
        f"{len(result.document.pairs):,} found, memory {most:.2f} GB at most",
        flush=True,
    )
    record(f"`audit` of {count:,} images, GB of memory", most, at_most=4)
    return result, seconds / count


def main() -> None:
    """Print two lines for each number of images."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--images", type=int, nargs="+", default=[10_000, 30_000])
    parser.add_argument("--folder", type=Path, help="where the builds of made images are written and kept")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        per_image = {}
        for count in sorted(given.images):
            folder = (given.folder or Path(temporary)) / f"{count}"
            if not (folder / names.BUILD).exists():
                shutil.rmtree(folder, ignore_errors=True)
                write_build(given.build, folder, count)
            first, per_image[count] = measure(folder, count, "first audit")
            assert measure(folder, count, "second audit")[0].document == first.document
        for small, large in itertools.pairwise(per_image):
            ratio = per_image[large] / per_image[small]
            record(f"time an image of `audit`, {large:,} images / {small:,}", ratio, at_most=1.5)


if __name__ == "__main__":
    main()
