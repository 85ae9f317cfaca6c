"""What the commands of sources and recipes print, and `doctor` and `completion`."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import BaseModel, Field

from cxrbuild.artifact.build import SourceState
from cxrbuild.catalog.source import Pin
from cxrbuild.curation.findings import OtherFindings
from cxrbuild.dataset_sources import ExactImage
from cxrbuild.environment import Observation
from cxrbuild.fetching.lists import FetchedList
from cxrbuild.lockfile import LockedSource
from cxrbuild.pins.rows import NamingRow
from cxrbuild.proposing.proposal import Decision, WordCount
from cxrbuild.shipped import ShippedRecipe, ShippedSource
from json_models.base import Counts, Printed


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


class Fetch(Printed):
    """What `fetch` prints.

    Attributes
    ----------
    data
        The data folder.
    sources
        By name of a source what the lock records, whether it was `downloaded`, its `exactness` as in
        `build.json`, of all its images, and `notes`.
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
    naming_rows
        The rows of reviews, links, corrections and withdrawals that name images which the new version lacks:
        file, line, what the file holds, the image, and its new path where the same bytes are under one.
    diff
        What changed.
    """

    folder: str
    declaration: str
    tree: str
    problems: list[str]
    naming_rows: list[NamingRow]
    diff: SourceDiff


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
    unused
        Columns of the table, and files, that the source does not use.
    words
        The words of each column and how often they occur.
    excluded
        Images that steps before the rules exclude, by exclusion: their findings are not counted.
    other_findings
        Findings without a class of images that have a class by another finding.
    classes
        Images by class and split of a trial plan. With a share and hashed patient numbers they are an
        estimate: `plan` draws other patients.
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
    unused: list[str]
    words: list[WordCount]
    excluded: dict[str, int]
    other_findings: OtherFindings
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


class Copy(Printed):
    """What `sources --copy` and `recipes --copy` print.

    Attributes
    ----------
    name
        The shipped declaration.
    files
        The files of the copy; the first one is the declaration.
    """

    name: str
    files: list[str]


class PinnedSource(BaseModel):
    """A source of a build or release, with the pin that it was made with.

    Attributes
    ----------
    title, license, public, pin
        As declared.
    unpinned
        Whether its files were not verified to be the pinned version.
    files
        What the lock stated about its files; `null` where the source was not fetched.
    """

    title: str
    license: str
    public: bool
    pin: Pin
    unpinned: bool
    files: SourceState | None


class SourcesOf(Printed):
    """What `sources --of` prints.

    Attributes
    ----------
    folder
        The build or release.
    dataset
        Its name and version.
    sources
        By name.
    images
        With `--exactness` the images of these states: id, source, path, and the state.
    """

    folder: str
    dataset: str
    sources: dict[str, PinnedSource]
    images: list[ExactImage]


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
