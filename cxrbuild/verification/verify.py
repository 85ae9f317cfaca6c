"""Find out what a folder is, and check all of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cxrbuild.artifact import BuildDocument, ReleaseDocument, kind_of
from cxrbuild.artifact.names import SUMS
from cxrbuild.catalog.published import published_manifest
from cxrbuild.contents import Contents
from cxrbuild.documents import audited_contents
from cxrbuild.errors import CheckError, CxrbuildError
from cxrbuild.progress import Progress, silent
from cxrbuild.verification.card import check_card
from cxrbuild.verification.croissant import check_croissant
from cxrbuild.verification.document import read_document
from cxrbuild.verification.finding import Finding
from cxrbuild.verification.images import check_images
from cxrbuild.verification.lists import check_citation, check_lists
from cxrbuild.verification.regenerated import check_again, made_by_this_version
from cxrbuild.verification.results import check_packed, read_results
from cxrbuild.verification.shards import check_parquet, check_tfrecord, classes_of_shards
from cxrbuild.verification.sums import check_files, read_sums
from cxrbuild.verification.tables import check_release, check_tables, read_table

if TYPE_CHECKING:
    import pandas as pd

# What manifest a folder of bare images is checked against unless another is named.
DEFAULT_MANIFEST = "covid19-cxr/1.0.0"
# Faults of one file that an error tells; all of them are in its attribute and with --json.
_MOST = 25


@dataclass(frozen=True)
class Verified:
    """What was checked, and what is wrong with it.

    Attributes
    ----------
    kind
        What the folder is.
    name
        The dataset and its version, or the manifest that images were checked against.
    files, images
        How many were checked.
    unpinned
        The sources that are not proven to be the pinned version: no fault, but a reader should know.
    missing
        How many images belong to the dataset and could not be had: no fault either.
    faults
        All that is wrong.
    packed_by
        The other version of cxrbuild that packed a release: only that one compares every word of its card.
    """

    kind: Literal["release", "build", "images"]
    name: str
    files: int
    images: int
    unpinned: list[str]
    faults: list[Finding]
    missing: int = 0
    packed_by: str | None = None

    def document(self) -> dict[str, Any]:
        """Return all of it for JSON."""
        return asdict(self)


def verify(folder: Path, *, manifest: str | None = None, progress: Progress = silent) -> Verified:
    """Check a release, a build, or a folder of bare images.

    All faults are found at once. Pixels stream: 64 films are in memory at a time, beside the tables.

    Parameters
    ----------
    folder
        What to check: with ``SHA256SUMS`` a release, with ``build.json`` a build, else bare images.
    manifest
        What to check bare images against: a ``manifest.parquet``, or a published name; default
        ``covid19-cxr/1.0.0``. Only that of a release or build knows pixels.
    progress
        Told how far each check is.

    Raises
    ------
    CxrbuildError
        There is nothing to check.
    """
    if not folder.is_dir():
        raise CxrbuildError("no such folder", where=folder)
    if manifest is None and any((folder / name).is_file() for name in (SUMS, "build.json")):
        return _verify_packed(folder, progress)
    return _verify_images(folder, manifest or DEFAULT_MANIFEST, progress)


def refuse_faults(verified: Verified, where: Path) -> None:
    """Refuse what has faults.

    Raises
    ------
    CheckError
        There are faults; the words name each, the first of each file where there are very many.
    """
    if not verified.faults:
        return
    by_file: dict[str, list[Finding]] = {}
    for fault in verified.faults:
        by_file.setdefault(fault.file, []).append(fault)
    lines = []
    for file, faults in by_file.items():
        lines += [f"  {fault}" for fault in faults[:_MOST]]
        if len(faults) > _MOST:
            lines.append(f"  {file}: and {len(faults) - _MOST:,} more faults; --json has all")
    count = f"{len(verified.faults):,} faults" if len(verified.faults) != 1 else "1 fault"
    here = "these images" if verified.kind == "images" else f"this {verified.kind}"
    raise CheckError(f"{count} in {here}\n" + "\n".join(lines), where=where)


def _verify_images(folder: Path, name: str, progress: Progress) -> Verified:
    import pyarrow.parquet as pq

    path = Path(name) if Path(name).is_file() else published_manifest(name)
    if not path.is_file():
        raise CxrbuildError(
            "no such manifest", where=name, expected="a manifest.parquet, or a published name such as "
            + DEFAULT_MANIFEST,
        )  # fmt: skip
    rows = pq.read_table(path).to_pandas()
    faults: list[Finding] = []
    found = check_images(folder, folder, rows, progress, faults)
    if not found:
        raise CxrbuildError(
            "nothing to check here", where=folder,
            expected="a release (with SHA256SUMS), a build (with build.json), or images of the manifest "
            f"{name}, each named IMAGE_ID.jpg",
        )  # fmt: skip
    return Verified("images", name, found, found, [], faults)


def _verify_packed(folder: Path, progress: Progress) -> Verified:
    """Check a release or a build: both have tables, shards and ``build.json``."""
    faults: list[Finding] = []
    released = kind_of(folder) == "release"
    document = read_document(folder, faults, released=released)
    if released:
        sums = read_sums(folder, faults)
    else:
        files = document.files if isinstance(document, BuildDocument) else {}
        sums = {name: entry.sha256 for name, entry in files.items()}
    hashes = check_files(folder, sums, progress, faults, only_these=released)
    ledger, manifest = (read_table(folder, name, faults) for name in ("ledger.parquet", "manifest.parquet"))
    splits: dict[str, dict[str, int]] = {}
    if manifest is not None:
        classes = document.recipe.classes if document else classes_of_shards(folder)
        if ledger is not None:
            check_tables(document, ledger, manifest, classes, faults)
        if not released:
            check_images(folder / "images", folder, manifest, progress, faults)
        splits = _check_shards(folder, manifest, classes, progress, faults)
        if isinstance(document, ReleaseDocument):
            check_release(document, manifest, faults)
            check_packed(folder, document, manifest, hashes, faults)
    if isinstance(document, ReleaseDocument) and ledger is not None:
        _check_documents(folder, document, ledger, splits, hashes, faults)
    elif released:
        check_croissant(folder, None, hashes, faults)
        if manifest is not None:
            check_lists(folder, manifest, faults)
    kind: Literal["release", "build"] = "release" if released else "build"
    images = 0 if manifest is None else len(manifest)
    if document is None:
        return Verified(kind, folder.name, len(hashes), images, [], faults)
    return Verified(
        kind=kind,
        name=f"{document.dataset.name} {document.dataset.version}",
        files=len(hashes),
        images=images,
        unpinned=document.unpinned,
        faults=faults,
        missing=len(document.missing),
        packed_by=document.packaging.cxrbuild
        if isinstance(document, ReleaseDocument) and not made_by_this_version(document)
        else None,
    )


def _check_documents(
    folder: Path,
    document: ReleaseDocument,
    ledger: pd.DataFrame,
    splits: dict[str, dict[str, int]],
    hashes: dict[str, str],
    faults: list[Finding],
) -> None:
    """Check what a release says of its data: every word of this version, else what any version says."""
    results = read_results(folder, document, faults)
    if results is not None and made_by_this_version(document):
        contents = audited_contents(document, ledger, results.get("audit"))
        check_again(folder, contents, splits, results, hashes, faults)
        return
    contents = Contents(document, ledger)
    check_card(folder, contents, splits, faults)
    check_lists(folder, contents.kept, faults)
    check_citation(folder, contents, faults)
    check_croissant(folder, contents, hashes, faults)


def _check_shards(
    folder: Path, manifest: pd.DataFrame, classes: list[str], progress: Progress, faults: list[Finding]
) -> dict[str, dict[str, int]]:
    rows = manifest.drop_duplicates("image_id").set_index("image_id", drop=False)
    embedded = rows[rows["withheld"].isna()]
    splits: dict[str, dict[str, int]] = {}
    if (folder / "data").is_dir():
        splits = check_parquet(folder, embedded, classes, progress, faults)
    if (folder / "tfds").is_dir():
        check_tfrecord(folder, embedded, classes, progress, faults)
    if len(embedded) and not any((folder / name).is_dir() for name in ("data", "tfds")):
        faults.append(Finding("data", None, "there are no shards"))
    return splits
