"""Check ``build.json``, ``SHA256SUMS`` and the bytes of every file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cxrbuild.artifact import BuildDocument, names
from cxrbuild.checks import Finding, NotApplicable
from cxrbuild.curation import sealed_hash
from cxrbuild.files import sha256_of
from cxrbuild.verification.context import Context


def check_document(context: Context) -> Iterator[Finding]:
    """Find what is wrong with ``build.json`` itself, and whether a build's is as `curate` wrote it."""
    yield from context.document_read.findings
    path = context.folder / names.BUILD
    if context.kind == "build" and path.is_file() and (written := sealed_hash(context.folder)):
        found = sha256_of(path)
        if found != written:
            yield Finding(f"its SHA-256 is {found}, and was {written} when the build was made", names.BUILD)
    document = context.document_read.value
    if isinstance(document, BuildDocument):
        for name in (names.LEDGER, names.MANIFEST):
            if name not in document.files:
                yield Finding("is missing", names.BUILD, f"files.{name}")


def check_sums(context: Context) -> Iterator[Finding]:
    """Find lines of ``SHA256SUMS`` that are not a hash and a path."""
    yield from context.sums_read.findings


def check_hashes(context: Context) -> Iterator[Finding]:
    """Find files that are missing or have other bytes than their hash."""
    for name, expected in sorted(context.sums.items()):
        found = context.hashes.get(name)
        if found is None:
            yield Finding("is missing", name)
        elif found != expected:
            yield Finding(f"its SHA-256 is {found}, not {expected}", name)


def check_unlisted_files(context: Context) -> Iterator[Finding]:
    """Find files that ``SHA256SUMS`` does not list."""
    for name in sorted(set(context.files) - set(context.sums) - {names.SUMS, names.SIGNATURE}):
        yield Finding(f"is not in {names.SUMS}", name)


def check_known_files(context: Context) -> Iterator[Finding]:
    """Find listed files that this release does not have by its data."""
    if not context.packaged_here:
        raise NotApplicable("another version of cxrbuild made the release")
    expected = {*names.OF_RELEASE, *_shard_files(context)}
    for name in sorted(set(context.sums) - expected):
        yield Finding("is no file of this release", name)


def _shard_files(context: Context) -> Iterator[str]:
    document = context.release
    for shard in context.shards:
        yield shard.parquet
        yield from shard.sized.values()
        if "tfrecord" in document.formats:
            yield shard.tfrecord
    if "tfrecord" in document.formats and context.shards:
        folder = names.tfrecord_folder(document.dataset.name, document.dataset.version)
        yield from (f"{folder}/{name}" for name in (names.TFDS_INFO, "features.json", "label.labels.txt"))


def changed_files(folder: Path) -> list[Finding]:
    """Return what differs between a release's files and its ``SHA256SUMS``."""
    context = Context(folder, "release")
    return [*check_sums(context), *check_hashes(context), *check_unlisted_files(context)]
