"""The answer about an image: every decision about it, as data."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from cxrbuild.notebook import result_html


@dataclass(frozen=True)
class RuleResult:
    """What a rule of the recipe decided about the image.

    Attributes
    ----------
    rule
        The rule's name.
    sentence
        What it excludes.
    result
        ``excludes``, ``keeps``, ``not asked`` (an earlier step excluded the image, or the rule is for other
        sources) or ``switched off``.
    column, value
        The column that it looks at, ``None`` where it looks at none, and its value, ``None`` where it is
        blank.
    """

    rule: str
    sentence: str
    result: str
    column: str | None
    value: str | None


@dataclass(frozen=True)
class ReviewResult:
    """What a reviewer saw on the image.

    Attributes
    ----------
    mark, meaning
        The mark, and what it means; ``None`` for a mark of another version.
    marks_finding
        Whether it is drawn at a finding; ``None`` where nobody has seen the image.
    note, reader
        What the reviewer wrote, and who it was; ``None`` where the file does not say, or is not known.
    file, line
        Where the review is written; ``None`` where the build does not record it, or the file is no longer
        there or says otherwise.
    """

    mark: str
    meaning: str | None
    marks_finding: bool | None
    note: str | None = None
    reader: str | None = None
    file: str | None = None
    line: int | None = None


@dataclass(frozen=True)
class CorrectionResult:
    """A value of the image that the recipe corrects.

    Attributes
    ----------
    column
        The column of the table.
    old, new
        What the source says, and the value that counts; ``None`` where not known.
    reason, reader
        Why, and who found it; ``None`` where nobody is named.
    file, line
        Where the correction is written.
    redacted
        Whether a public release omits the old value, the reason and the reader.
    """

    column: str
    old: str | None
    new: str | None
    reason: str | None
    reader: str | None
    file: str
    line: int
    redacted: bool


@dataclass(frozen=True)
class LinkedImage:
    """An image that a declared link connects.

    Attributes
    ----------
    kind
        ``duplicate`` or ``same patient``.
    image
        Its id; ``None`` where the ledger has no such image.
    source, path
        Where it is.
    split, exclusion
        Its split, or why it is excluded.
    note
        What the file of links says about them.
    later
        Whether the link was declared after the build was made: the images are in different groups.
    """

    kind: str
    image: str | None
    source: str
    path: str
    split: str | None
    exclusion: str | None
    note: str | None
    later: bool


@dataclass(frozen=True)
class DuplicateImage:
    """An image that the audit found to be a duplicate of the image, or similar to it.

    Attributes
    ----------
    kind
        ``same bytes``, ``same pixels``, ``near-duplicate`` or ``similar``.
    image, split
        The other image.
    similarity
        From 0 to 1.
    changes
        How one differs from the other.
    crosses
        Which of ``split``, ``label``, ``source`` and ``patient`` differ.
    linked
        Whether both are in one group of patients.
    """

    kind: str
    image: str
    split: str | None
    similarity: float
    changes: list[str]
    crosses: list[str]
    linked: bool


@dataclass(frozen=True)
class OtherSplit:
    """A version of the dataset, or of its images, in which the image has another split or class.

    Attributes
    ----------
    version
        Its name and version, or the name of its file.
    place
        Its folder or file; ``None`` where it is published, or only its name is known.
    split, group, label
        The image's split, group and class there; group and class are ``None`` where they are not known.
    """

    version: str
    place: str | None
    split: str
    group: str | None
    label: str | None = None


@dataclass(frozen=True)
class MetadataRow:
    """A row of upstream's metadata that names an image: where it is, and its values by column."""

    place: str
    values: dict[str, str]


@dataclass(frozen=True)
class ImageDecision:
    """Why an image is in a dataset or not.

    Attributes
    ----------
    image_id, source, source_path
        The image.
    pin
        The version of its source: what is pinned, and how its files were verified.
    exactness
        Whether its bytes are the pin's: ``verified``, ``other_bytes``, ``name_only`` (the pin has no hash of
        single files), ``missing``, or ``not_pinned``; of a withdrawn image ``withdrawn``. ``None`` for a plan
        whose data folder is not there or has another version, where a recipe is named.
    metadata
        The rows of upstream's metadata that name it: the place of each, and its values; none where the data
        folder does not have them. Of a source that is not public, only the columns that its declaration
        uses, whole and unhashed: others can have the patient's name or birth date.
    metadata_hidden
        The columns that are omitted therefore.
    metadata_note
        Why there are no rows; ``None`` where there are.
    upstream
        What the metadata says, in the columns of the table; blank ones are omitted, and so are upstream's own
        values (``..._text``) of a source that is not public. Corrected values are as the recipe has them.
    corrections
        The values that the recipe corrects.
    review
        What a reviewer saw; ``None`` without a review.
    rules
        What each rule decided, in order.
    kept
        Whether the image is in the dataset.
    exclusion, detail, note, meaning
        Why not: the exclusion, its detail (with the note), the note that a person wrote, and what the
        exclusion means.
    label, label_by, label_reason
        Its class, and what gave it: ``list`` or ``finding``, and as text.
    split, split_by, split_reason
        Its split, and what decided it: ``list``, ``source``, ``group``, ``previous`` or ``draw``, and as
        text.
    other_splits
        The versions in which it has another split or class: the former one that the recipe names, builds and
        releases in the same folder, and published ones.
    fold
        Its fold; ``None`` without folds.
    group, group_images
        The group of linked patients that is split as one, and its other images.
    links
        The images that declared links connect with it.
    duplicates
        The images that the audit found; ``None`` where they are not known.
    duplicates_note
        Why the duplicates are not known: there is no audit result, it is older than the build, or the image
        is not in the dataset, whose images alone an audit compares.
    withheld
        Why a release has no pixels of it; ``None`` where it has them.
    """

    image_id: str
    source: str
    source_path: str
    pin: dict[str, str]
    exactness: str | None
    metadata: list[MetadataRow]
    metadata_hidden: list[str]
    metadata_note: str | None
    upstream: dict[str, str]
    corrections: list[CorrectionResult]
    review: ReviewResult | None
    rules: list[RuleResult]
    kept: bool
    exclusion: str | None
    detail: str | None
    note: str | None
    meaning: str | None
    label: str | None
    label_by: str | None
    label_reason: str | None
    split: str | None
    split_by: str | None
    split_reason: str | None
    other_splits: list[OtherSplit]
    fold: int | None
    group: str | None
    group_images: list[str]
    links: list[LinkedImage]
    duplicates: list[DuplicateImage] | None
    duplicates_note: str | None
    withheld: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the decision as JSON has it."""
        return asdict(self)


@dataclass(frozen=True)
class DecisionResult:
    """The decisions about the images that a name means.

    Attributes
    ----------
    name
        What was asked for.
    folder
        The build or release.
    dataset
        Its name and version.
    images
        The decisions, by image id.
    """

    name: str
    folder: str
    dataset: str
    images: list[ImageDecision] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return the decisions as JSON has them."""
        return asdict(self)

    def _repr_html_(self) -> str:
        return result_html(
            f"{self.name} in {self.dataset}",
            header=["image", "kept", "exclusion", "class", "split", "because"],
            rows=[
                [
                    one.image_id,
                    one.kept,
                    one.exclusion,
                    one.label,
                    one.split,
                    "; ".join(text for text in (one.meaning, one.label_reason, one.split_reason) if text),
                ]
                for one in self.images
            ],
        )
