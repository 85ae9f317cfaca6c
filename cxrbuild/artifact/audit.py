"""``audit.json``: what an audit found in a build."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from cxrbuild.artifact.document import Document, Part
from cxrbuild.checks import Status


class ResultIdentity(Part):
    """Which build a result refers to."""

    name: str
    version: str
    manifest_sha256: str


class CheckResult(Part):
    """A check, what it found, and whether that is within the limit."""

    id: str
    sentence: str
    limit: float | None
    value: float | None
    status: Status
    message: str
    findings: list[dict[str, Any]]


class ImagePair(Part):
    """Two images that are duplicates or similar.

    Attributes
    ----------
    a, b
        Image ids.
    kind
        ``same bytes``, ``same pixels``, ``near-duplicate`` or ``similar``.
    similarity
        From 0 to 1.
    changes
        How one differs from the other: ``mirrored``, ``cropped``, ``rotated``.
    crosses
        Which of ``split``, ``label``, ``source`` and ``patient`` differ.
    linked
        Whether both are in one group of patients.
    """

    a: str
    b: str
    kind: str
    similarity: float
    changes: list[str]
    crosses: list[str]
    linked: bool


class AuditDocument(Document):
    """The ``audit.json`` of a build or release."""

    FORMAT: ClassVar[int] = 2
    KIND: ClassVar[str] = "an audit result"
    TODO: ClassVar[str] = "Run `cxrbuild audit` again, or move the file away"

    format: Literal[2] = 2
    dataset: ResultIdentity
    images: int
    status: Literal["passed", "failed"]
    checks: list[CheckResult]
    biases: list[str]
    pairs: list[ImagePair]
