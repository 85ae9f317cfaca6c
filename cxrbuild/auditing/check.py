"""What a check is given, what it finds, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cxrbuild.artifact import CheckResult
from cxrbuild.catalog.audit import CHECKS
from cxrbuild.catalog.recipe import Recipe
from cxrbuild.checks import Status

if TYPE_CHECKING:
    import pandas as pd

    from cxrbuild.auditing.descriptors import Film
    from cxrbuild.auditing.pairs import Pair


@dataclass(frozen=True)
class Subject:
    """A build that is audited.

    Attributes
    ----------
    build
        Its folder.
    recipe
        What it was built from; says the limits.
    rows
        Its manifest, a row an image, without those in ``faults``.
    faults
        By image id, what is wrong with the images that are not there as they were built.
    films
        Its images in few numbers, in the order of ``rows``.
    pairs
        The images that show the same film.
    workers
        Processors that a check may use.
    """

    build: Path
    recipe: Recipe
    rows: pd.DataFrame
    faults: Mapping[str, str]
    films: Sequence[Film]
    pairs: list[Pair]
    workers: int


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Attributes
    ----------
    value
        How much; ``None`` where the check does not apply to this build.
    words
        The same in a sentence.
    named
        Each thing found, a row a thing, for ``audit.json`` and the page.
    """

    value: float | None
    words: str
    named: list[dict[str, Any]] = field(default_factory=list)


Run = Callable[[Subject], Finding]


@dataclass(frozen=True)
class Outcome:
    """A check, what it found and what comes of it."""

    id: str
    sentence: str
    limit: float | None
    value: float | None
    status: Status
    words: str
    named: list[dict[str, Any]]

    def document(self) -> CheckResult:
        """Return it as ``audit.json`` has it."""
        return CheckResult(
            id=self.id, sentence=self.sentence, limit=self.limit, value=self.value, status=self.status,
            message=self.words, findings=self.named,
        )  # fmt: skip


def judge(name: str, finding: Finding, recipe: Recipe) -> Outcome:
    """Hold a finding against the recipe's limit: ``passed``, ``failed``, ``reported`` or ``not applicable``.

    Parameters
    ----------
    name
        The check's id.
    finding
        What it found.
    recipe
        Whose limits hold.
    """
    limit = recipe.audit.limit(name)
    status: Status
    if finding.value is None:
        status = "not applicable"
    elif limit is None:
        status = "reported"
    else:
        status = "passed" if finding.value <= limit else "failed"
    return Outcome(name, CHECKS[name].sentence, limit, finding.value, status, finding.words, finding.named)
