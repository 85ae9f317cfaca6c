"""Audit a build: make every check, compare its value with its limit, write the result."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cxrbuild.artifact import (
    AuditDocument,
    Build,
    BuildDocument,
    CheckDescription,
    CheckResult,
    ResultIdentity,
    names,
    open_build,
)
from cxrbuild.artifact.audit_finding import AuditFinding, OtherFinding
from cxrbuild.auditing import stages
from cxrbuild.auditing.biases import describe_biases
from cxrbuild.auditing.context import Context, recorded
from cxrbuild.auditing.registry import audit_checks
from cxrbuild.catalog.link import Link, read_links
from cxrbuild.catalog.recipe import Recipe
from cxrbuild.checks import Check, Result, evaluate, name_check, own_checks
from cxrbuild.errors import CheckError, CxrbuildError, DeclarationError, count_of, printable
from cxrbuild.executors import open_executor, require_executor
from cxrbuild.files import locked, remove_temporary_files, sha256_of
from cxrbuild.notebook import result_html
from cxrbuild.progress import Progress, silent
from cxrbuild.report import next_steps

_logger = logging.getLogger(__name__)
# The findings of a check that an error lists.
_LISTED = 8


@dataclass(frozen=True)
class AuditResult:
    """The audit of a build.

    Attributes
    ----------
    build
        The build.
    document
        The content of ``audit.json``: ``status``, and ``checks`` with what each found.
    links
        The number of duplicates in ``audit-links.csv``.
    """

    build: Build
    document: AuditDocument
    links: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON has it: the build's folder and ``audit.json``."""
        return {"build": str(self.build.folder)} | self.document.to_dict()

    def _repr_html_(self) -> str:
        return result_html(
            f"Audit of {self.build.name} {self.build.version}: {self.document.status}",
            header=["check", "status", "found"],
            rows=[[check.id, check.status, check.message] for check in self.document.checks],
        )


def audit(
    build: Path,
    recipe: Recipe,
    *,
    workers: int = 1,
    executor: str = "local",
    progress: Progress = silent,
) -> AuditResult:
    """Audit a build, and write ``audit.json``, ``audit.html`` and the tables of its pairs into it.

    Parameters
    ----------
    build
        The folder that ``curate`` wrote.
    recipe
        The recipe that it was built from; its ``[audit]`` has the limits.
    workers, executor
        The number of local processes, or the address of a cluster.
    progress
        Opens progress bars.

    Raises
    ------
    CxrbuildError
        The folder holds no build, the build was made from another recipe, another command uses it, or a check
        of another package cannot be used.
    """
    require_executor(executor)
    opened = _open_build(build, recipe)
    with locked(build):
        remove_temporary_files(build)
        return _audit(opened, recipe, workers, executor, progress)


def _audit(opened: Build, recipe: Recipe, workers: int, executor: str, progress: Progress) -> AuditResult:
    from cxrbuild.auditing.page import write_page
    from cxrbuild.auditing.pair_tables import write_pair_tables

    checks = audit_checks()
    recipe.audit.require_known({check.id for check in checks})
    progress.plan(*stages.AUDIT)
    context = _read(opened, recipe, workers, executor, progress)
    results = []
    with progress(stages.CHECKING, len(checks), "check") as bar:
        for check in checks:
            with progress(f"check {check.id}", None, ""):
                result = evaluate(check, context, limit=recipe.audit.limit(check.id, check.limit))
            results.append(_record(check, result))
            bar.update()
    document = AuditDocument(
        dataset=ResultIdentity(
            name=opened.name,
            version=opened.version,
            manifest_sha256=sha256_of(opened.folder / names.MANIFEST),
        ),
        images=len(opened.manifest),
        missing=len(opened.document.missing),
        status="failed" if any(result.status == "failed" for result in results) else "passed",
        checks=results,
        biases=describe_biases(results, context.classes),
        pairs=list(context.pairs),
        duplicate_search=context.search,
    )
    document.write(opened.folder / names.AUDIT)
    links = write_pair_tables(opened.folder, context.rows, document.pairs, _declared_links(recipe))
    write_page(opened.folder / names.AUDIT_PAGE, context, document, opened.document)
    _logger.info("wrote %s: %s", opened.folder / names.AUDIT, document.status)
    return AuditResult(opened, document, links)


def _read(opened: Build, recipe: Recipe, workers: int, executor: str, progress: Progress) -> Context:
    from cxrbuild.auditing.images import BATCH, read_images
    from cxrbuild.auditing.pairs import find_pairs
    from cxrbuild.auditing.store import DescriptorStore

    rows, folder = opened.manifest, opened.folder
    state = folder / names.STATE / "audit"
    store = DescriptorStore(state)
    with open_executor(executor, workers, batches=-(-len(rows) // BATCH), reads=[folder]) as pool:
        problems = read_images(rows, folder, store, pool, workers=workers, progress=progress)
        _logger.info("read %d images, %d with a problem", len(rows), len(problems))
        usable = rows[~rows["image_id"].isin([one.image_id for one in problems])].reset_index(drop=True)
        descriptors = store.table(usable["jpeg_sha256"].tolist())
        pairs, search = find_pairs(
            usable, descriptors, folder, state, pool, workers=workers, progress=progress
        )
    _logger.info(
        "compared %d candidate pairs, skipped %d beyond %d per image: found %d pairs",
        search.compared_pairs, search.skipped_pairs, search.most_per_image, len(pairs),
    )  # fmt: skip
    return Context(
        folder, recipe, usable, problems, descriptors, pairs, search, workers,
        namespaces=opened.document.namespaces, hashed=_hashed(opened.document),
        missing=len(opened.document.missing), progress=progress,
    )  # fmt: skip


def _record(check: Check[Context], result: Result) -> CheckResult:
    own = check.id in own_checks("audit")
    return CheckResult(
        id=result.id, sentence=result.sentence, limit=result.limit, value=result.value,
        status=result.status, message=result.message,
        findings=[recorded(finding) for finding in result.findings],
        description=None if own else CheckDescription.of(check),
    )  # fmt: skip


def require_passed(result: AuditResult) -> None:
    """Require that every check with a limit passed.

    Raises
    ------
    CheckError
        A check found more than its limit; the error lists what it found.
    """
    failed = [check for check in result.document.checks if check.status == "failed"]
    if failed:
        raise CheckError(
            f"{len(failed)} of the audit's checks failed\n" + "\n".join(map(_list_findings, failed)),
            where=result.build.folder,
            todo=_advise(result, failed),
        )


def _advise(result: AuditResult, failed: list[CheckResult]) -> str:
    """Return what to do about failed checks, as the page says it, and where links for the recipe are."""
    steps = [f"Open {result.build.folder / names.AUDIT_PAGE}.", *next_steps(failed)]
    if result.links:
        steps.append(
            f"{names.AUDIT_LINKS} next to it has {count_of(result.links, 'duplicate')} as links: name a copy "
            "with those that you confirm under `split.links`."
        )
    steps.append("A recipe can set other limits in its [audit]")
    return " ".join(step for step in steps if step)


def _declared_links(recipe: Recipe) -> list[Link]:
    """Return the links of a recipe; the recipe that a build records has no files of its own."""
    links = []
    for name in recipe.split.links:
        with suppress(DeclarationError):
            links += read_links(name, recipe.folder)
    return links


def _list_findings(check: CheckResult) -> str:
    lines = [f"  {name_check(check.id, 'audit')}: {check.message} (at most {check.limit:g})"]
    lines += [f"    {printable(_place(finding) + finding.message)}" for finding in check.findings[:_LISTED]]
    if len(check.findings) > _LISTED:
        lines.append(f"    and {len(check.findings) - _LISTED} more, in {names.AUDIT}")
    return "\n".join(lines)


def _place(finding: AuditFinding) -> str:
    """Return the file and row of a finding of another package's check; ours name images."""
    if not isinstance(finding, OtherFinding):
        return ""
    return "".join(f"{part}: " for part in (finding.file, finding.row) if part)


def _open_build(folder: Path, recipe: Recipe) -> Build:
    build = open_build(folder)
    if build.name != recipe.name:
        raise CxrbuildError(
            "the build was made from another recipe", where=folder, expected=recipe.name, found=build.name,
            todo="Name its recipe with --recipe",
        )  # fmt: skip
    return build


def _hashed(document: BuildDocument) -> frozenset[str]:
    """Return the sources whose patient ids are hashes."""
    return frozenset(name for name, one in document.declared_sources.items() if one.patient_id == "hash")
