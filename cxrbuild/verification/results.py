"""Check that the results of audit, baseline and explanation are of this release's build."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from cxrbuild import __version__
from cxrbuild.artifact import RESULTS, names
from cxrbuild.artifact.results import result_of
from cxrbuild.checks import Finding
from cxrbuild.files import sha256_of
from cxrbuild.policy import unlisted_sources
from cxrbuild.records import write_records
from cxrbuild.verification.context import Context

if TYPE_CHECKING:
    import pandas as pd


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
    for file in RESULTS:
        if (context.folder / file.in_release).is_file() and file.in_release not in recorded:
            yield Finding("is not recorded in build.json", file.in_release)


def check_build_manifest(context: Context) -> Iterator[Finding]:
    """Find out whether the recorded hash of the build's manifest follows from the release's manifest.

    Other versions of cxrbuild or pyarrow may write other bytes for the same rows. A public release of a
    source that is not public does not record which version of pyarrow computed the hash.
    """
    document = context.release
    if unlisted_sources(document):
        return
    same_versions = {document.cxrbuild, document.packaging.cxrbuild} == {__version__}
    if same_versions and document.libraries.get("pyarrow") == version("pyarrow"):
        found = build_manifest_hash(context.manifest)
        if found != document.packaging.manifest_sha256:
            message = (
                f"is {document.packaging.manifest_sha256}, but manifest.parquet with an empty `withheld`, as "
                f"in the build, has {found}"
            )
            yield Finding(message, names.BUILD, "packaging.manifest_sha256")


def build_manifest_hash(manifest: pd.DataFrame) -> str:
    """Return the hash of a release's manifest as a build has it: with an empty ``withheld``."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / names.MANIFEST
        write_records(path, manifest.assign(withheld=None))
        return sha256_of(path)
