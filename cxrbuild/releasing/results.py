"""The results of a build that is released: of audit, baseline and explanation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cxrbuild.artifact import AuditDocument, BaselineDocument, BuildDocument, ExplanationDocument, names
from cxrbuild.artifact.audit import AuditFinding, PatientFinding
from cxrbuild.errors import CxrbuildError
from cxrbuild.parsing import parse_json
from cxrbuild.verification.result_files import RESULTS, parse_result, read_result, result_of


@dataclass(frozen=True)
class Results:
    """The results of a build, ``None`` where there are none.

    Attributes
    ----------
    audit, baseline, explanation
        Their content.
    files
        The bytes of each, by its name in a release.
    """

    audit: AuditDocument | None
    baseline: BaselineDocument | None
    explanation: ExplanationDocument | None
    files: dict[str, bytes]

    @property
    def kinds(self) -> list[str]:
        """Which of ``audit``, ``baseline`` and ``explanation`` there are."""
        return [name.removesuffix(".json") for name in self.files]


def with_groups(results: Results, groups: Mapping[str, str]) -> Results:
    """Return results whose audit names groups as the release does.

    Parameters
    ----------
    results
        The results of the build.
    groups
        The new name of each group that the release names otherwise.
    """
    audit = results.audit
    if audit is None:
        return results
    checks = [
        check.model_copy(update={"findings": [_with_group(one, groups) for one in check.findings]})
        for check in audit.checks
    ]
    if checks == audit.checks:
        return results
    audit = audit.model_copy(update={"checks": checks})
    return replace(results, audit=audit, files=results.files | {names.AUDIT: audit.to_bytes()})


def _with_group(finding: AuditFinding, groups: Mapping[str, str]) -> AuditFinding:
    if not isinstance(finding, PatientFinding) or finding.group not in groups:
        return finding
    name = groups[finding.group]
    message = finding.message.replace(finding.group, name, 1)
    return finding.model_copy(update={"group": name, "message": message})


def with_manifest(results: Results, build: str, released: str) -> Results:
    """Return results that refer to the manifest as the release does.

    Parameters
    ----------
    results
        The results of the build.
    build, released
        The hash of the build's manifest, and the one that the release has instead.
    """
    if build == released:
        return results
    found: dict[str, Any] = {}
    files: dict[str, bytes] = {}
    for kind, _, file in RESULTS:
        if file in results.files:
            # A baseline also names the manifest that each of its models was trained on.
            files[file] = results.files[file].replace(build.encode(), released.encode())
            found[kind] = parse_result(kind, parse_json(files[file]), Path(file))
    return Results(found.get("audit"), found.get("baseline"), found.get("explanation"), files)


def read_results(build: Path, document: BuildDocument) -> Results:
    """Read the results of a build, with its version as that of their dataset.

    Parameters
    ----------
    build
        The build.
    document
        Its ``build.json``.

    Raises
    ------
    CxrbuildError
        A result is of another build or recipe, or does not fit.
    """
    manifest = document.files[names.MANIFEST].sha256
    found: dict[str, Any] = {}
    files: dict[str, bytes] = {}
    for kind, place, released in RESULTS:
        path = build / place
        if not path.is_file():
            continue
        result = read_result(kind, path)
        refers, datasets = result_of(result)
        if refers != manifest:
            raise CxrbuildError(
                f"this {kind} result is of another build", where=path,
                expected=f"one of the manifest with SHA-256 {manifest}", found=refers or "none",
                todo="Run it again on this build, or move the file away",
            )  # fmt: skip
        if datasets != {document.dataset.name}:
            raise CxrbuildError(
                f"this {kind} result is of another recipe", where=path, expected=document.dataset.name,
                found=", ".join(sorted(datasets)) or "no name of one",
                todo="Run it again with the build's own recipe (--recipe), or move the file away",
            )  # fmt: skip
        # The same images may have got another version since: the manifest does not hold it.
        version = document.dataset.version
        if result.dataset.version not in (None, version):
            dataset = result.dataset.model_copy(update={"version": version})
            result = result.model_copy(update={"dataset": dataset})
            files[released] = result.to_bytes()
        else:
            files[released] = path.read_bytes()
        found[kind] = result
    return Results(found.get("audit"), found.get("baseline"), found.get("explanation"), files)
