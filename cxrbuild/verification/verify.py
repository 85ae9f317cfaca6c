"""Verify a folder: recognise what it is, and make every check that applies."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from cxrbuild.artifact import AuditDocument, ReleaseDocument, find_artifacts, kind_of, names
from cxrbuild.checks import NotApplicable, evaluate
from cxrbuild.comparison import read_version
from cxrbuild.curation import curate_command
from cxrbuild.errors import CxrbuildError, name_some
from cxrbuild.executors import require_executor
from cxrbuild.progress import Progress, silent
from cxrbuild.signature import read_public_keys, require_library
from cxrbuild.verification.context import HASHING, Context
from cxrbuild.verification.images import IMAGES, count_images
from cxrbuild.verification.parquet import PARQUET
from cxrbuild.verification.registry import verify_checks
from cxrbuild.verification.result import VerificationResult
from cxrbuild.verification.signature import signer_of
from cxrbuild.verification.sizes import SIZES
from cxrbuild.verification.tables import describe_leakage
from cxrbuild.verification.tfrecord import TFRECORD

_logger = logging.getLogger(__name__)
# The manifest that a folder of images is compared with unless another is named.
DEFAULT_MANIFEST = "covid19-cxr/1.0.0"


def verify(
    folder: Path,
    *,
    manifest: str | None = None,
    executor: str = "local",
    signers: Path | None = None,
    progress: Progress = silent,
) -> VerificationResult:
    """Verify a release, a build, or a folder of images.

    All findings are listed at once. Pixels stream: 64 images are in memory at a time, and the tables.

    Parameters
    ----------
    folder
        What to verify: with ``SHA256SUMS`` a release, with ``build.json`` a build, else images.
    manifest
        What to compare images with: a ``manifest.parquet``, or a published name; default
        ``covid19-cxr/1.0.0``. A published manifest has no hashes of pixels.
    executor
        Where the image files of a build or a folder, and the ready sizes of a release, are checked:
        ``local``, or the address of a cluster.
    signers
        A file with public keys, by one of which a release must be signed; ``None`` for releases that need not
        be signed.
    progress
        Shows how far each check is.

    Raises
    ------
    CxrbuildError
        There is nothing to verify, no such manifest, signers are named for what is no release, or a check of
        another package cannot be used.
    """
    require_executor(executor)
    if not folder.is_dir():
        raise CxrbuildError("no such folder", where=folder, todo="Name the folder of a release or a build")
    kind = None if manifest is not None else kind_of(folder)
    keys = None if signers is None else frozenset(_read_signers(signers, folder, kind))
    if kind is not None:
        return _verify(Context(folder, kind, progress=progress, executor=executor, signers=keys))
    # Images of a build are checked with its tables, never as a folder of images.
    if manifest is None and (inside := find_artifacts(folder)):
        raise CxrbuildError(
            "this folder is no release and no build", where=folder, found=name_some(inside),
            expected="a release (with SHA256SUMS), a build (with build.json), or a folder of images",
            todo="Name one of these folders",
        )  # fmt: skip
    name = manifest or DEFAULT_MANIFEST
    context = Context(
        folder, "images", images_of=read_version(name).manifest, progress=progress, executor=executor
    )
    if not count_images(context):
        raise CxrbuildError(
            "nothing to verify in this folder", where=folder,
            expected="a release (with SHA256SUMS), a build (with build.json), or images of the manifest "
            f"{name}, each named IMAGE_ID.jpg",
            todo="Name such a folder, or another manifest with --manifest",
        )  # fmt: skip
    return _verify(context, manifest=name)


def _read_signers(signers: Path, folder: Path, kind: str | None) -> set[bytes]:
    if kind != "release":
        raise CxrbuildError("only a release is signed", where=folder, todo="Verify it without signers")
    require_library()
    return read_public_keys(signers)


def _stages(context: Context) -> Iterator[str]:
    """Yield what the checks read of the folder, in order: the titles of their bars."""
    if context.kind == "images":
        yield IMAGES
        return
    yield HASHING
    if context.kind == "build":
        yield IMAGES
    if context.parquet_paths:
        yield PARQUET
    if (context.folder / names.TFRECORD).is_dir():
        yield TFRECORD
    document = context.document_read.value
    if isinstance(document, ReleaseDocument) and document.sizes:
        yield SIZES


def _verify(context: Context, manifest: str | None = None) -> VerificationResult:
    chosen = [check for check in verify_checks() if context.kind in check.applies_to]
    context.progress.plan(*_stages(context))
    results = []
    with context.progress("checking", len(chosen), "check") as bar:
        for check in chosen:
            with context.progress(f"check {check.id}", None, ""):
                results.append(evaluate(check, context, limit=check.limit))
            bar.update()
    checks = tuple(results)
    of = ", ".join(f"{count} {status}" for status, count in Counter(one.status for one in checks).items())
    _logger.info("verified the %s %s: %d checks, %s", context.kind, context.folder, len(checks), of)
    if context.kind == "images":
        found = count_images(context)
        return VerificationResult(
            context.folder, context.kind, manifest or "", files=found, images=found, checks=checks
        )
    try:
        images = len(context.manifest)
    except NotApplicable:
        images = 0
    repair = (curate_command(context.folder) or "") if context.kind == "build" else ""
    document = context.document_read.value
    if document is None:
        return VerificationResult(
            context.folder, context.kind, context.folder.name, len(context.hashes), images, checks,
            # `curate` overwrites a `build.json` that it cannot read on demand alone.
            repair=f"{repair} --replace" if repair and (context.folder / names.BUILD).is_file() else repair,
        )  # fmt: skip
    other = isinstance(document, ReleaseDocument) and not context.packaged_here
    failed = any(check.status == "failed" for check in checks)
    return VerificationResult(
        folder=context.folder,
        kind=context.kind,
        name=f"{document.dataset.name} {document.dataset.version}",
        files=len(context.hashes),
        images=images,
        checks=checks,
        unpinned=tuple(document.unpinned),
        missing=document.missing_images,
        other_version=context.release.packaging.cxrbuild if other else None,
        signer=signer_of(context),
        leakage="" if failed else describe_leakage(context, checks),
        repair=repair,
        withheld=sum(document.withheld.values()) if isinstance(document, ReleaseDocument) else 0,
        failed_audit=_failed_audit(context),
    )


def _failed_audit(context: Context) -> tuple[str, ...]:
    """Return the checks that failed in the audit that a build or a release has."""
    read = context.result_reads.get(names.AUDIT)
    audit = None if read is None else read.value
    if not isinstance(audit, AuditDocument):
        return ()
    return tuple(check.id for check in audit.checks if check.status == "failed")
