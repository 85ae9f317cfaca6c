"""``audit.json``: what an audit found in a build."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from cxrbuild.artifact.document import Document, Part
from cxrbuild.checks import Status

PairKind = Literal["same bytes", "same pixels", "near-duplicate", "similar"]
Change = Literal["mirrored", "cropped", "rotated"]
# In what the images of a pair differ.
Crossing = Literal["split", "label", "source", "patient"]

LEAST_PROBED_PATIENTS = 20
"""The least patients of a class that the probes predict: with fewer, the AUC depends on chance."""


class ResultIdentity(Part):
    """Which build a result refers to."""

    name: str
    version: str
    manifest_sha256: str


class ImageFinding(Part):
    """An image of the manifest that is missing, changed or cannot be read."""

    type: Literal["image"] = "image"
    message: str
    image_id: str
    problem: str


class PatientFinding(Part):
    """A group of linked patients with images in several splits.

    Attributes
    ----------
    group
        The group's name.
    splits
        Number of images in each split.
    image_ids
        These images.
    """

    type: Literal["patient"] = "patient"
    message: str
    group: str
    splits: dict[str, int]
    image_ids: list[str]


class PairFinding(Part):
    """Two images that are duplicates.

    Attributes
    ----------
    a, b, kind, crosses
        As in `ImagePair`.
    """

    type: Literal["pair"] = "pair"
    message: str
    a: str
    b: str
    kind: PairKind
    crosses: list[Crossing]


class SharedIdFinding(Part):
    """A patient id of several sources, which do not declare whether it is one patient, in several splits.

    Attributes
    ----------
    patient_id
        The id.
    sources
        The sources that have it.
    splits
        The splits of its images.
    """

    type: Literal["shared id"] = "shared id"
    message: str
    patient_id: str
    sources: list[str]
    splits: list[str]


class SimilarIdsFinding(Part):
    """Patient ids of one source that differ only after their last digit.

    Attributes
    ----------
    stem
        What the ids have in common.
    patient_ids
        The ids.
    splits
        The splits that have images of these patients.
    """

    type: Literal["similar ids"] = "similar ids"
    message: str
    source: str
    stem: str
    patient_ids: list[str]
    splits: list[str]


class UnknownPatientsFinding(Part):
    """The number of a source's images without a patient id."""

    type: Literal["unknown patients"] = "unknown patients"
    message: str
    source: str
    images: int


class AssociationFinding(Part):
    """How much a property of the images predicts a class.

    Attributes
    ----------
    property
        The property, such as ``source``.
    label
        The class that the property predicts best.
    share
        Share of the class's entropy that the property explains (uncertainty coefficient), from 0 to 1.
    bits
        Mutual information of the property and all classes.
    counts
        Number of images by value of the property and class.
    """

    type: Literal["association"] = "association"
    message: str
    property: str
    label: str
    share: float
    bits: float
    counts: dict[str, dict[str, int]]


class ProbeFinding(Part):
    """How well a probe classifies one class.

    Attributes
    ----------
    label
        The class.
    auc, auc_low, auc_high
        Area under the ROC curve against all other classes, and its 95 % interval.
    recall
        Share of the class's images that the probe assigns to it.
    most_confident
        The class's images that the probe is most confident of.
    """

    type: Literal["probe"] = "probe"
    message: str
    label: str
    auc: float
    auc_low: float
    auc_high: float
    recall: float
    most_confident: list[str]


class OtherFinding(Part):
    """A finding of another package's check.

    Attributes
    ----------
    file, row, data
        As in `cxrbuild.checks.Finding`.
    """

    type: Literal["other"] = "other"
    message: str
    file: str | None
    row: str | None
    data: dict[str, Any]


AuditFinding = Annotated[
    ImageFinding
    | PatientFinding
    | PairFinding
    | SharedIdFinding
    | SimilarIdsFinding
    | UnknownPatientsFinding
    | AssociationFinding
    | ProbeFinding
    | OtherFinding,
    Field(discriminator="type"),
]


class CheckResult(Part):
    """A check, what it found, and whether that is within the limit."""

    id: str
    sentence: str
    limit: float | None
    value: float | None
    status: Status
    message: str
    findings: list[AuditFinding]


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
