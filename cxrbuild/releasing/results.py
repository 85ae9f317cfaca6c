"""The results of a build that is released: of audit, baseline and explanation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from cxrbuild.artifact import RESULTS, BuildDocument, Results, names
from cxrbuild.artifact.audit_finding import AuditFinding, PatientFinding
from cxrbuild.artifact.results import result_of
from cxrbuild.errors import CxrbuildError
from cxrbuild.parsing import parse_json


@dataclass(frozen=True)
class ReleasedResults:
    """The results of a build, as its release has them.

    Attributes
    ----------
    documents
        Their content.
    files
        The bytes of each, by its name in a release.
    """

    documents: Results
    files: dict[str, bytes]


def with_groups(results: ReleasedResults, groups: Mapping[str, str]) -> ReleasedResults:
    """Return results whose audit names groups as the release does.

    Parameters
    ----------
    results
        The results of the build.
    groups
        The new name of each group that the release names otherwise.
    """
    audit = results.documents.audit
    if audit is None:
        return results
    checks = [
        check.model_copy(update={"findings": [_with_group(one, groups) for one in check.findings]})
        for check in audit.checks
    ]
    if checks == audit.checks:
        return results
    audit = audit.model_copy(update={"checks": checks})
    documents = replace(results.documents, audit=audit)
    return ReleasedResults(documents, results.files | {names.AUDIT: audit.to_bytes()})


def _with_group(finding: AuditFinding, groups: Mapping[str, str]) -> AuditFinding:
    if not isinstance(finding, PatientFinding) or finding.group not in groups:
        return finding
    name = groups[finding.group]
    message = finding.message.replace(finding.group, name, 1)
    return finding.model_copy(update={"group": name, "message": message})


def with_manifest(results: ReleasedResults, build: str, released: str) -> ReleasedResults:
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
    found = []
    files: dict[str, bytes] = {}
    for file in RESULTS:
        name = file.in_release
        if name in results.files:
            # A baseline also names the manifest that each of its models was trained on.
            files[name] = results.files[name].replace(build.encode(), released.encode())
            found.append(file.parse(parse_json(files[name]), Path(name)))
    return ReleasedResults(Results.of(found), files)


def read_results(build: Path, document: BuildDocument) -> ReleasedResults:
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
    found = []
    files: dict[str, bytes] = {}
    for file in RESULTS:
        path = build / file.in_build
        if not path.is_file():
            continue
        result = file.read(path)
        refers, datasets = result_of(result)
        if refers != manifest:
            raise CxrbuildError(
                f"this {file.kind} result is of another build", where=path,
                expected=f"one of the manifest with SHA-256 {manifest}", found=refers or "none",
                todo="Run it again on this build, or move the file away",
            )  # fmt: skip
        if datasets != {document.dataset.name}:
            raise CxrbuildError(
                f"this {file.kind} result is of another recipe", where=path, expected=document.dataset.name,
                found=", ".join(sorted(datasets)) or "no name of one",
                todo="Run it again with the build's own recipe (--recipe), or move the file away",
            )  # fmt: skip
        # The same images may have got another version since: the manifest does not hold it.
        version = document.dataset.version
        if result.dataset.version not in (None, version):
            dataset = result.dataset.model_copy(update={"version": version})
            result = result.model_copy(update={"dataset": dataset})
            files[file.in_release] = result.to_bytes()
        else:
            files[file.in_release] = path.read_bytes()
        found.append(result)
    return ReleasedResults(Results.of(found), files)
