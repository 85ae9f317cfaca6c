"""What the checks of an audit share: the build, its images' descriptors, and the pairs found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cxrbuild.artifact.audit import DuplicateSearch, ImagePair
from cxrbuild.artifact.audit_finding import AuditFinding, OtherFinding, PairFinding
from cxrbuild.catalog.recipe import Recipe
from cxrbuild.checks import Finding
from cxrbuild.patients import Namespaces
from cxrbuild.progress import Progress, silent

if TYPE_CHECKING:
    import pandas as pd

    from cxrbuild.auditing.images import ImageProblem
    from cxrbuild.auditing.store import DescriptorTable


@dataclass(frozen=True)
class Context:
    """A build that is audited.

    Attributes
    ----------
    folder
        Its folder.
    recipe
        The recipe whose ``[audit]`` has the limits.
    rows
        The manifest without the images in ``problems``, a row per image.
    problems
        The images that are missing, changed or cannot be read.
    descriptors
        The descriptors of the images, in the order of ``rows``.
    pairs
        Duplicates and similar pairs.
    search
        How completely duplicates were searched.
    workers
        Number of processors that a check may use.
    namespaces
        The ``patient_namespace`` that each source declares.
    hashed
        The sources whose patient ids are hashes.
    missing
        The number of images of the dataset that the build has not: nothing is known of them.
    progress
        Opens the bar of a check that takes long.
    """

    folder: Path
    recipe: Recipe
    rows: pd.DataFrame
    problems: Sequence[ImageProblem]
    descriptors: DescriptorTable
    pairs: Sequence[ImagePair]
    search: DuplicateSearch
    workers: int
    namespaces: Namespaces
    hashed: frozenset[str]
    missing: int = 0
    progress: Progress = silent

    @property
    def classes(self) -> list[str]:
        """The classes of the recipe that have images, in its order."""
        present = set(self.rows["label"])
        return [label for label in self.recipe.classes if label in present]

    @staticmethod
    def finding_of(pair: ImagePair, message: str = "") -> Finding:
        """Return the finding of a pair: the page shows both images.

        Parameters
        ----------
        pair
            One of ``pairs``.
        message
            What it is; by default the images and the kind of the pair.
        """
        message = message or f"{pair.a} and {pair.b} ({pair.kind})"
        return record(PairFinding(message=message, a=pair.a, b=pair.b, kind=pair.kind, crosses=pair.crosses))


@dataclass(frozen=True)
class RecordedFinding(Finding):
    """A finding with the values that ``audit.json`` records.

    Attributes
    ----------
    record
        The finding as ``audit.json`` has it.
    """

    record: AuditFinding | None = None


def record(finding: AuditFinding) -> RecordedFinding:
    """Return a finding of ``audit.json`` as a check yields it."""
    return RecordedFinding(finding.message, record=finding)


def recorded(finding: Finding) -> AuditFinding:
    """Return a check's finding as ``audit.json`` has it."""
    if isinstance(finding, RecordedFinding) and finding.record is not None:
        return finding.record
    return OtherFinding(message=finding.message, file=finding.file, row=finding.row, data=dict(finding.data))
