"""What the commands of builds and releases print, from `release` to `publish`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from cxrbuild.artifact.audit import DuplicateSearch
from cxrbuild.checks import Status
from cxrbuild.comparison import KINDS
from cxrbuild.comparison.diff import CauseCount, ChangeCount, DeclaredChange, Total
from cxrbuild.overlapping import FingerprintDocument, Level, SharedImage
from cxrbuild.publishing.sending import FileToSend
from json_models.base import Counts, Printed


class Release(Printed):
    """What `release` prints: the release's `build.json`, and where it is.

    Attributes
    ----------
    release
        The folder or address.
    written
        Whether it was written; false if it was there.
    build
        The build that it was made from.
    """

    release: str
    written: bool
    build: str


class Sign(Printed):
    """What `sign` prints.

    Attributes
    ----------
    release
        The folder.
    signature
        The signature's file.
    key
        The fingerprint of the key.
    """

    release: str
    signature: str
    key: str


class CheckMade(Printed):
    """A check that was made.

    Attributes
    ----------
    id, sentence
        The check.
    limit
        The highest value that passes; `null` where it only reports.
    value
        What it found; `null` where it does not apply.
    status
        Whether it passed.
    message
        The value in words.
    """

    id: str
    sentence: str
    limit: float | None
    value: float | None
    status: Status
    message: str


class FindingMade(BaseModel):
    """A finding. A check can add keys of its own.

    Attributes
    ----------
    check
        The id of its check.
    file
        The file; `null` where it is not about one file.
    row
        The image, split, class or key; `null` where it is about the file as a whole.
    message
        What it is.
    """

    model_config = ConfigDict(extra="allow")
    check: str
    file: str | None
    row: str | None
    message: str


class Verify(Printed):
    """What `verify` prints.

    Attributes
    ----------
    folder
        The folder or address.
    kind
        What it is: `build`, `release` or `images`.
    name
        Name and version, or the manifest that images were compared with.
    files, images
        How many were checked.
    unpinned
        Sources that are not verified to be the pinned version.
    missing
        The number of missing images.
    other_version
        The version of the program that made the release, if it is another one.
    signer
        The fingerprint of the key that signed the release.
    failed_audit
        The checks that failed in the audit of the build or release.
    checks
        Each check.
    findings
        Each finding.
    """

    folder: str
    kind: Literal["build", "release", "images"]
    name: str
    files: int
    images: int
    unpinned: list[str]
    missing: int
    other_version: str | None
    signer: str | None
    failed_audit: list[str]
    checks: list[CheckMade]
    findings: list[FindingMade]


class DiffHead(Printed):
    """What `diff` prints of two versions of a dataset.

    Attributes
    ----------
    old, new
        What was compared.
    bump
        The part of the version that must increase; `null` where nothing changed.
    step
        Whether it did: `needed` (both have the same version), `made`, `too_small`, or `backwards` (the second
        has the lower version). `null` where nothing changed, or the two are not known to be of one dataset.
    shared
        How many images both datasets have.
    totals
        The number of images of each.
    counts
        The number of rows of each change, by source and class; the class of an excluded image may be empty.
    causes
        The number of rows of each change, by cause.
    declared
        What changed in the recipe, its overrides and the sources.
    silent
        Which of them has no ledger, so that it is not known why it lacks images.
    columns_added, columns_removed
        Columns that one of them alone has.
    classes_changed
        Whether the classes or their order differ.
    held_otherwise
        How many images of both have another `previous_split`.
    """

    old: str
    new: str
    bump: Literal["major", "minor", "patch"] | None
    step: Literal["needed", "made", "too_small", "backwards"] | None
    shared: int
    totals: list[Total]
    counts: list[ChangeCount]
    causes: list[CauseCount]
    declared: list[DeclaredChange]
    silent: list[str]
    columns_added: list[str]
    columns_removed: list[str]
    classes_changed: bool
    held_otherwise: int


Diff = create_model(
    "Diff",
    __base__=DiffHead,
    __doc__=DiffHead.__doc__,
    **{kind: (list[dict[str, Any]], Field(description=f"The {title}.")) for kind, title in KINDS.items()},
)  # type: ignore[call-overload]


class Export(Printed):
    """What `export` prints: `export.json`, and where it is.

    Attributes
    ----------
    export
        The folder.
    written
        Whether it was written; false if it was there.
    """

    export: str
    written: bool


class Fingerprint(Printed):
    """What `fingerprint` prints: the document in the file's metadata, and the file.

    Attributes
    ----------
    fingerprint
        The file.
    bytes
        Its size.
    """

    fingerprint: str
    bytes: int


class Overlap(Printed):
    """What `overlap` prints.

    Attributes
    ----------
    a, b
        What was compared.
    level
        What was compared of each image.
    shared
        How many images of A are in B, by split in A and split in B.
    leak_free
        The images of A and of B without patients who are in the other, by split.
    pairs
        The pairs, duplicates first.
    search
        How completely duplicates were searched.
    files
        The files that `--out` wrote.
    """

    a: FingerprintDocument
    b: FingerprintDocument
    level: Level
    shared: Counts
    leak_free: Counts
    pairs: list[SharedImage]
    search: DuplicateSearch
    files: list[str] | None = None


class Publish(Printed):
    """What `publish` prints.

    Attributes
    ----------
    release
        The folder of the release.
    name, version
        The release.
    target
        Where it was sent, without credentials.
    dry_run
        Whether nothing was sent.
    steps
        Each file.
    location
        The `url`, `commit`, `tag`, `record`, `doi` and `published`, as the target has them.
    unread
        Why a dry run could not read the target; null where it did.
    """

    release: str
    name: str
    version: str
    target: str
    dry_run: bool
    steps: list[FileToSend]
    location: dict[str, str | bool | None]
    unread: str | None
