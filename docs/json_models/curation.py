"""What the commands that decide about images print: `plan`, `curate`, `why`, `audit`."""

from __future__ import annotations

from cxrbuild.artifact.build import FunnelStep, PreviousSplit, SourceExactness
from cxrbuild.artifact.correction import Corrections
from cxrbuild.catalog.override import Overrides
from cxrbuild.curation.findings import JoinedRows, OtherFindings
from cxrbuild.curation.holder import HolderKind
from cxrbuild.image_decision import ExcludedImage, ImageDecision
from cxrbuild.lists.summary import DatasetSummary
from cxrbuild.patients import SharedId
from json_models.base import Counts, ErrorFacts, Printed


class WithdrawnHolder(Printed):
    """A place that still holds withdrawn images.

    Attributes
    ----------
    path
        The folder or file.
    kind
        `source` (a folder that `fetch` filled or read), `set_aside` (by `fetch`), `proposed_pin` (its
        metadata), `dataset` (a build, release or plan), `result` (of an audit, a baseline or an explanation),
        `page` (of `review`), or `declaration` (a file that the recipe names).
    images
        The number of withdrawn images whose files or pixels it has, or that a result or page names.
    rows
        The number of their rows or lines; `null` where it is not known which rows are theirs.
    """

    path: str
    kind: HolderKind
    images: int
    rows: int | None


class SourceImage(Printed):
    """An image of a source.

    Attributes
    ----------
    source
        The source.
    path
        The path from the source's root.
    """

    source: str
    path: str


class Plan(Printed):
    """What `plan` prints.

    Attributes
    ----------
    recipe, version
        The recipe.
    overrides
        How the plan differs from the recipe's defaults.
    corrections
        The values of single images that the recipe corrects.
    unpinned
        Sources that are not verified to be the pinned version.
    exactness
        By source how many of the dataset's images are those of the pin; empty with `--as-pinned`.
    funnel
        The flow chart: how many images each rule excludes.
    counts
        Images by split and class.
    listed
        The rows of the published list: those kept, and those with each exclusion.
    findings_without_class
        Findings that no class has, each with the images that are excluded for it.
    other_findings
        Findings without a class of kept images that have a class by another finding.
    joined_rows
        Images whose rows have different findings, of sources with `differing_rows = "join"`.
    shared_patient_ids
        Patient ids of several sources that do not declare whether they are one patient.
    previous
        The former version whose split is held; `null` where the recipe names none.
    withdrawn_still_in
        The places that still hold withdrawn images: folders, results, pages, and files that the recipe names.
        None are looked for where `--data` is an address.
    of_withdrawn_patients
        The kept images of patients of whom another image is withdrawn.
    release_refusals
        The errors with which `release` would refuse a public release, as far as metadata decides.
    notes
        Every sentence of the text output, also where another key has the same as data.
    out
        The folder that ledger, manifest and flow chart were written to.
    """

    recipe: str
    version: str
    overrides: Overrides
    corrections: Corrections
    unpinned: list[str]
    exactness: dict[str, SourceExactness]
    funnel: list[FunnelStep]
    counts: Counts
    listed: dict[str, int]
    findings_without_class: dict[str, int]
    other_findings: OtherFindings
    joined_rows: list[JoinedRows]
    shared_patient_ids: list[SharedId]
    previous: PreviousSplit | None
    withdrawn_still_in: list[WithdrawnHolder]
    of_withdrawn_patients: list[SourceImage]
    release_refusals: list[ErrorFacts]
    notes: list[str]
    out: str | None


class Curate(Printed):
    """What `curate` and `demo` print: `build.json`, and where it is.

    Attributes
    ----------
    build
        The build's folder or address.
    changed
        Whether anything had to be done.
    withdrawn_still_in
        The places that still hold withdrawn images: folders, results, pages, and files that the recipe names.
    other_findings
        Findings without a class of kept images that have a class by another finding.
    notes
        Every sentence of the text output.
    """

    build: str
    changed: bool
    withdrawn_still_in: list[WithdrawnHolder]
    other_findings: OtherFindings
    notes: list[str]


class Why(Printed):
    """What `why` prints.

    Attributes
    ----------
    name
        What was asked for.
    folder
        The build or release.
    dataset
        Its name and version.
    images
        The decisions about each image that the name means.
    """

    name: str
    folder: str
    dataset: str
    images: list[ImageDecision]


class WhyExcluded(Printed):
    """What `why --excluded` prints.

    Attributes
    ----------
    folder
        The build, the release or the plan.
    dataset
        Its name and version.
    listed
        The number of images that its ledger lists, kept and excluded.
    reasons
        Each exclusion that images have, in the order of the flow chart, with its meaning.
    unlisted
        The sources whose excluded images a public release does not list.
    images
        The excluded images, by exclusion, each with the column and the value that decided.
    """

    folder: str
    dataset: str
    listed: int
    reasons: dict[str, str]
    unlisted: list[str]
    images: list[ExcludedImage]


class Audit(Printed):
    """What `audit` prints: `audit.json`, and where it is.

    Attributes
    ----------
    build
        The build's folder or address.
    """

    build: str


class ListSource(Printed):
    """A source that a list names.

    Attributes
    ----------
    rows
        The number of rows that name it.
    found
        The number of these whose file is there; `null` without sources.
    """

    rows: int
    found: int | None


class ListFinding(Printed):
    """Something wrong with a list.

    Attributes
    ----------
    message
        What it is.
    rows
        Where: `train.txt:12`.
    kind
        What many findings of a check have in common; empty if they are of one kind.
    images
        The ids of the dataset's images that it is about; empty if it is about the list alone.
    """

    message: str
    rows: list[str]
    kind: str
    images: list[str]


class ListCheck(Printed):
    """A check of a list.

    Attributes
    ----------
    id, sentence
        The check.
    needs
        What it needs: `lists`, `sources`, `images`, or a `dataset` to compare with.
    findings
        What it found; `null` if it could not be made.
    rows
        The number of rows that it looked at.
    reason
        Why it could not be made, or omits rows; `null` if it looked at every row.
    """

    id: str
    sentence: str
    needs: str
    findings: list[ListFinding] | None
    rows: int
    reason: str | None


class AuditList(Printed):
    """What `audit --list` prints.

    Attributes
    ----------
    passed
        Whether no check found anything.
    rows
        Rows by split and class.
    sources
        The sources that the lists name.
    compared_images
        The number of images that were compared with each other; `null` where no image was read.
    dataset
        How the lists and the dataset of `--with` compare; `null` without it.
    checks
        The checks. The findings of those that need a dataset have the ids of its images under `images`.
    """

    passed: bool
    rows: Counts
    sources: dict[str, ListSource]
    compared_images: int | None
    dataset: DatasetSummary | None
    checks: list[ListCheck]
