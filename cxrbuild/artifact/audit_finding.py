"""What the checks of an audit find, as ``audit.json`` has it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from cxrbuild.artifact.document import Part

PairKind = Literal["same bytes", "same pixels", "near-duplicate", "similar"]
Change = Literal["mirrored", "cropped", "rotated"]
# In what the images of a pair differ.
Crossing = Literal["split", "label", "source", "patient"]


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
