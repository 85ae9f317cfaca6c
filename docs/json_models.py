"""What each JSON document has, typed: the files of builds and releases, and what commands print.

The files have models in the package. What a command prints is made of its result's ``to_dict``; the models
here describe it, and a test compares both. A command's document has the key ``schema``: the name of its
schema with a number, which increases when a key is removed or changes its meaning.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from cxrbuild.artifact import AuditDocument, BuildDocument, ReleaseDocument
from cxrbuild.artifact.audit import DuplicateSearch
from cxrbuild.artifact.baseline import BaselineDocument, HistoryDocument, TimingDocument, TrainedOnDocument
from cxrbuild.artifact.build import FunnelStep
from cxrbuild.artifact.comparison import ComparisonDocument
from cxrbuild.artifact.explanation import ExplanationDocument
from cxrbuild.catalog.override import Overrides
from cxrbuild.catalog.shipped import ShippedRecipe, ShippedSource
from cxrbuild.checks import Status
from cxrbuild.comparison import KINDS
from cxrbuild.comparison.diff import CauseCount, ChangeCount, DeclaredChange
from cxrbuild.environment import Observation
from cxrbuild.exporting.document import ExportDocument
from cxrbuild.fetching.lists import FetchedList
from cxrbuild.image_decision import ImageDecision
from cxrbuild.lists.checks import ListFinding
from cxrbuild.lockfile import LockedSource
from cxrbuild.overlapping import FingerprintDocument, Level, SharedImage
from cxrbuild.patients import SharedId
from cxrbuild.proposing.proposal import Decision, WordCount
from cxrbuild.publishing.sending import Step
from cxrbuild.review.agreement import Kappa
from cxrbuild.review.page import UnreadableImage

Counts = dict[str, dict[str, int]]


class Printed(BaseModel):
    """A document that a command prints, or a part of it."""

    model_config = ConfigDict(extra="forbid")


class SourcesLock(Printed):
    """`sources.lock.json` of a data folder: how each source was verified.

    Attributes
    ----------
    sources
        By name.
    """

    FORMAT: ClassVar[int] = 2

    format: Literal[2]
    sources: dict[str, LockedSource]


class ErrorFacts(Printed):
    """An error.

    Attributes
    ----------
    status
        The exit status: 1, 2 for wrong usage, 3 for a check that failed, from 128 on for a signal.
    what
        What happened.
    where
        The file, address, row or key that it happened at.
    expected
        What should have been there.
    found
        What was there.
    todo
        What to do next.
    """

    status: int
    what: str
    where: str | None = None
    expected: str | None = None
    found: str | None = None
    todo: str | None = None


class Failed(Printed):
    """What every command prints instead of its result if there is an error.

    Attributes
    ----------
    error
        The error.
    """

    error: ErrorFacts


class Fetch(Printed):
    """What `fetch` prints.

    Attributes
    ----------
    data
        The data folder.
    sources
        By name of a source what the lock records, whether it was `downloaded`, and `notes`.
    lists
        By name of a published list its files.
    to_bring
        Sources that no address is known of, and that are not there.
    """

    data: str
    sources: dict[str, dict[str, Any]]
    lists: dict[str, FetchedList]
    to_bring: list[str]


class SourceDiff(Printed):
    """What `diff` prints of two versions of a source.

    Attributes
    ----------
    old, new
        What was compared.
    images
        The number of images of both.
    counts
        The number of rows of each change.
    patients_renamed
        The number of patients with another number.
    left_released
        The number of images of published versions that the new version no longer has.
    absent_columns
        Columns that one of the versions does not have.
    changes
        A row for each change.
    """

    old: str
    new: str
    images: list[int] = Field(min_length=2, max_length=2)
    counts: dict[str, int]
    patients_renamed: int
    left_released: int
    absent_columns: list[str]
    changes: list[dict[str, Any]]


class FetchProposedPin(Printed):
    """What `fetch --propose-pin` prints.

    Attributes
    ----------
    folder, declaration
        The folder of the new pin, and the declaration in it.
    tree
        The git tree hash.
    problems
        What of the metadata does not fit the declaration.
    diff
        What changed.
    """

    folder: str
    declaration: str
    tree: str
    problems: list[str]
    diff: SourceDiff


class Plan(Printed):
    """What `plan` prints.

    Attributes
    ----------
    recipe, version
        The recipe.
    overrides
        How the plan differs from the recipe's defaults.
    unpinned
        Sources that are not verified to be the pinned version.
    funnel
        The flow chart: how many images each rule excludes.
    counts
        Images by split and class.
    listed
        The rows of the published list: those kept, and those with each exclusion.
    shared_patient_ids
        Patient ids of several sources that do not declare whether they are one patient.
    out
        The folder that ledger, manifest and flow chart were written to.
    """

    recipe: str
    version: str
    overrides: Overrides
    unpinned: list[str]
    funnel: list[FunnelStep]
    counts: Counts
    listed: dict[str, int]
    shared_patient_ids: list[SharedId]
    out: str | None


class Curate(Printed):
    """What `curate` and `demo` print: `build.json`, and where it is.

    Attributes
    ----------
    build
        The build's folder or address.
    changed
        Whether anything had to be done.
    """

    build: str
    changed: bool


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


class ListCheck(Printed):
    """A check of a list.

    Attributes
    ----------
    id, sentence
        The check.
    needs
        What it needs: `lists`, `sources` or `images`.
    findings
        What it found; `null` if it could not be made.
    """

    id: str
    sentence: str
    needs: str
    findings: list[ListFinding] | None


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
    checks
        The checks.
    """

    passed: bool
    rows: Counts
    sources: dict[str, ListSource]
    compared_images: int | None
    checks: list[ListCheck]


class Review(Printed):
    """What `review` prints.

    Attributes
    ----------
    page
        The page.
    bytes
        Its size.
    images
        The number of images on it.
    reviewed
        The number of these with a review.
    embedded
        Whether the images are in the page.
    proposed
        The number of proposals by mark.
    unreadable
        Images that cannot be shown.
    """

    page: str
    bytes: int
    images: int
    reviewed: int
    embedded: bool
    proposed: dict[str, int]
    unreadable: list[UnreadableImage]


class PairCount(Printed):
    """How often two readers gave a pair of marks.

    Attributes
    ----------
    a, b
        The mark of each reader.
    images
        How often.
    """

    a: str
    b: str
    images: int


class Judgement(Printed):
    """What a reader saw on an image.

    Attributes
    ----------
    mark, marks_finding, note
        The columns of a review file.
    """

    mark: str
    marks_finding: bool | str | None
    note: str | None


class Conflict(Printed):
    """An image that two readers judged differently.

    Attributes
    ----------
    source, path
        The image.
    a, b
        What each reader saw.
    """

    source: str
    path: str
    a: Judgement
    b: Judgement


class ReviewComparison(Printed):
    """What `review --compare` prints.

    Attributes
    ----------
    mark, marks_finding
        The agreement of the readers on the mark, and on whether it marks a finding.
    pairs
        How often each pair of marks was given.
    conflicts
        The images that were judged differently.
    only_a, only_b
        The number of images that one reader alone judged.
    """

    mark: Kappa
    marks_finding: Kappa
    pairs: list[PairCount]
    conflicts: list[Conflict]
    only_a: int
    only_b: int


class Place(Printed):
    """An image of a source.

    Attributes
    ----------
    source, path
        Its source, and its path in it.
    """

    source: str
    path: str


class ReviewMerge(Printed):
    """What `review --merge` prints.

    Attributes
    ----------
    reviews
        The number of reviews that were written.
    agreed, of_one_reader, decided
        The number of these that both readers agree on, that one reader made, and that were decided.
    conflicts
        The images whose conflict is open.
    unused
        The number of decisions of images without a conflict.
    out
        The file.
    """

    reviews: int
    agreed: int
    of_one_reader: int
    decided: int
    conflicts: list[Place]
    unused: int
    out: str


class ReviewWithoutConflict(Printed):
    """What `review --conflicts` prints if there is no conflict: then it writes no page.

    Attributes
    ----------
    conflicts
        None.
    """

    conflicts: Literal[0]


class TrainBaseline(Printed):
    """What `train-baseline` prints: `metrics.json`, and where it is.

    Attributes
    ----------
    out
        The folder of the results.
    seconds_per_epoch
        The median; `null` where nothing was trained.
    """

    out: str
    seconds_per_epoch: float | None


class TrainBaselineComparison(Printed):
    """What `train-baseline` prints of several trainings: `comparison.json`, and where it is.

    Attributes
    ----------
    out
        The folder of the results.
    """

    out: str


class Explain(Printed):
    """What `explain` prints: `explanation.json`, and where it is.

    Attributes
    ----------
    out
        The folder of the results.
    sentence
        What the blackout tests say.
    surviving
        The share of the model's success that survives without the lungs; `null` where it was not measured.
    unusable_masks
        By lung mask why it cannot be used.
    """

    out: str
    sentence: str
    surviving: float | None
    unusable_masks: dict[str, str]


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
    checks: list[CheckMade]
    findings: list[FindingMade]


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


class DiffHead(Printed):
    """What `diff` prints of two versions of a dataset.

    Attributes
    ----------
    old, new
        What was compared.
    bump
        The part of the version that must increase; `null` where nothing changed.
    counts
        The number of rows of each change, by source and class.
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
    """

    old: str
    new: str
    bump: Literal["major", "minor", "patch"] | None
    counts: list[ChangeCount]
    causes: list[CauseCount]
    declared: list[DeclaredChange]
    silent: list[str]
    columns_added: list[str]
    columns_removed: list[str]
    classes_changed: bool


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
    """

    release: str
    name: str
    version: str
    target: str
    dry_run: bool
    steps: list[Step]
    location: dict[str, str | bool | None]


class Init(Printed):
    """What `init` prints.

    Attributes
    ----------
    name
        The name of the source.
    root
        The folder of the files.
    images, rows
        How many there are.
    decisions
        What was decided, from what, and how sure it is.
    undecided
        What could not be decided.
    words
        The words of each column and how often they occur.
    classes
        Images by class and split.
    source, recipe
        The proposed declarations.
    written
        The files that were written.
    next
        The commands to run next.
    """

    name: str
    root: str
    images: int
    rows: int | None
    decisions: list[Decision]
    undecided: list[str]
    words: list[WordCount]
    classes: Counts
    source: str
    recipe: str
    written: list[str]
    next: list[str]


class Sources(Printed):
    """What `sources` prints.

    Attributes
    ----------
    sources
        The shipped sources.
    """

    sources: list[ShippedSource]


class Recipes(Printed):
    """What `recipes` prints.

    Attributes
    ----------
    recipes
        The shipped recipes.
    """

    recipes: list[ShippedRecipe]


class Doctor(Printed):
    """What `doctor` prints.

    Attributes
    ----------
    observations
        What was checked, and found.
    problems
        The number of problems.
    """

    observations: list[Observation]
    problems: int


class Completion(Printed):
    """What `completion` prints.

    Attributes
    ----------
    shell
        The shell.
    script
        The script, with `--print`.
    written
        The files that were written, without `--print`.
    """

    shell: str
    script: str | None = None
    written: list[str] | None = None


FILES: dict[str, tuple[str, type[BaseModel]]] = {
    "build": ("`build.json` of a build", BuildDocument),
    "release": ("`build.json` of a release", ReleaseDocument),
    "audit": ("`audit.json`", AuditDocument),
    "metrics": ("`metrics.json` of a baseline", BaselineDocument),
    "history": ("`history.json` of a training", HistoryDocument),
    "timing": ("`timing.json` of a training", TimingDocument),
    "trained-on": ("The metadata of `trained_on.parquet`", TrainedOnDocument),
    "comparison": ("`comparison.json`", ComparisonDocument),
    "explanation": ("`explanation.json`", ExplanationDocument),
    "export": ("`export.json`", ExportDocument),
    "fingerprint": ("The metadata of a fingerprint", FingerprintDocument),
    "sources-lock": ("`sources.lock.json`", SourcesLock),
}
"""The files, by the name of their schema."""

PRINTED: dict[str, tuple[type[BaseModel], ...]] = {
    "fetch-1": (Fetch,),
    "fetch-proposed-pin-1": (FetchProposedPin,),
    "plan-1": (Plan,),
    "curate-1": (Curate, BuildDocument),
    "audit-1": (Audit, AuditDocument),
    "audit-list-1": (AuditList,),
    "review-1": (Review,),
    "review-comparison-1": (ReviewComparison,),
    "review-merge-1": (ReviewMerge,),
    "review-without-conflict-1": (ReviewWithoutConflict,),
    "train-baseline-1": (TrainBaseline, BaselineDocument),
    "train-baseline-comparison-1": (TrainBaselineComparison, ComparisonDocument),
    "explain-1": (Explain, ExplanationDocument),
    "release-1": (Release, ReleaseDocument),
    "sign-1": (Sign,),
    "verify-1": (Verify,),
    "why-1": (Why,),
    "diff-1": (Diff,),
    "diff-source-1": (SourceDiff,),
    "export-1": (Export, ExportDocument),
    "fingerprint-1": (Fingerprint, FingerprintDocument),
    "overlap-1": (Overlap,),
    "publish-1": (Publish,),
    "init-1": (Init,),
    "sources-1": (Sources,),
    "recipes-1": (Recipes,),
    "doctor-1": (Doctor,),
    "completion-1": (Completion,),
    "error-1": (Failed,),
}
"""What commands print, by the name of the schema: keys of the command's own, and those of a file."""
