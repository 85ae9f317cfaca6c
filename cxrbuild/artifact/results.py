"""The results that a build or a release can have: of audit, baseline and explanation."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cxrbuild.artifact import names
from cxrbuild.artifact.audit import AuditDocument
from cxrbuild.artifact.baseline import BaselineDocument
from cxrbuild.artifact.explanation import ExplanationDocument
from cxrbuild.errors import CxrbuildError

ResultKind = Literal["audit", "baseline", "explanation"]
Result = AuditDocument | BaselineDocument | ExplanationDocument


@dataclass(frozen=True)
class ResultFile:
    """The file of a kind of result.

    Attributes
    ----------
    kind
        Which result it is.
    in_build, in_release
        Its name in a build, and in a release.
    model
        The model of its document.
    """

    kind: ResultKind
    in_build: str
    in_release: str
    model: type[Result]

    def read(self, path: Path) -> Result:
        """Read a result of this kind.

        Raises
        ------
        DocumentError
            The file is not such a result.
        """
        return self.model.read(path)

    def parse(self, content: Any, path: Path) -> Result:
        """Return a result of this kind from JSON that was read from a path; see `read`."""
        return self.model.parse(content, path)


RESULTS = (
    ResultFile("audit", names.AUDIT, names.AUDIT, AuditDocument),
    ResultFile("baseline", names.BASELINE, names.RELEASED_BASELINE, BaselineDocument),
    ResultFile("explanation", names.EXPLANATION, names.RELEASED_EXPLANATION, ExplanationDocument),
)


@dataclass(frozen=True)
class Results:
    """The results that a build or a release has, ``None`` where there are none."""

    audit: AuditDocument | None = None
    baseline: BaselineDocument | None = None
    explanation: ExplanationDocument | None = None

    @classmethod
    def of(cls, results: Iterable[Result]) -> Results:
        """Return results, at most one of each kind, by their kind."""
        audit = baseline = explanation = None
        for result in results:
            match result:
                case AuditDocument():
                    audit = result
                case BaselineDocument():
                    baseline = result
                case ExplanationDocument():
                    explanation = result
        return cls(audit, baseline, explanation)

    @property
    def kinds(self) -> list[ResultKind]:
        """Which of ``audit``, ``baseline`` and ``explanation`` there are."""
        return [file.kind for file in RESULTS if getattr(self, file.kind) is not None]


def result_of(result: Result) -> tuple[str | None, set[str]]:
    """Return the SHA-256 of the manifest that a result refers to, and the names of its dataset and recipe."""
    if isinstance(result, AuditDocument):
        return result.dataset.manifest_sha256, {result.dataset.name}
    named = {result.dataset.name, result.recipe.name}
    return result.dataset.manifest_sha256, {name for name in named if name is not None}


def outdated_results(build: Path, manifest_sha256: str) -> list[ResultKind]:
    """Return the kinds of results in a build that are of a former state of it.

    Parameters
    ----------
    build
        The build's folder.
    manifest_sha256
        The SHA-256 of its manifest.
    """
    found = []
    for file in RESULTS:
        try:
            manifest, _ = result_of(file.read(build / file.in_build))
        except (CxrbuildError, OSError):
            continue  # none is there, or `verify` and `release` report what is wrong with it
        if manifest != manifest_sha256:
            found.append(file.kind)
    return found
