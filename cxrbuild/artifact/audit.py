"""``audit.json``: what an audit found in a build."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Literal

from cxrbuild.artifact.audit_finding import AuditFinding, Change, Crossing, PairKind, ProbeFinding
from cxrbuild.artifact.document import Document, Part
from cxrbuild.checks import Check, CountedPairs, Status, Topic, own_checks

LEAST_PROBED_PATIENTS = 20
"""The least patients of a class that the probes predict: with fewer, the AUC depends on chance."""


class ResultIdentity(Part):
    """Which build a result refers to."""

    name: str
    version: str
    manifest_sha256: str


class CheckDescription(Part):
    """What pages and documents need to describe a check, see `cxrbuild.checks.Check`.

    Attributes
    ----------
    default_limit
        The highest value that passes where the recipe sets no limit; ``None`` where it then only reports.
    topic
        The card at the top of a page that states what it found; ``None``: that of other checks.
    counted_pairs
        Which duplicates its findings are: ``split`` (in two splits), ``label`` (with two labels),
        ``unlinked`` (of patients who are not linked) or ``all``; ``None`` for any other check.
    shortcut
        What it looks at that a network can learn instead of the disease; else empty.
    next_step
        What to do where it found something; empty where that is not known.
    """

    default_limit: float | None = None
    topic: Topic | None = None
    counted_pairs: CountedPairs | None = None
    shortcut: str = ""
    next_step: str = ""

    @classmethod
    def of(cls, check: Check[Any]) -> CheckDescription:
        """Return the description of a check."""
        return cls(
            default_limit=check.limit, topic=check.topic, counted_pairs=check.counted_pairs,
            shortcut=check.shortcut, next_step=check.next_step,
        )  # fmt: skip


UNDESCRIBED = CheckDescription()
"""The description of a check that nothing is known of but its result."""


class CheckResult(Part):
    """A check, what it found, and whether that is within the limit.

    Attributes
    ----------
    description
        What pages and documents need to describe a check of another package, so that they can be generated
        where it is not installed. The file lacks the key for cxrbuild's own checks, which their ids describe.
    """

    id: str
    sentence: str
    limit: float | None
    value: float | None
    status: Status
    message: str
    findings: list[AuditFinding]
    description: CheckDescription | None = None

    @property
    def about(self) -> CheckDescription:
        """What is known of the check: `UNDESCRIBED` if it is neither recorded nor one of cxrbuild's own."""
        if self.description is not None:
            return self.description
        return CheckDescription.of(own_checks("audit")[self.id]) if self.is_own else UNDESCRIBED

    @property
    def is_own(self) -> bool:
        """Whether it is one of cxrbuild's own checks."""
        return self.description is None and self.id in own_checks("audit")


def describe_unprobed(checks: Sequence[CheckResult], classes: Iterable[str]) -> str:
    """Return a sentence about the classes that the probes exclude; empty where no probe was made.

    Parameters
    ----------
    checks
        The results of the checks.
    classes
        The classes that have images.
    """
    probed = {
        finding.label for check in checks for finding in check.findings if isinstance(finding, ProbeFinding)
    }
    unprobed = [label for label in classes if label not in probed] if probed else []
    if not unprobed:
        return ""
    return (
        f"Classes of fewer than {LEAST_PROBED_PATIENTS} patients are excluded from these classifiers: "
        f"{', '.join(unprobed)}."
    )


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
    kind: PairKind
    similarity: float
    changes: list[Change]
    crosses: list[Crossing]
    linked: bool

    @property
    def is_duplicate(self) -> bool:
        """Whether both are the same radiograph, in contrast to a similar pair."""
        return self.kind != "similar"

    def is_counted(self, counted: CountedPairs) -> bool:
        """Return whether a check that counts these pairs, see `CheckDescription`, counts this one."""
        if not self.is_duplicate:
            return False
        if counted == "unlinked":
            return not self.linked
        return counted == "all" or counted in self.crosses


class DuplicateSearch(Part):
    """How completely an audit searched for duplicates.

    Attributes
    ----------
    compared_pairs
        Number of candidate pairs that were registered and compared.
    most_per_image
        The most candidates of an image. The best candidates are compared.
    limited_images
        Number of images with more candidates.
    skipped_pairs
        Number of candidate pairs that were not compared because of this limit.
    """

    compared_pairs: int
    most_per_image: int
    limited_images: int
    skipped_pairs: int


class AuditDocument(Document):
    """The ``audit.json`` of a build or release.

    Attributes
    ----------
    images
        Number of images in the manifest.
    missing
        Number of images of the dataset that are missing from the build; they were not compared.
    status
        ``failed`` where a check found more than its limit.
    biases
        What was measured of confounding, in sentences.
    pairs
        Duplicates and similar pairs, the most important first.
    duplicate_search
        How completely duplicates were searched.
    """

    FORMAT: ClassVar[int] = 2
    KIND: ClassVar[str] = "an audit result"
    NEXT_STEP: ClassVar[str] = "Run `cxrbuild audit` again, or move the file away"

    format: Literal[2] = 2
    dataset: ResultIdentity
    images: int
    status: Literal["passed", "failed"]
    checks: list[CheckResult]
    biases: list[str]
    pairs: list[ImagePair]
    duplicate_search: DuplicateSearch
    missing: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return the document as JSON has it."""
        document = super().to_dict()
        for check in document["checks"]:
            if check["description"] is None:
                del check["description"]
        return document
