"""Refuse to give images away that were withdrawn after their build was made."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cxrbuild.artifact import BuildDocument
from cxrbuild.catalog import Source, read_source, source_names
from cxrbuild.curation.declaration_files import DeclarationFiles, hash_withdrawn, read_declaration_files
from cxrbuild.errors import CheckError, count_of, name_some

if TYPE_CHECKING:
    import pandas as pd


def require_not_withdrawn_since(build: Path, document: BuildDocument, records: pd.DataFrame) -> list[str]:
    """Refuse a build of which an image or a patient was withdrawn since it was made.

    Parameters
    ----------
    build
        The build.
    document
        Its ``build.json``.
    records
        Its ledger.

    Returns
    -------
    list of str
        The sources whose declarations are not where they were, so that nothing is known of them.

    Raises
    ------
    CheckError
        A file of withdrawals names an image that the ledger does not have as withdrawn, or other patients
        or blobs than when the build was made.
    CxrbuildError
        It names patients of a source that hashes their numbers, and the environment holds no key.
    """
    unknown, found, images = [], [], 0
    files = read_declaration_files(build)
    for name in document.declared_sources:
        source = _read_now(name, document, files)
        if source is None:
            unknown.append(name)
            continue
        rows = records[(records["source"] == name) & (records["exclusion"] == "withdrawn")]
        # A path that no row has may be misspelt: `curate` says so.
        since = sorted(set(source.withdrawals) - set(rows["source_path"]))
        images += len(since)
        found += [f"{name} {path}, withdrawn {source.withdrawals[path].describe()}" for path in since]
        # Which images are meant is known from metadata and files alone.
        if files is not None and hash_withdrawn(source) != files.withdrawn.get(name, ""):
            found.append(f"other patients or blobs in {source.withdrawals_place}")
    if found:
        what = f"{count_of(images, 'image')} withdrawn" if images else "patients or blobs withdrawn"
        raise CheckError(
            f"{what} since the build was made", where=build,
            expected="a build that excludes every image that its sources declare as withdrawn",
            found=name_some(found),
            todo="Run `cxrbuild curate` again with its recipe, and use what it builds. If a release has them "
            "already, the next version is a new MAJOR one (before 1.0.0 any new version)",
        )  # fmt: skip
    return unknown


def _read_now(name: str, document: BuildDocument, files: DeclarationFiles | None) -> Source | None:
    """Return a source as it is declared now, ``None`` where its declaration is not known."""
    place = None if files is None else files.sources.get(name)
    if place is None and name in source_names():
        # A build that records no places, as one in object storage: only the shipped source has its pin.
        shipped = read_source(name)
        return shipped if shipped.pin == document.declared_sources[name].pin else None
    if place is None or (place.endswith(".toml") and not Path(place).is_file()):
        return None
    source = read_source(place)
    return source if source.name == name else None
