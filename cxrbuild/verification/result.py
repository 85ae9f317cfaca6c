"""The result of `verify`: what was verified, and what its checks found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cxrbuild.checks import Finding, Result, name_check
from cxrbuild.errors import CheckError, count_of, printable
from cxrbuild.notebook import result_html
from cxrbuild.verification.context import Kind

# The findings of one file that an error shows.
_MOST = 25
# What makes what is damaged or missing whole again.
_REPAIR: Mapping[Kind, str] = {
    "build": "To repair damaged or missing files, run {curate}: it makes these files alone, from the data "
    "folder",
    "release": "To repair damaged or missing files, get the release again from where it was published, or "
    "delete the folder and make it from its build with `cxrbuild release VERSION`",
    "images": "To repair damaged or missing images, copy them again from the build or release, or convert "
    "them again with `cxrbuild curate`",
}


@dataclass(frozen=True)
class VerificationResult:
    """What was verified, and what is wrong with it.

    Attributes
    ----------
    folder
        The folder.
    kind
        What it is.
    name
        The dataset and its version, or the manifest that images were compared with.
    files, images
        The number of files and images that were checked.
    withheld
        The number of these images that a release has no pixels of.
    checks
        Each check, with its status and findings.
    unpinned
        Sources that are not verified to be the pinned version.
    missing
        The number of images that belong to the dataset and are missing.
    other_version
        The version of cxrbuild that made a release, where it is not this one. Only that version compares
        every line of the documents.
    signer
        The fingerprint of the key that a release is signed with; ``None`` where it is not signed.
    leakage
        In words, which patients and groups are in several splits, and what was not checked; empty where a
        check failed, and for a folder of images.
    failed_audit
        The checks that failed in the audit of the build or release: it states them, so they are no findings.
    repair
        The command that makes a build again; empty where it is not known.
    """

    folder: Path
    kind: Kind
    name: str
    files: int
    images: int
    checks: tuple[Result, ...]
    unpinned: tuple[str, ...] = ()
    missing: int = 0
    other_version: str | None = None
    signer: str | None = None
    leakage: str = ""
    repair: str = ""
    withheld: int = 0
    failed_audit: tuple[str, ...] = ()

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All that is wrong: the findings of the checks that failed, each once.

        Several checks find that a file is missing.
        """
        failed = (f for check in self.checks if check.status == "failed" for f in check.findings)
        return tuple({(finding.file, finding.row, finding.message): finding for finding in failed}.values())

    @property
    def passed(self) -> bool:
        """Whether no check failed."""
        return all(check.status != "failed" for check in self.checks)

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON has it."""
        return {
            "folder": str(self.folder),
            "kind": self.kind,
            "name": self.name,
            "files": self.files,
            "images": self.images,
            "unpinned": list(self.unpinned),
            "missing": self.missing,
            "other_version": self.other_version,
            "signer": self.signer,
            "failed_audit": list(self.failed_audit),
            "checks": [check.to_dict() for check in self.checks],
            "findings": [finding.to_dict() for finding in self.findings],
        }

    def _repr_html_(self) -> str:
        counts = [count_of(self.files, "file"), count_of(self.images, "image")]
        return result_html(
            f"{self.kind} {self.name}: {', '.join([*counts, count_of(len(self.findings), 'finding')])}",
            map(str, self.findings[:_MOST]),
            ["check", "must hold", "status", "findings"],
            [[check.id, check.sentence, check.status, len(check.findings)] for check in self.checks],
        )


def _of_other(finding: Finding) -> str:
    """Return the check of a finding and its package, if that is another package."""
    name = name_check(finding.check, "verify")
    return "" if name == finding.check else f" ({name})"


def require_verified(result: VerificationResult, where: Path | str) -> None:
    """Refuse what failed a check.

    Raises
    ------
    CheckError
        A check failed; the message lists its findings, the first of each file where there are very many.
    """
    if result.passed:
        return
    by_file: dict[str, list[Finding]] = {}
    for finding in result.findings:
        by_file.setdefault(finding.file or "", []).append(finding)
    lines = []
    for file, findings in by_file.items():
        lines += [f"  {printable(finding)}{_of_other(finding)}" for finding in findings[:_MOST]]
        if len(findings) > _MOST:
            more = f"  and {count_of(len(findings) - _MOST, 'more finding')}; --json lists all"
            lines.append(f"  {printable(file)}:{more}" if file else more)
    # A check of another package may measure a value without naming what it found.
    lines += [
        f"  {name_check(check.id, 'verify')}: {printable(check.message)}"
        for check in result.checks
        if check.status == "failed" and not check.findings
    ]
    curate = (
        f"`{result.repair}`" if result.repair else "`cxrbuild curate` with the options of this build again"
    )
    what = "these images" if result.kind == "images" else f"this {result.kind}"
    raise CheckError(
        f"{count_of(len(result.findings), 'finding')} in {what}\n" + "\n".join(lines), where=where,
        todo=_REPAIR[result.kind].format(curate=curate),
    )  # fmt: skip
