"""Measure how fingerprints find changed copies of images: recall and precision by kind of change.

    python tests/benchmarks/bench_fingerprints.py --build BUILD [--images 60] [--seed 1] [--without FILE]

BUILD is a folder that `cxrbuild curate` wrote. Copies of some of its images are made as `bench_duplicates.py`
makes them. The fingerprint of the copies is compared with that of the build: by keypoints, and with
thumbnails, as the audit compares images. Recall is the share of the copies that are found with their
original. A pair is correct if both were made from one image, or from two that are duplicates in the build.
Wrong pairs are listed, with whether both are of one patient.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from bench_duplicates import CHANGES, Copy, chosen, make

from cxrbuild import load
from cxrbuild.auditing.store import DescriptorStore
from cxrbuild.cli.output import table
from cxrbuild.executors import default_workers, open_executor, run_batches
from cxrbuild.overlapping import Fingerprint, Level, describe, find_overlap
from cxrbuild.overlapping.fingerprint import write_fingerprint

LEVELS: tuple[Level, ...] = ("keypoints", "thumbnails")


def fingerprint_of(
    images: dict[str, str], store: DescriptorStore, like: Fingerprint, path: Path
) -> Fingerprint:
    """Write the fingerprint of images by id and digest, with the document of another one."""
    rows = pd.DataFrame({"image_id": list(images), "split": "test", "group": range(len(images))})
    rows = rows.assign(source_sha256=None, jpeg_sha256=list(images.values()), described=True)
    write_fingerprint(path, like.document, rows, store.table(list(images.values())))
    return Fingerprint(path, like.document, rows)


def main() -> None:
    """Print recall and precision by kind of change and level."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--images", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--without", type=Path, help="ids of images to exclude, one a line")
    parser.add_argument("--workers", type=int, default=default_workers())
    given = parser.parse_args()
    dataset = load(given.build)
    rows = dataset.rows.reset_index(drop=True)
    excluded = given.without.read_text().split() if given.without else []
    used = rows[~rows["image_id"].isin(excluded)]
    picked = chosen(used, given.images, np.random.default_rng(given.seed))
    with tempfile.TemporaryDirectory() as name, open_executor("local", given.workers) as pool:
        folder = Path(name)
        store = DescriptorStore(folder / "copies")
        copies = [
            Copy(
                given.build / rows["jpeg_path"][i], change, folder / f"{i}-{n}.jpg", given.seed + 1000 * i + n
            )
            for i in picked
            for n, change in enumerate(CHANGES)
        ]
        batches = [tuple(copies[i : i + 12]) for i in range(0, len(copies), 12)]
        made = dict(run_batches(pool, make, batches, ahead=3 * given.workers))
        digests: dict[str, str] = {}
        for batch in batches:
            store.add(list(made[batch]), list(made[batch].values()))
            digests |= {copy.out.stem: digest for copy, digest in zip(batch, made[batch], strict=True)}
        originals = DescriptorStore(given.build / ".cxrbuild" / "audit")
        group = rows.set_index("image_id")["group"]
        known: set[frozenset[str]] = set()
        results: dict[str, list[object]] = {change: [change] for change in CHANGES}
        for level in reversed(LEVELS):
            whole = describe(dataset, folder / f"build-{level}", level, workers=given.workers)
            print(f"{level}: {whole.path.stat().st_size / len(rows) / 1000:.1f} kB per image")
            keep = whole.rows["image_id"].isin(set(used["image_id"]))
            ids = whole.rows.loc[keep, ["image_id", "jpeg_sha256"]].itertuples(index=False)
            build = fingerprint_of(dict(map(tuple, ids)), originals, whole, folder / f"used-{level}")
            some = dict(rows.loc[picked, ["image_id", "jpeg_sha256"]].itertuples(index=False, name=None))
            if level == "thumbnails":
                # The build's own duplicates, as the audit finds them.
                own = fingerprint_of(some, originals, whole, folder / "own")
                pairs = find_overlap(build, own, workers=given.workers).duplicates
                known = {frozenset((pair.a, pair.b)) for pair in pairs}
                print(f"{sum(len(pair) == 2 for pair in known)} pairs of duplicates in the build itself")
            changed = fingerprint_of(digests, store, whole, folder / f"copies-{level}")
            begun = time.perf_counter()
            found = find_overlap(build, changed, workers=given.workers)
            took = time.perf_counter() - begun
            print(
                f"{found.search.compared_pairs:,} pairs compared in {took:.1f} s, {given.workers} processes"
            )
            for n, change in enumerate(CHANGES):
                of_change = [pair for pair in found.duplicates if int(pair.b.split("-")[1]) == n]
                names = [(pair.a, rows["image_id"][int(pair.b.split("-")[0])]) for pair in of_change]
                right = [frozenset(pair) in known for pair in names]
                hit = {b for (a, b) in names if a == b}
                precision = f"{sum(right) / max(len(right), 1):.3f}"
                results[change] += [f"{len(hit) / len(picked):.3f}", precision, len(right)]
                for pair, correct in zip(of_change, right, strict=True):
                    if not correct:
                        original = rows["image_id"][int(pair.b.split("-")[0])]
                        same = group[pair.a] == group[original]
                        print(f"  wrong: {pair.similarity} {pair.a} {original}, one patient: {same}")
    print(f"\n{len(picked)} images, each changed in {len(CHANGES)} ways, among {len(used):,}")
    header = [
        f"{column}, {level}" for level in reversed(LEVELS) for column in ("recall", "precision", "pairs")
    ]
    print(table(["change", *header], list(results.values())))


if __name__ == "__main__":
    main()
