"""Check that the audit result and the baseline result are of this release's build."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cxrbuild import __version__
from cxrbuild.artifact import AuditDocument, DocumentError, Problem, names
from cxrbuild.checks import Finding
from cxrbuild.errors import CxrbuildError
from cxrbuild.files import read_json, sha256_of
from cxrbuild.policy import renames_files
from cxrbuild.records import write_records

if TYPE_CHECKING:
    import pandas as pd

    from cxrbuild.verification.context import Context

# Each kind of result, where a build has it, and its name in a release.
RESULTS = (
    ("audit", names.AUDIT, names.AUDIT),
    ("baseline", names.BASELINE, names.RELEASED_BASELINE),
)


def read_result(kind: str, path: Path) -> Any:
    """Read an audit result or a baseline result.

    Raises
    ------
    DocumentError
        The file is not such a result.
    """
    if kind == "audit":
        return AuditDocument.read(path)
    try:
        return read_json(path)
    except CxrbuildError as error:
        problem = Problem("", f"not a JSON document: {error.found}")
        raise DocumentError(
            path, "a baseline result", [problem], "Run `cxrbuild train-baseline` again"
        ) from None


def result_of(result: Any) -> tuple[str | None, set[str]]:
    """Return the SHA-256 of the manifest that a result refers to, and the names of its dataset and recipe."""
    if isinstance(result, AuditDocument):
        return result.dataset.manifest_sha256, {result.dataset.name}
    dataset, recipe = (_table(result, key) for key in ("dataset", "recipe"))
    found = {dataset.get("name"), recipe.get("name")}
    return dataset.get("manifest_sha256"), {str(name) for name in found if name is not None}


def _table(document: Any, key: str) -> dict[str, Any]:
    below = document.get(key) if isinstance(document, dict) else None
    return below if isinstance(below, dict) else {}


def check_results(context: Context) -> Iterator[Finding]:
    """Find results that cannot be read, or that are of another dataset or build."""
    document = context.release
    for file, read in context.result_reads.items():
        yield from read.findings
        if read.value is None:
            continue
        manifest, datasets = result_of(read.value)
        if datasets != {document.dataset.name}:
            named = ", ".join(sorted(datasets)) or "no dataset"
            yield Finding(f"is of {named}, not of {document.dataset.name}", file)
        if manifest != document.packaging.manifest_sha256:
            message = f"is {manifest}, build.json has {document.packaging.manifest_sha256}"
            yield Finding(message, file, "manifest_sha256")


def check_packaged_files(context: Context) -> Iterator[Finding]:
    """Find files whose hash is not the one that ``build.json`` records."""
    recorded = context.release.packaging.files
    for name, expected in sorted(recorded.items()):
        path = context.folder / name
        if not path.is_file():
            yield Finding("is missing; build.json records it", name)
        elif (found := context.hashes.get(name) or sha256_of(path)) != expected:
            yield Finding(f"its SHA-256 is {found}, build.json has {expected}", name)
    for _, _, file in RESULTS:
        if (context.folder / file).is_file() and file not in recorded:
            yield Finding("is not recorded in build.json", file)


def check_build_manifest(context: Context) -> Iterator[Finding]:
    """Find out whether the recorded hash of the build's manifest follows from the release's manifest.

    Other versions of cxrbuild or pyarrow may write other bytes for the same rows. A public release of a
    source that is not public has other rows than the build: it does not name the source's files.
    """
    document = context.release
    if renames_files(document, document.policy):
        return
    same_versions = {document.cxrbuild, document.packaging.cxrbuild} == {__version__}
    if same_versions and document.libraries.get("pyarrow") == version("pyarrow"):
        found = _build_manifest_hash(context.manifest)
        if found != document.packaging.manifest_sha256:
            message = (
                f"is {document.packaging.manifest_sha256}, but manifest.parquet with an empty `withheld`, as "
                f"in the build, has {found}"
            )
            yield Finding(message, names.BUILD, "packaging.manifest_sha256")


def _build_manifest_hash(manifest: pd.DataFrame) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / names.MANIFEST
        write_records(path, manifest.assign(withheld=None))
        return sha256_of(path)
