"""Whether the audit and the baseline are of these data, and the rest is as it was packed."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cxrbuild import __version__
from cxrbuild.artifact import AuditDocument, DocumentError, ReleaseDocument, names
from cxrbuild.errors import CxrbuildError
from cxrbuild.files import read_json, sha256_of
from cxrbuild.records import write_records
from cxrbuild.verification.finding import Finding

if TYPE_CHECKING:
    import pandas as pd

# Each kind of result, where a build has it, and its name in a release.
RESULTS = (
    ("audit", names.AUDIT, names.AUDIT),
    ("baseline", names.BASELINE, names.RELEASED_BASELINE),
)


def read_result(kind: str, path: Path) -> Any:
    """Read an audit result or a baseline result.

    Raises
    ------
    CxrbuildError
        The file is not such a result.
    """
    return AuditDocument.read(path) if kind == "audit" else read_json(path)


def result_of(result: Any) -> tuple[str | None, set[str]]:
    """Return the SHA-256 of the manifest that a result is of, and the names of its dataset and recipe."""
    if isinstance(result, AuditDocument):
        return result.dataset.manifest_sha256, {result.dataset.name}
    dataset, recipe = (_table(result, key) for key in ("dataset", "recipe"))
    found = {dataset.get("name"), recipe.get("name")}
    return dataset.get("manifest_sha256"), {str(name) for name in found if name is not None}


def _table(document: Any, key: str) -> dict[str, Any]:
    below = document.get(key) if isinstance(document, dict) else None
    return below if isinstance(below, dict) else {}


def read_results(folder: Path, document: ReleaseDocument, faults: list[Finding]) -> dict[str, Any] | None:
    """Read the results that a release has, and check what they refer to.

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
        The results by kind, nothing where one cannot be read.
    """
    found: dict[str, Any] = {}
    unread = False
    for kind, _, file in RESULTS:
        if not (folder / file).is_file():
            unread |= file in document.packaging.files
            continue
        try:
            result = read_result(kind, folder / file)
        except DocumentError as error:
            faults += [Finding(file, problem.key or None, problem.message) for problem in error.problems]
            unread = True
            continue
        except CxrbuildError as error:
            faults.append(Finding(file, None, f"cannot be read: {error.found}"))
            unread = True
            continue
        manifest, datasets = result_of(result)
        if datasets != {document.dataset.name}:
            named = ", ".join(sorted(datasets)) or "no dataset"
            faults.append(Finding(file, None, f"is of {named}, not of {document.dataset.name}"))
        if manifest != document.packaging.manifest_sha256:
            what = f"is {manifest}, build.json says {document.packaging.manifest_sha256}"
            faults.append(Finding(file, "manifest_sha256", what))
        found[kind] = result
    return None if unread else found


def check_packed(
    folder: Path, document: ReleaseDocument, manifest: pd.DataFrame, hashes: Mapping[str, str],
    faults: list[Finding],
) -> None:  # fmt: skip
    """Check what ``build.json`` says of the files that do not follow from the data, and of its build.

    Parameters
    ----------
    folder
        The release.
    document
        Its ``build.json``.
    manifest
        Its manifest.
    hashes
        The SHA-256 that each file has.
    faults
        Where faults go.
    """
    packaging = document.packaging
    for name, digest in sorted(packaging.files.items()):
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
        Finding(file, None, "was not packed, build.json says")
        for _, _, file in RESULTS
        if (folder / file).is_file() and file not in packaging.files
    ]
    # Other versions may write other bytes for the same rows.
    made_here = {document.cxrbuild, packaging.cxrbuild} == {__version__}
    if made_here and document.libraries.get("pyarrow") == version("pyarrow"):
        digest = _blank_hash(manifest)
        if digest != packaging.manifest_sha256:
            what = (
                f"is {packaging.manifest_sha256}, but manifest.parquet with `withheld` blank, as the build "
                f"had it, has {digest}"
            )
            faults.append(Finding("build.json", "packaging.manifest_sha256", what))


def _blank_hash(manifest: pd.DataFrame) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "manifest.parquet"
        write_records(path, manifest.assign(withheld=None))
        return sha256_of(path)
