"""Read the audit result and the baseline result of a build or a release."""

from __future__ import annotations

from pathlib import Path

from cxrbuild.artifact import AuditDocument, BaselineDocument, names

# Each kind of result, where a build has it, and its name in a release.
RESULTS = (
    ("audit", names.AUDIT, names.AUDIT),
    ("baseline", names.BASELINE, names.RELEASED_BASELINE),
)
Result = AuditDocument | BaselineDocument


def read_result(kind: str, path: Path) -> Result:
    """Read an audit result or a baseline result.

    Raises
    ------
    DocumentError
        The file is not such a result.
    """
    return AuditDocument.read(path) if kind == "audit" else BaselineDocument.read(path)


def result_of(result: Result) -> tuple[str | None, set[str]]:
    """Return the SHA-256 of the manifest that a result refers to, and the names of its dataset and recipe."""
    if isinstance(result, AuditDocument):
        return result.dataset.manifest_sha256, {result.dataset.name}
    named = {result.dataset.name, result.recipe.name}
    return result.dataset.manifest_sha256, {name for name in named if name is not None}
