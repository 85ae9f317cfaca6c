"""Builds and releases for tests: the demo's build, with licences and marks that a release must heed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from cxrbuild.artifact.build import SourceState
from cxrbuild.auditing.audit import audit
from cxrbuild.catalog import read_recipe
from cxrbuild.exactness import count_exactness
from cxrbuild.files import read_json, sha256_of, write_json
from cxrbuild.publishing import release as publishing_release
from cxrbuild.records import read_records, write_records
from cxrbuild.releasing import pack, release
from cxrbuild.releasing.pack import ReleaseResult
from cxrbuild.verification import VerificationResult, verify

METRICS = ("loss", "accuracy", "precision", "recall")
# What a public release must withhold, and why; assigned to images of the demo, which are all free.
WITHHELD = {
    "identifier": {"license": "CC-BY-4.0", "review": "identifier"},
    "unseen": {"license": "CC-BY-4.0", "review": "unseen"},
    "license_unknown": {"license": "unknown", "review": "clean"},
    "license_not_listed": {"license": "LicenseRef-of-my-own", "review": "clean"},
    "no_redistribution": {"license": "LicenseRef-authorized-for-everyone", "review": "clean"},
    "no_adaptation": {"license": "CC-BY-NC-ND-4.0", "review": "clean"},
}


def varied_build(demo: Path, folder: Path, formats: list[str]) -> Path:
    """Copy the demo's build and give one COVID-19 image the licence or mark of each row of ``WITHHELD``."""
    build = folder / "build"
    shutil.copytree(demo / "build", build)
    manifest = read_records(build / "manifest.parquet")
    images = sorted(manifest.loc[manifest["source"] == "cohen", "image_id"])
    for image, columns in zip(images, WITHHELD.values(), strict=False):
        change_rows(build, image, **columns)
    document = read_json(build / "build.json")
    write_json(build / "build.json", document | {"formats": formats})
    return build


@pytest.fixture(scope="session")
def varied(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The build that `varied_build` makes; a test that changes it works on a copy."""
    return varied_build(demo, tmp_path_factory.mktemp("varied"), ["parquet"])


@pytest.fixture(scope="session")
def varied_public(varied: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A public release of that build."""
    out = tmp_path_factory.mktemp("public") / "demo-cxr-1.0.0"
    release(varied, "1.0.0", out)
    return out


@pytest.fixture(scope="session")
def varied_private(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A private release of such a build, in both formats."""
    folder = tmp_path_factory.mktemp("private")
    out = folder / "demo-cxr-1.0.0"
    release(varied_build(demo, folder, ["parquet", "tfrecord"]), "1.0.0", out, policy="private")
    return out


@pytest.fixture(scope="session")
def audited_build(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Such a build in both formats, with an audit result and a baseline result."""
    build = varied_build(demo, tmp_path_factory.mktemp("audited"), ["parquet", "tfrecord"])
    (build / "baseline").mkdir()
    write_json(build / "baseline" / "metrics.json", baseline_result(build))
    audit(build, read_recipe(str(demo / "declared" / "recipe.toml")))
    return build


@pytest.fixture(scope="session")
def audited_release(audited_build: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A public release of that build; a test that changes it works on a copy."""
    out = tmp_path_factory.mktemp("audited") / "demo-cxr-1.0.0"
    release(audited_build, "1.0.0", out)
    return out


@pytest.fixture
def without_verifying(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make releases without verifying them, which takes half of their time: for tests of something else."""
    monkeypatch.setattr(pack, "verify", lambda *_, **__: None)
    monkeypatch.setattr(pack, "require_verified", lambda *_: None)


@pytest.fixture(scope="session")
def verified_release(public_release: Path) -> VerificationResult:
    """What `verify` finds in the public release of the demo's dataset."""
    return verify(public_release)


@pytest.fixture
def known_release(
    public_release: Path, verified_release: VerificationResult, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """That release; `publish` takes what `verify` found in it once, and verifies nothing again."""
    monkeypatch.setattr(publishing_release, "verify", lambda *_, **__: verified_release)
    return public_release


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


def set_version(build: Path, version: str) -> None:
    """Give a build another version, as if it had been built so."""
    document = read_json(build / "build.json")
    document["dataset"]["version"] = document["recipe"]["version"] = version
    write_json(build / "build.json", document)


def release_as(build: Path, version: str, out: Path, **options: Any) -> ReleaseResult:
    """Release a build as if its recipe had this version; the build stays as it is."""
    before = (build / "build.json").read_bytes()
    set_version(build, version)
    try:
        return release(build, version, out, **options)
    finally:
        (build / "build.json").write_bytes(before)


def drop_rows(build: Path, images: list[str], step: str = "annotated") -> None:
    """Exclude images from a build as if it had been built so: by a review, or because they are missing."""
    document = read_json(build / "build.json")
    ledger = read_records(build / "ledger.parquet")
    left = ledger["image_id"].isin(images)
    if step not in [row["step"] for row in document["funnel"]]:
        document["funnel"].insert(-1, {"step": step, "images": 0, "by_source": {}})
    funnel = {row["step"]: row for row in document["funnel"]}
    for split, label, source in ledger.loc[left, ["split", "label", "source"]].itertuples(index=False):
        document["counts"][split][label] -= 1
        for row, change in ((funnel["kept"], -1), (funnel[step], 1)):
            row["images"] += change
            row["by_source"][source] = row["by_source"].get(source, 0) + change
    ledger.loc[left, "exclusion"] = step
    if step == "annotated":
        ledger.loc[left, ["review", "marks_finding"]] = ["arrow", True]
        ledger.loc[left, "split"] = None
    else:
        document["missing"] |= dict.fromkeys(images, step)
    count_again(document, ledger)
    write_records(build / "ledger.parquet", ledger)
    write_records(build / "manifest.parquet", ledger[ledger["exclusion"].isna()])
    for name in ("ledger.parquet", "manifest.parquet"):
        document["files"][name]["sha256"] = sha256_of(build / name)
    write_json(build / "build.json", document)


def count_again(document: dict[str, Any], ledger: pd.DataFrame) -> None:
    """Count what `build.json` says of the ledger's files, after one of them changed."""
    sources = {name: SourceState(**state) for name, state in document["sources"].items()}
    document["exactness"] = {name: one.model_dump() for name, one in count_exactness(ledger, sources).items()}


def baseline_result(build: Path) -> dict[str, Any]:
    """Return a small ``metrics.json``, as `train-baseline` would write it for a build."""
    confusion = {"COVID-19": [6, 0, 0], "Normal": [1, 3, 0], "Pneumonia": [0, 0, 5]}
    interval = {"value": 0.5, "low": 0.25, "high": 0.75}
    spread = {"mean": 0.25, "sd": None}
    row = dict.fromkeys(METRICS, 0.25)
    return {
        "format": 2,
        "recipe": {"name": "demo-cxr", "version": "1.0.0"},
        "classes": list(confusion),
        "dataset": {
            "name": "demo-cxr",
            "version": "1.0.0",
            "manifest_sha256": sha256_of(build / "manifest.parquet"),
            "counts": {"test": {name: sum(counts) for name, counts in confusion.items()}},
            "excluded_as_seen": {},
            "images_sha256": "0" * 64,
        },
        "settings": {"resamples": 50, "gate": {"accuracy": 0.875}},
        "gate": {
            "passed": False,
            "checks": [{"figure": "test accuracy", "limit": 0.875, "value": 0.25, "passed": False}],
        },
        "summary": {
            "metrics": {"test": dict.fromkeys(METRICS, spread)},
            "probability": dict.fromkeys(confusion, spread | {"mean": 0.5}),
            "confusion": confusion,
            "confusion_sd": None,
        },
        "runs": [
            {
                "seed": 1,
                "model": {"file": "seed-1/model.keras", "sha256": "0" * 64, "trained_on": None},
                "metrics": {"test": row},
                "probability": dict.fromkeys(confusion, interval),
                "confusion": confusion,
                "classes": dict.fromkeys(
                    confusion, dict.fromkeys(("precision", "recall", "f1", "auc"), interval)
                ),
                "reliability": {"expected_calibration_error": 0.125, "bins": []},
                "mistakes": [],
                "history": [{"epoch": 1, "learning_rate": 1e-4, "metrics": {"train": row, "test": row}}],
            }
        ],
        "parameters": 63148835,
        "versions": {"Python": "3.11.7"},
        "device": "2 CPU cores",
        "figures": [],
    }


def images_of(folder: Path, **where: str) -> pd.DataFrame:
    """Return the rows of a release's or build's manifest with some words."""
    manifest = read_records(folder / "manifest.parquet")
    for column, word in where.items():
        manifest = manifest[manifest[column] == word]
    return manifest


def sum_again(folder: Path) -> None:
    """Write ``SHA256SUMS`` again, as someone who hides a change would."""
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    lines = [f"{sha256_of(folder / name)}  {name}\n" for name in names if name != "SHA256SUMS"]
    (folder / "SHA256SUMS").write_text("".join(lines))
