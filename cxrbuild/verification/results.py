"""Whether the audit and the baseline are of these data, and the rest is as it was packed."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cxrbuild import __version__
from cxrbuild.errors import CxrbuildError
from cxrbuild.files import read_json, sha256_of
from cxrbuild.records import write_records
from cxrbuild.verification.finding import Finding

if TYPE_CHECKING:
    import pandas as pd

# Where a build has each; a release has it beside `build.json`, under this name.
RESULTS = {"audit": "audit.json", "baseline": "baseline/metrics.json"}


def claims(outcome: Any) -> tuple[str | None, set[str]]:
    """Return the SHA-256 of the manifest that an outcome is of, and the names of dataset and recipe."""
    of, recipe = (_below(outcome, key) for key in ("dataset", "recipe"))
    names = {of.get("name"), recipe.get("name")}
    return of.get("manifest_sha256"), {str(name) for name in names if name is not None}


def _below(document: Any, key: str) -> dict[str, Any]:
    below = document.get(key) if isinstance(document, dict) else None
    return below if isinstance(below, dict) else {}


def read_results(
    folder: Path, document: Mapping[str, Any], faults: list[Finding]
) -> dict[str, dict[str, Any]] | None:
    """Read the outcomes that a release has, checking of what they are.

    Parameters
    ----------
    folder
        The release.
    document
        Its ``build.json``.
    faults
        Where faults go.

    Returns
    -------
    dict or None
        The outcomes by name, nothing where one cannot be read.
    """
    packed = document.get("packed")
    found: dict[str, dict[str, Any]] = {}
    unread = False
    for name in RESULTS:
        file = f"{name}.json"
        if not (folder / file).is_file():
            unread |= packed is not None and file in packed["files"]
            continue
        try:
            outcome = read_json(folder / file)
        except CxrbuildError as error:
            faults.append(Finding(file, None, f"cannot be read: {error.found}"))
            unread = True
            continue
        manifest, names = claims(outcome)
        if names != {document["dataset"]["name"]}:
            told = ", ".join(sorted(names)) or "no dataset"
            faults.append(Finding(file, None, f"is of {told}, not of {document['dataset']['name']}"))
        if packed is not None and manifest != packed["manifest_sha256"]:
            what = f"is {manifest}, build.json says {packed['manifest_sha256']}"
            faults.append(Finding(file, "manifest_sha256", what))
        if isinstance(outcome, dict):
            found[name] = outcome
        else:
            unread = True
    return None if unread else found


def check_packed(
    folder: Path, document: Mapping[str, Any], manifest: pd.DataFrame, hashes: Mapping[str, str],
    faults: list[Finding],
) -> None:  # fmt: skip
    """Check what ``build.json`` says of the files that do not follow from the data, and of its build.

    Parameters
    ----------
    folder
        The release.
    document
        Its ``build.json``; one of an older cxrbuild says nothing of this.
    manifest
        Its manifest.
    hashes
        The SHA-256 that each file has.
    faults
        Where faults go.
    """
    packed = document.get("packed")
    if packed is None:
        _check_words(folder, document, faults)
        return
    for name, digest in sorted(packed["files"].items()):
        if name not in hashes:
            if not (folder / name).is_file():
                faults.append(Finding(name, None, "is missing; build.json says that it was packed"))
                continue
            found = sha256_of(folder / name)
        else:
            found = hashes[name]
        if found != digest:
            faults.append(Finding(name, None, f"its SHA-256 is {found}, build.json says {digest}"))
    faults += [
        Finding(f"{name}.json", None, "was not packed, build.json says")
        for name in RESULTS
        if (folder / f"{name}.json").is_file() and f"{name}.json" not in packed["files"]
    ]
    # Other versions may write other bytes for the same rows.
    made_here = {document["cxrbuild"], packed["cxrbuild"]} == {__version__}
    if made_here and document["libraries"].get("pyarrow") == version("pyarrow"):
        digest = _blank_hash(manifest)
        if digest != packed["manifest_sha256"]:
            what = (
                f"is {packed['manifest_sha256']}, but manifest.parquet with `withheld` blank, as the build "
                f"had it, has {digest}"
            )
            faults.append(Finding("build.json", "packed.manifest_sha256", what))


def _blank_hash(manifest: pd.DataFrame) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "manifest.parquet"
        write_records(path, manifest.assign(withheld=None))
        return sha256_of(path)


def _check_words(folder: Path, document: Mapping[str, Any], faults: list[Finding]) -> None:
    """Check what any version of these pages says."""
    dataset = document["dataset"]
    due = {
        "CHANGELOG.md": [f"## {dataset['version']} ({document['date']})"],
        "report.html": ["<!doctype html>", dataset["version"]],
    }
    card = folder / "README.md"
    told = card.read_text(encoding="utf-8", errors="replace") if card.is_file() else ""
    faults += [
        Finding(f"{name}.json", None, "is missing; the card says that it is here")
        for name in RESULTS
        if f"`{name}.json` and" in told and not (folder / f"{name}.json").is_file()
    ]
    for file, words in due.items():
        text = ""
        if (folder / file).is_file():
            text = (folder / file).read_text(encoding="utf-8", errors="replace").lower()
        faults += [Finding(file, None, f"does not say {w}") for w in words if w.lower() not in text]
