"""Read the results of a build or a release: of audit, baseline and explanation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cxrbuild.artifact import Artifact, AuditDocument, BaselineDocument, ExplanationDocument, names
from cxrbuild.errors import CxrbuildError

# Each kind of result, where a build has it, and its name in a release.
RESULTS = (
    ("audit", names.AUDIT, names.AUDIT),
    ("baseline", names.BASELINE, names.RELEASED_BASELINE),
    ("explanation", names.EXPLANATION, names.RELEASED_EXPLANATION),
)
Result = AuditDocument | BaselineDocument | ExplanationDocument
_DOCUMENTS: dict[str, type[Result]] = {
    "audit": AuditDocument,
    "baseline": BaselineDocument,
    "explanation": ExplanationDocument,
}


def read_result(kind: str, path: Path) -> Result:
    """Read a result.

    Parameters
    ----------
    kind
        ``audit``, ``baseline`` or ``explanation``.
    path
        The file.

    Raises
    ------
    DocumentError
        The file is not such a result.
    """
    return _DOCUMENTS[kind].read(path)


def parse_result(kind: str, content: Any, path: Path) -> Result:
    """Return a result from JSON; see `read_result`."""
    return _DOCUMENTS[kind].parse(content, path)


def result_of(result: Result) -> tuple[str | None, set[str]]:
    """Return the SHA-256 of the manifest that a result refers to, and the names of its dataset and recipe."""
    if isinstance(result, AuditDocument):
        return result.dataset.manifest_sha256, {result.dataset.name}
    named = {result.dataset.name, result.recipe.name}
    return result.dataset.manifest_sha256, {name for name in named if name is not None}


def outdated_results(artifact: Artifact) -> list[str]:
    """Return the kinds of results in a build that are of a former state of it."""
    found = []
    for kind, place, _ in RESULTS:
        try:
            manifest, _ = result_of(read_result(kind, artifact.folder / place))
        except (CxrbuildError, OSError):
            continue  # none is there, or `verify` and `release` report what is wrong with it
        if manifest != artifact.manifest_sha256:
            found.append(kind)
    return found
