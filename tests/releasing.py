"""Builds and releases for tests: the demo's build, with licences and marks that a release must heed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd

from cxrbuild.files import read_json, sha256_of, write_json
from cxrbuild.records import read_records, write_records

# What a public release must withhold, and why: put on films of the demo, which are all free.
WITHHELD = {
    "identifier": {"license": "CC-BY-4.0", "review": "identifier"},
    "unseen": {"license": "CC-BY-4.0", "review": "unseen"},
    "license_unknown": {"license": "unknown", "review": "clean"},
    "license_not_listed": {"license": "LicenseRef-of-my-own", "review": "clean"},
    "no_redistribution": {"license": "LicenseRef-authorized-for-everyone", "review": "clean"},
    "no_adaptation": {"license": "CC-BY-NC-ND-4.0", "review": "clean"},
}


def varied_build(demo: Path, folder: Path, formats: list[str]) -> Path:
    """Copy the demo's build and give one COVID-19 film of each kind the licence or mark of ``WITHHELD``."""
    build = folder / "build"
    shutil.copytree(demo / "build", build)
    manifest = read_records(build / "manifest.parquet")
    films = sorted(manifest.loc[manifest["source"] == "cohen", "image_id"])
    for image, columns in zip(films, WITHHELD.values(), strict=False):
        change_rows(build, image, **columns)
    document = read_json(build / "build.json")
    write_json(build / "build.json", document | {"formats": formats})
    return build


def change_rows(build: Path, image: str | list[str], **columns: object) -> None:
    """Change rows of a build's tables as if it had been built so."""
    images = [image] if isinstance(image, str) else image
    document = read_json(build / "build.json")
    for name in ("ledger.parquet", "manifest.parquet"):
        records = read_records(build / name)
        records.loc[records["image_id"].isin(images), list(columns)] = list(columns.values())
        write_records(build / name, records)
        document["files"][name]["sha256"] = sha256_of(build / name)
    write_json(build / "build.json", document)


def drop_rows(build: Path, images: list[str], step: str = "annotated") -> None:
    """Take rows out of a build's manifest as if a step had left them out."""
    document = read_json(build / "build.json")
    ledger = read_records(build / "ledger.parquet")
    left = ledger["image_id"].isin(images)
    for part, label in ledger.loc[left, ["split", "label"]].itertuples(index=False):
        document["counts"][part][label] -= 1
    if step not in [row["step"] for row in document["funnel"]]:
        document["funnel"].insert(-1, {"step": step, "images": 0, "by_source": {}})
    for row in document["funnel"]:
        if row["step"] in ("kept", step):
            row["images"] += len(images) * (1 if row["step"] == step else -1)
    ledger.loc[left, "exclusion"] = step
    write_records(build / "ledger.parquet", ledger)
    write_records(build / "manifest.parquet", ledger[ledger["exclusion"].isna()])
    for name in ("ledger.parquet", "manifest.parquet"):
        document["files"][name]["sha256"] = sha256_of(build / name)
    write_json(build / "build.json", document)


def outcome_of(build: Path) -> dict[str, object]:
    """What `train-baseline` leaves, cut to what a release tells of it."""
    figures = {name: {"mean": 0.25, "sd": None} for name in ("loss", "accuracy", "precision", "recall")}
    confusion = {"COVID-19": [6, 0, 0], "Normal": [1, 3, 0], "Pneumonia": [0, 0, 5]}
    of_class = {
        name: {"value": 0.5, "low": 0.25, "high": 0.75} for name in ("precision", "recall", "f1", "auc")
    }
    probability = {"mean": 0.5, "low": 0.25, "high": 0.75}
    return {
        "recipe": {"name": "demo-cxr"},
        "classes": list(confusion),
        "dataset": {
            "manifest_sha256": sha256_of(build / "manifest.parquet"),
            "counts": {"test": {name: sum(row) for name, row in confusion.items()}},
        },
        "settings": {"published": None, "resamples": 50},
        "gate": {"passed": False, "checks": [{"what": "test accuracy", "least": 0.875, "found": 0.25}]},
        "summary": {
            "metrics": {"test": figures},
            "probability": {name: {"mean": 0.5, "sd": None} for name in confusion},
            "confusion": confusion,
        },
        "runs": [
            {
                "seed": 1,
                "classes": dict.fromkeys(confusion, of_class),
                "probability": dict.fromkeys(confusion, probability),
            }
        ],
        "parameters": 63148835,
        "device": "2 CPU cores",
    }


def images_of(folder: Path, **where: str) -> pd.DataFrame:
    """Return the rows of a release's or build's manifest with some words."""
    manifest = read_records(folder / "manifest.parquet")
    for column, word in where.items():
        manifest = manifest[manifest[column] == word]
    return manifest


def sum_again(folder: Path) -> None:
    """Write ``SHA256SUMS`` anew, as one who hides a change would."""
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    lines = [f"{sha256_of(folder / name)}  {name}\n" for name in names if name != "SHA256SUMS"]
    (folder / "SHA256SUMS").write_text("".join(lines))
