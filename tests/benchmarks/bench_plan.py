"""Time how planning, comparing and releasing a dataset grow with the number of images; no pixels are needed.

    python tests/benchmarks/bench_plan.py [--images 10000 100000 1000000] [--commands plan] [--folder DIR]

Each size is 50 CSV sources with patients of 1 to 12 images, dates, ages, several findings, links, and exact
counts of the test and validation splits. The same seed gives the same files. Each size and command runs in a
process of its own, which reports its peak memory. `plan` is `cxrbuild plan --as-pinned`. `diff` compares its
manifest with one of which some rows changed. `release` is the command on a build whose licences withhold all
pixels.

The result is a table of CPU seconds and peak memory by size, and the exponent of each stage: 1 is linear
growth, and n log n between 100,000 and 1,000,000 images is 1.08.
"""

from __future__ import annotations

import argparse
import csv
import gc
import itertools
import json
import math
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from ratios import record

# Windows does not report what processes used.
assert sys.platform != "win32"

SOURCES = 50
CLASSES = ("Normal", "Pneumonia", "Tuberculosis")
SEED = 20260101
_HEADER = ("file", "patient", "sex", "age", "view", "modality", "finding", "date", "license")
_SOURCE = """name = "{name}"
title = "Generated source {name}"
license = "unknown"
public = true
finding_separator = "|"
[pin]
tree = "{tree}"
listing = "{name}.tsv"
[reader]
kind = "csv"
file = "metadata.csv"
path = "images/{{file}}"
images = ["images/*.png"]
patient_id = "keep"
[columns.patient_id]
from = "patient"
[columns.finding]
from = "finding"
[columns.patient_sex]
from = "sex"
map = {{ "female" = "F", "male" = "M" }}
[columns.patient_age]
from = "age"
[columns.view_position]
from = "view"
map = {{ "frontal" = "PA", "lateral" = "LATERAL" }}
[columns.modality]
from = "modality"
[columns.license]
from = "license"
map = {{ "restricted" = "LicenseRef-restricted" }}
"""
_RECIPE = """name = "generated"
version = "1.0.0"
date = "2026-01-01"
title = "Generated"
sources = [{sources}]
[labels]
{labels}
[[rules]]
name = "lateral"
kind = "not_in"
column = "view_position"
values = ["LATERAL"]
reason = "The dataset holds frontal images."
[[rules]]
name = "child"
kind = "range"
column = "patient_age"
least = 18
unknown = "keep"
reason = "The dataset holds adults."
[[rules]]
name = "other_finding"
kind = "labelled"
reason = "The finding is of no class."
[[rules]]
name = "duplicate"
kind = "duplicate"
reason = "The image is a duplicate."
[split]
salt = "generated"
links = ["links.csv"]
[split.test]
count = {{ {test} }}
[split.validation]
count = {{ {validation} }}
"""


def generate(folder: Path, images: int) -> Path:
    """Write sources, links and a recipe for about a number of images; return the recipe."""
    from cxrbuild.files import git_blob

    draw = random.Random(SEED)
    findings = [*CLASSES, *CLASSES, "Effusion", "Normal|Support Devices", "Pneumonia|Effusion"]
    links = []
    before: list[tuple[object, ...]] = []
    for number in range(SOURCES):
        name = f"s{number:02d}"
        rows: list[tuple[object, ...]] = []
        patients = 0
        while len(rows) < images // SOURCES:
            patients += 1
            sex, age, finding = (
                draw.choice(("female", "male", "")),
                draw.randint(1, 95),
                draw.choice(findings),
            )
            for _ in range(draw.choice((1, 1, 1, 1, 2, 2, 3, 4, 6, 12))):
                view = draw.choice(("frontal", "frontal", "frontal", "lateral", ""))
                date = f"20{draw.randint(10, 25)}-{draw.randint(1, 12):02d}-{draw.randint(1, 28):02d}"
                image = f"{patients % 100:02d}/{patients:07d}_{len(rows):07d}.png"
                modality, licence = draw.choice(("CR", "DX")), draw.choice(("", "restricted"))
                patient = f"P{patients:07d}"
                rows.append((image, patient, sex, age, view, modality, finding, date, licence))
        if number:
            for _ in range(len(rows) // 100):
                other, kind = draw.choice(before), draw.choice(("duplicate", "same patient"))
                path = draw.choice(rows)[0]
                links.append((f"s{number - 1:02d}", f"images/{other[0]}", name, f"images/{path}", kind, ""))
        before = rows
        _write_source(folder, name, rows, git_blob)
    head = ("source_a", "path_a", "source_b", "path_b", "kind", "note")
    unique = {frozenset((link[:2], link[2:4])): link for link in links}
    _write_csv(folder / "links.csv", head, unique.values())
    return _write_recipe(folder, images)


def _write_source(
    folder: Path, name: str, rows: list[tuple[object, ...]], git_blob: Callable[[bytes], str]
) -> None:
    root = folder / "data" / "sources" / name
    root.mkdir(parents=True)
    _write_csv(root / "metadata.csv", _HEADER, rows)
    (folder / f"{name}.toml").write_text(_SOURCE.format(name=name, tree="0" * 40))
    listed = [f"100644\t{git_blob((root / 'metadata.csv').read_bytes())}\tmetadata.csv"]
    listed += [f"100644\t{git_blob(str(row[0]).encode())}\timages/{row[0]}" for row in rows]
    (folder / f"{name}.tsv").write_text("\n".join(["mode\tblob\tpath", *listed]) + "\n")


def _write_csv(path: Path, head: tuple[str, ...], rows: Any) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream, lineterminator="\n").writerows([head, *rows])


def _write_recipe(folder: Path, images: int) -> Path:
    names = [f"s{number:02d}" for number in range(SOURCES)]
    labels = "\n".join(
        f'"{label}" = {{ {", ".join(f"{name} = {json.dumps([label])}" for name in names)} }}'
        for label in CLASSES
    )
    counts = {
        split: ", ".join(f'"{label}" = {images // share}' for label in CLASSES)
        for split, share in (("test", 40), ("validation", 50))
    }
    path = folder / "recipe.toml"
    path.write_text(
        _RECIPE.format(sources=", ".join(f'"{name}.toml"' for name in names), labels=labels, **counts),
        encoding="utf-8",
    )
    return path


# The stages of a measure: the functions whose time is shown, by the module that calls them.
STAGES = {
    "plan": {
        "cxrbuild.curation.plan": ("take_inventory", "ingest"),
        "cxrbuild.curation.decision": (
            "add_reviews", "add_labels", "require_values", "apply_rules", "split_records",
        ),
    },
    "release": {
        "cxrbuild.releasing.pack": (
            "read_records", "without_identities", "measured_contents", "check_version", "write_files",
            "verify",
        ),
        "cxrbuild.releasing.files": ("write_records", "write_report", "croissant"),
        "cxrbuild.documents.texts": ("attribution", "image_list"),
    },
}  # fmt: skip


class Stages(dict[str, float]):
    """Seconds by stage; a stage that runs several times is added up."""

    @classmethod
    def of(cls, measure: str) -> Stages:
        """Return the stages of a measure, and time their functions from now on."""
        stages = cls()
        for module, names in STAGES[measure].items():
            for name in names:
                stages._time_calls(import_module(module), name)
        return stages

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Time a block."""
        gc.collect()
        start = time.process_time()
        yield
        self[name] = self.get(name, 0.0) + time.process_time() - start

    def _time_calls(self, module: ModuleType, name: str) -> None:
        function = getattr(module, name)

        def timed(*args: Any, **keys: Any) -> Any:
            start = time.process_time()
            try:
                return function(*args, **keys)
            finally:
                self[name] = self.get(name, 0.0) + time.process_time() - start

        setattr(module, name, timed)


def measure_plan(folder: Path) -> Stages:
    """Time the stages of a plan, and write it."""
    from cxrbuild.curation import make_plan, read_declared, write_plan

    stages = Stages.of("plan")
    with stages.timed("plan"):
        with stages.timed("read_declared"):
            declared = read_declared(str(folder / "recipe.toml"), {})
        planned = make_plan(declared, folder / "data", as_pinned=True)
        with stages.timed("write_plan"):
            write_plan(planned, folder / "plan")
    return stages


def measure_diff(folder: Path) -> Stages:
    """Time a comparison with a version of which a tenth of the rows changed."""
    from cxrbuild.comparison import diff

    stages = Stages()
    with stages.timed("diff"):
        diff(folder / "build", folder / "changed" / "manifest.parquet")
    return stages


def measure_release(folder: Path) -> Stages:
    """Time the stages of a release that withholds all pixels, by their licence."""
    from cxrbuild.releasing import release

    stages = Stages.of("release")
    with stages.timed("release"):
        release(folder / "build", "1.0.0", folder / "release")
    return stages


def build(folder: Path) -> None:
    """Write a build without images, as `curate` would, and a changed version of its manifest."""
    from cxrbuild.artifact.build import FileEntry
    from cxrbuild.curation import build_document, make_plan, read_declared
    from cxrbuild.curation.curate import _write_tables
    from cxrbuild.files import sha256_of
    from cxrbuild.records import COLUMNS, write_records

    out = folder / "build"
    declared = read_declared(str(folder / "recipe.toml"), {})
    planned = make_plan(declared, folder / "data", as_pinned=True)
    records, kept = planned.records, planned.records["exclusion"].isna()
    path = "images/" + records["split"] + "/" + records["label"] + "/" + records["image_id"] + ".jpg"
    digest = (records["source_blob"] + records["source_blob"]).str[:64]
    values: dict[str, Any] = {
        "source_sha256": digest,
        "source_format": "PNG 8-bit grey",
        "jpeg_path": path,
        "jpeg_sha256": digest,
        "jpeg_bytes": 100_000,
        "width": 1024,
        "height": 1024,
        "conversion": "encoded",
    }
    for column, value in values.items():
        records.loc[kept, column] = value
    built = planned.with_records(records)
    tables = _write_tables(built, out)
    entries = {table.name: FileEntry(bytes=table.stat().st_size, sha256=sha256_of(table)) for table in tables}
    build_document(built, "0" * 64, ["parquet"], entries).write(out / "build.json")
    rows = built.kept.reset_index(drop=True)
    changed = rows.index % 10 == 0
    rows.loc[changed, "split"] = "train"
    rows.loc[changed, "patient_age"] = 50
    columns = [column.name for column in COLUMNS]
    write_records(folder / "changed" / "manifest.parquet", rows[rows.index % 100 != 1], columns)


# The target of the largest size, in GB.
_MOST_GB = {1_000_000: 2.0}
MEASURES: dict[str, Callable[[Path], Stages]] = {
    "plan": measure_plan,
    "diff": measure_diff,
    "release": measure_release,
}


def main() -> None:
    """Print a table by size and stage."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--commands", choices=MEASURES, nargs="+", default=list(MEASURES))
    parser.add_argument("--folder", type=Path, help="where to write, and to leave, the generated files")
    parser.add_argument("--measure", choices=["build", *MEASURES], help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure == "build":
        build(args.folder)
        return
    if args.measure:
        stages = MEASURES[args.measure](args.folder)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        print(json.dumps({"stages": stages, "peak": peak}))
        return
    with tempfile.TemporaryDirectory() as scratch:
        results = {}
        for images in args.images:
            folder = (args.folder or Path(scratch)) / str(images)
            if not (folder / "recipe.toml").exists():
                folder.mkdir(parents=True)
                generate(folder, images)
                subprocess.run(_command("build", folder), check=True)
            results[images] = [_run(name, folder) for name in args.commands]
            _report(images, results[images])
    _report_exponents(results, args.commands)
    for images, measured in results.items():
        for name, result in zip(args.commands, measured, strict=True):
            record(
                f"`{name}` of {images:,} images, GB of memory", result["peak"], at_most=_MOST_GB.get(images)
            )


def _run(name: str, folder: Path) -> dict[str, Any]:
    ran = subprocess.run(_command(name, folder), check=True, stdout=subprocess.PIPE)
    result: dict[str, Any] = json.loads(ran.stdout)
    return result


def _command(name: str, folder: Path) -> list[str]:
    return [sys.executable, __file__, "--measure", name, "--folder", str(folder)]


def _report(images: int, results: list[dict[str, Any]]) -> None:
    for result in results:
        print(f"{images:,} images, peak memory {result['peak']:.2f} GB")
        for stage, seconds in result["stages"].items():
            print(f"  {stage:16} {seconds:8.2f} s {1e6 * seconds / images:8.1f} us per image", flush=True)


def _report_exponents(results: dict[int, list[dict[str, Any]]], names: Sequence[str]) -> None:
    sizes = sorted(results)
    for small, large in itertools.pairwise(sizes):
        print(f"exponents from {small:,} to {large:,} images")
        for name, before, after in zip(names, results[small], results[large], strict=True):
            total = sum(after["stages"].values()) / sum(before["stages"].values())
            record(f"time an image of `{name}`, {large:,} images / {small:,}", total * small / large)
            for stage, seconds in after["stages"].items():
                exponent = math.log(seconds / before["stages"][stage], large / small)
                print(f"  {stage:16} {exponent:5.2f}")


if __name__ == "__main__":
    main()
