"""Time how `verify` of the tables grows with the number of images; no pixels are needed.

    python tests/benchmarks/bench_verify.py [--images 10000 100000 1000000] [--folder DIR]

The dataset is that of `bench_plan.py`, planned and written as a build whose images are all withheld, so that
every check of a build runs but those of pixels. Each size runs in a process of its own, which reports the
memory that the checks add to its peak, and its peak.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import bench_plan
from ratios import record

# Windows does not report what processes used.
assert sys.platform != "win32"


def write_build(folder: Path) -> Path:
    """Write the tables and the ``build.json`` of a plan, with made hashes of JPEGs; return the build."""
    from cxrbuild.artifact import names
    from cxrbuild.artifact.build import FileEntry
    from cxrbuild.curation import build_document, make_plan, read_declared
    from cxrbuild.curation.curate import _write_tables
    from cxrbuild.files import sha256_of, write_bytes

    declared = read_declared(str(folder / "recipe.toml"), {})
    planned = make_plan(declared, folder / "data", as_pinned=True)
    records = planned.records
    kept = records["exclusion"].isna()
    ids = records.loc[kept, "image_id"]
    places = records.loc[kept, "split"] + "/" + records.loc[kept, "label"] + "/" + ids
    values: dict[str, Any] = {
        "jpeg_path": f"{names.IMAGES}/" + places + ".jpg",
        "jpeg_sha256": [hashlib.sha256(name.encode()).hexdigest() for name in ids],
        "jpeg_bytes": 20_000,
        "width": 1024,
        "height": 1024,
        "withheld": "license_unknown",
    }
    for column, value in values.items():
        records.loc[kept, column] = value
    planned = planned.with_records(records)
    build = folder / "build"
    paths = _write_tables(planned, build)
    files = {path.name: FileEntry(bytes=path.stat().st_size, sha256=sha256_of(path)) for path in paths}
    document = build_document(planned, "0" * 64, ["parquet"], files)
    write_bytes(build / names.BUILD, document.to_bytes())
    return build


def measure(build: Path) -> None:
    """Print the seconds of each check, and the memory, as JSON."""
    from cxrbuild.checks import evaluate
    from cxrbuild.verification.context import Context
    from cxrbuild.verification.registry import CHECKS

    context = Context(build, "build")
    before = _peak()
    stages = bench_plan.Stages()
    findings = 0
    with stages.timed("verify (all)"):
        for check in CHECKS:
            if "build" in check.applies_to and check.id != "images":
                start = time.perf_counter()
                findings += len(evaluate(check, context, limit=check.limit).findings)
                stages[check.id] = time.perf_counter() - start
    slow = {name: seconds for name, seconds in stages.items() if seconds > 0.001}
    print(json.dumps({"stages": slow, "peak": _peak(), "before": before, "findings": findings}))


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def main() -> None:
    """Print a table by size and check, and the exponents."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--folder", type=Path, help="where to write, and to leave, the generated files")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        measure(args.measure)
        return
    if args.write:
        write_build(args.write)
        return
    with tempfile.TemporaryDirectory() as scratch:
        results = {}
        for images in args.images:
            folder = (args.folder or Path(scratch)) / str(images)
            if not (folder / "recipe.toml").exists():
                folder.mkdir(parents=True)
                bench_plan.generate(folder, images)
            if not (folder / "build" / "build.json").exists():
                _run("--write", folder)
            results[images] = [json.loads(_run("--measure", folder / "build"))]
            result = results[images][0]
            print(f"{result['findings']} findings, {result['before']:.2f} GB before the checks")
            bench_plan._report(images, results[images])
    _report_exponents(results)


def _run(mode: str, folder: Path) -> str:
    import subprocess

    command = [sys.executable, __file__, mode, str(folder)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def _report_exponents(results: dict[int, list[dict[str, Any]]]) -> None:
    shared = set.intersection(*(set(result[0]["stages"]) for result in results.values()))
    for result in results.values():
        result[0]["stages"] = {name: s for name, s in result[0]["stages"].items() if name in shared}
    bench_plan._report_exponents(results, ["verify"])
    for images, (measured,) in results.items():
        record(f"`verify` of {images:,} images, GB of memory", measured["peak"])


if __name__ == "__main__":
    main()
