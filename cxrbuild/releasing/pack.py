"""Make a release from a build."""

from __future__ import annotations

import logging
import os
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cxrbuild import __version__
from cxrbuild.artifact import (
    AuditDocument,
    BaselineDocument,
    BuildDocument,
    DatasetDocument,
    DocumentError,
    Problem,
    Release,
    ReleaseDocument,
    names,
    open_build,
    open_release,
    write_sums,
)
from cxrbuild.artifact.build import Packaging
from cxrbuild.comparison import DatasetVersion, Diff, exclusions_of, parse_version
from cxrbuild.contents import Contents
from cxrbuild.documents import audited_contents, croissant, texts
from cxrbuild.errors import CheckError, CxrbuildError, count_of, name_some
from cxrbuild.files import files_under, locked, naming, sha256_of, write_bytes, write_json
from cxrbuild.policy import Policy, withheld, without_file_names, without_identities
from cxrbuild.progress import Progress, silent
from cxrbuild.records import read_records, write_records
from cxrbuild.releasing.changelog import changelog, check_version, find_previous
from cxrbuild.report import write_report
from cxrbuild.shards import lay_out, require_tensorflow, write_parquet, write_tfrecord
from cxrbuild.split import groups_in_several_splits
from cxrbuild.verification import require_verified, verify
from cxrbuild.verification.files import changed_files
from cxrbuild.verification.results import RESULTS, read_result, result_of

if TYPE_CHECKING:
    import pandas as pd

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReleaseResult:
    """A release.

    Attributes
    ----------
    release
        The release.
    written
        Whether it was written; false if the folder already holds it with the same bytes.
    changes
        What changed since the previous release; ``None`` for the first.
    """

    release: Release
    written: bool
    changes: Diff | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON has it: the release's folder, ``written`` and ``build.json``."""
        document = self.release.document.to_dict()
        return {"release": str(self.release.folder), "written": self.written} | document

    def _repr_html_(self) -> str:
        return self.release._repr_html_()


def release(
    build: Path,
    version: str,
    out: Path,
    *,
    policy: Policy = "public",
    previous: Path | None = None,
    progress: Progress = silent,
) -> ReleaseResult:
    """Make a release from a build.

    The same build, version and previous release give the same bytes. The date is ``SOURCE_DATE_EPOCH``,
    else the recipe's.

    Parameters
    ----------
    build
        A finished build.
    version
        The release's version, MAJOR.MINOR.PATCH.
    out
        The folder of the release: a new one, or one that holds the same release.
    policy
        ``public`` includes pixels whose licence allows it, ``private`` all pixels.
    previous
        The previous release; default the newest older one next to ``out``, or a published manifest.
    progress
        Opens a progress bar for each stage.

    Raises
    ------
    CxrbuildError
        The folder holds no build, or ``out`` holds another release.
    CheckError
        The version is too small, or the build's files have changed.
    """
    parse_version(version)
    document = open_build(build).document
    _require_tables(build, document)
    _require_classes(build, document)
    name = document.dataset.name
    if "tfrecord" in document.formats:
        require_tensorflow("packing TFRecord")
    records = without_identities(read_records(build / names.LEDGER), document, policy)
    records = _with_withheld(records, policy)
    results = _read_results(build, document)
    contents = audited_contents(_document(document, version, policy, records), records, results.audit)
    # A release that already exists may be older than the newest one.
    before = previous or find_previous(name, version, policy, out, back=(out / names.SUMS).is_file())
    _require_same_key(document, before)
    new = DatasetVersion(
        str(build),
        contents.kept,
        contents.recipe.classes,
        released=True,
        missing=document.missing,
        unpinned=document.unpinned,
        exclusions=exclusions_of(records),
    )
    changes = check_version(name, version, new, before)
    _require_images(build, contents.embedded)
    # Next to the release, so that one rename moves it into place.
    workshop = out.parent / f".{out.name}.part"
    with naming(out, workshop), naming(out, workshop / out.name), locked(workshop):
        try:
            staging = workshop / out.name
            # A killed run may have left files.
            shutil.rmtree(staging, ignore_errors=True)
            staging.mkdir()
            text = changelog(contents, before, changes)
            written = _write(build, staging, contents, results, text, progress)
            _logger.info(
                "wrote %s: %d images, %d with pixels", staging, len(contents.kept), len(contents.embedded)
            )
            require_verified(verify(staging, progress=progress), build)
            moved = _put(staging, out)
            _logger.info("%s %s", "released" if moved else "unchanged:", out)
            return ReleaseResult(Release(out, written), written=moved, changes=changes)
        finally:
            shutil.rmtree(workshop)


def _require_same_key(document: BuildDocument, previous: Path | str | None) -> None:
    """Refuse patient numbers that are hashed with another key than in the previous release."""
    if not isinstance(previous, Path) or document.patient_key is None:
        return
    expected = open_release(previous).document.patient_key
    if expected not in (None, document.patient_key):
        raise CxrbuildError(
            "patient numbers are hashed with another key than in the previous release", where=previous,
            expected=f"the key with the fingerprint {expected}", found=document.patient_key,
            todo="Every patient would get another id. Set the key of before, and build again",
        )  # fmt: skip


def default_folder(build: Path, version: str, policy: Policy) -> Path:
    """Return the default folder of a release: ``release/NAME-VERSION``, with ``-private`` for a private one.

    Raises
    ------
    CxrbuildError
        The folder holds no build.
    """
    name = open_build(build).name
    return Path("release") / f"{name}-{version}{'-private' if policy == 'private' else ''}"


def _require_tables(build: Path, document: BuildDocument) -> None:
    for name in (names.LEDGER, names.MANIFEST):
        if name not in document.files:
            raise DocumentError(
                build / names.BUILD, document.KIND, [Problem(f"files.{name}", "missing")], document.NEXT_STEP
            )
        wanted = document.files[name].sha256
        if not (build / name).is_file() or (digest := sha256_of(build / name)) != wanted:
            raise CheckError(
                "the file has changed since it was built", where=build / name, expected=f"SHA-256 {wanted}",
                found=digest if (build / name).is_file() else "no file", todo="Run `cxrbuild curate` again",
            )  # fmt: skip


def _require_classes(build: Path, document: BuildDocument) -> None:
    if problems := document.recipe.find_empty(document.counts):
        raise CheckError(
            "classes of the build are empty\n  " + "\n  ".join(problems), where=build,
            todo="List the classes under `split.allow_empty` in the recipe, and run `cxrbuild curate` again",
        )  # fmt: skip


def _require_images(build: Path, embedded: pd.DataFrame) -> None:
    missing, changed = [], []
    for path, size in zip(embedded["jpeg_path"], embedded["jpeg_bytes"], strict=True):
        if not (build / path).is_file():
            missing.append(path)
        elif (build / path).stat().st_size != size:
            changed.append(path)
    if changed:
        raise CheckError(
            f"{count_of(len(changed), 'image')} of the build changed since the build was made",
            where=build, found=name_some(changed),
            todo="Run `cxrbuild curate` again: it converts again what changed",
        )  # fmt: skip
    if missing:
        raise CheckError(
            f"{count_of(len(missing), 'image')} of the build missing", where=build, found=name_some(missing),
            todo="Run `cxrbuild curate` again: it converts again what is missing",
        )  # fmt: skip


def _document(build: BuildDocument, version: str, policy: Policy, records: pd.DataFrame) -> ReleaseDocument:
    """Return the release's ``build.json``: the build's, without the hashes of its files."""
    reasons = records["withheld"].value_counts()
    shared = {name: getattr(build, name) for name in DatasetDocument.model_fields}
    return ReleaseDocument(
        **shared
        | {
            "dataset": build.dataset.model_copy(update={"version": version}),
            # A public release does not name the files of sources that are not public.
            "sources": without_file_names(build, policy),
            "groups_in_several_splits": groups_in_several_splits(records).to_dict(),
            "policy": policy,
            "date": _date(build.recipe.date),
            "withheld": {str(reason): int(n) for reason, n in reasons.items()},
            # Of the build, whose `withheld` is null: audit and baseline results name it.
            "packaging": Packaging(
                cxrbuild=__version__, manifest_sha256=build.files[names.MANIFEST].sha256, files={}
            ),
        }
    )


def _date(declared: str | None) -> str:
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if epoch:
        try:
            return datetime.fromtimestamp(int(epoch), UTC).date().isoformat()
        except (ValueError, OverflowError, OSError):
            raise CxrbuildError(
                "not a valid time", where="environment variable SOURCE_DATE_EPOCH",
                expected="seconds since 1970: https://reproducible-builds.org/specs/source-date-epoch/",
                found=epoch,
            ) from None  # fmt: skip
    if declared is None:
        raise CxrbuildError(
            "the release has no date", where="the recipe's `date`",
            todo='Write `date = "YYYY-MM-DD"` into the recipe and curate again, or set SOURCE_DATE_EPOCH: '
            "the current date is not used, so that the same build gives the same release on any day",
        )  # fmt: skip
    return declared


def _with_withheld(ledger: pd.DataFrame, policy: Policy) -> pd.DataFrame:
    kept = ledger["exclusion"].isna()
    ledger = ledger.copy()
    ledger.loc[kept, "withheld"] = withheld(ledger[kept], policy)
    return ledger


def _write(
    build: Path, root: Path, contents: Contents, results: Results, changes: str, progress: Progress
) -> ReleaseDocument:
    """Write every file of the release, ``SHA256SUMS`` last; return its ``build.json``."""
    write_records(root / names.LEDGER, contents.records)
    write_records(root / names.MANIFEST, contents.kept)
    shards = _write_shards(build, root, contents, progress)
    write_bytes(root / names.CHANGELOG, changes.encode())
    for name, path in results.files.items():
        write_bytes(root / name, path.read_bytes())
    write_report(root / names.REPORT, contents, build, results.audit, results.baseline)
    # Files that do not follow from the data are recorded with their hashes; others can be generated again.
    recorded = [names.CHANGELOG, names.REPORT, *results.files]
    packaging = contents.document.packaging.model_copy(
        update={"files": {name: sha256_of(root / name) for name in recorded}}
    )
    document = contents.document.model_copy(update={"packaging": packaging})
    document.write(root / names.BUILD)
    splits = _splits([path for path in shards if path.suffix == ".parquet"])
    for name, text in texts(root, contents, splits, results.kinds).items():
        write_bytes(root / name, text.encode())
    hashes = _hashes(root)
    write_json(root / names.CROISSANT, croissant(root, contents, hashes))
    write_sums(root, hashes | {names.CROISSANT: sha256_of(root / names.CROISSANT)})
    return document


def _hashes(root: Path) -> dict[str, str]:
    names = (Path(entry.path).relative_to(root).as_posix() for entry in files_under(root))
    return {name: sha256_of(root / name) for name in names}


def _write_shards(build: Path, root: Path, contents: Contents, progress: Progress) -> list[Path]:
    recipe = contents.recipe
    shards = lay_out(contents.embedded)
    paths = write_parquet(shards, build, recipe.classes, progress, out=root)
    if "tfrecord" in contents.document.formats:
        paths += write_tfrecord(
            shards, build, recipe.classes, name=recipe.name, version=contents.version, out=root,
            description=contents.description, citation=recipe.citation or "", progress=progress,
        )  # fmt: skip
    return paths


@dataclass(frozen=True)
class Results:
    """The audit result and the baseline result of a build, where there are any.

    Attributes
    ----------
    audit, baseline
        Their content.
    files
        Where the build has each, by its name in a release.
    """

    audit: AuditDocument | None
    baseline: BaselineDocument | None
    files: dict[str, Path]

    @property
    def kinds(self) -> list[str]:
        """Which of ``audit`` and ``baseline`` there are."""
        return [name.removesuffix(".json") for name in self.files]


def _read_results(build: Path, document: BuildDocument) -> Results:
    """Read the audit result and the baseline result.

    Raises
    ------
    CxrbuildError
        A result is of another build or recipe, or does not fit.
    """
    manifest = document.files[names.MANIFEST].sha256
    found: dict[str, Any] = {}
    files = {}
    for kind, place, released in RESULTS:
        path = build / place
        if not path.is_file():
            continue
        result = read_result(kind, path)
        refers, datasets = result_of(result)
        if refers != manifest:
            raise CxrbuildError(
                f"this {kind} result is of another build", where=path,
                expected=f"one of the manifest with SHA-256 {manifest}", found=refers or "none",
                todo="Run it again on this build, or move the file away",
            )  # fmt: skip
        if datasets != {document.dataset.name}:
            raise CxrbuildError(
                f"this {kind} result is of another recipe", where=path, expected=document.dataset.name,
                found=", ".join(sorted(datasets)) or "no name of one",
                todo="Run it again with the build's own recipe (--recipe), or move the file away",
            )  # fmt: skip
        found[kind] = result
        files[released] = path
    return Results(found.get("audit"), found.get("baseline"), files)


def _splits(parquet: list[Path]) -> dict[str, dict[str, int]]:
    """Return the rows and uncompressed bytes of the Parquet shards by split."""
    import pyarrow.parquet as pq

    splits: dict[str, dict[str, int]] = {}
    for path in parquet:
        split = splits.setdefault(path.name.split("-")[0], {"num_bytes": 0, "num_examples": 0})
        metadata = pq.read_metadata(path)
        split["num_bytes"] += sum(
            metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups)
        )
        split["num_examples"] += metadata.num_rows
    return splits


def _put(staging: Path, out: Path) -> bool:
    """Move the release into place; the same release may already be there.

    Raises
    ------
    CheckError
        The same release is there, and its files have changed.
    CxrbuildError
        The folder holds something else.
    """
    if out.exists():
        there = out / names.SUMS
        if not out.is_dir() or (any(out.iterdir()) and not there.is_file()):
            raise CxrbuildError(
                "the folder holds something else", where=out, todo="Name another folder with --out"
            )
        if there.is_file():
            _require_unchanged(out)
            if there.read_bytes() == (staging / names.SUMS).read_bytes():
                return False
            raise CxrbuildError(
                "the folder holds another release, and a release never changes", where=out,
                todo="Name a later version or another folder, or remove the release if it is not published",
            )  # fmt: skip
        out.rmdir()
    staging.replace(out)
    return True


def _require_unchanged(out: Path) -> None:
    if findings := changed_files(out):
        lines = "\n".join(f"  {finding}" for finding in findings)
        raise CheckError(
            f"the release already exists, and its files have changed\n{lines}", where=out,
            todo="Move it away and run `cxrbuild release` again",
        )  # fmt: skip
