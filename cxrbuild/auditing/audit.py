"""Audit a build: make every check, hold each against its limit, write what was found."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from cxrbuild.artifact import AuditDocument, Build, ImagePair, ResultIdentity, names, open_build
from cxrbuild.auditing import leakage
from cxrbuild.auditing.biases import describe_biases
from cxrbuild.auditing.check import Run, Subject, judge
from cxrbuild.auditing.confounding import check_confounding
from cxrbuild.auditing.descriptors import Film
from cxrbuild.auditing.duplicates import read_films
from cxrbuild.auditing.page import write_page
from cxrbuild.auditing.pairs import find_pairs
from cxrbuild.auditing.probes import PROBES, check_probe
from cxrbuild.catalog.audit import CHECKS
from cxrbuild.catalog.recipe import Recipe
from cxrbuild.errors import CheckError, CxrbuildError
from cxrbuild.executors import open_executor
from cxrbuild.files import locked, sha256_of
from cxrbuild.progress import Progress, silent

# What makes each check of the catalogue.
RUNS: dict[str, Run] = {
    "images": leakage.check_images,
    "patient_leakage": leakage.check_patient_leakage,
    "duplicate_leakage": leakage.check_duplicate_leakage,
    "label_conflicts": leakage.check_label_conflicts,
    "unlinked": leakage.check_unlinked,
    "duplicates": leakage.check_duplicates,
    "identity": leakage.check_identity,
    "unknown_patients": leakage.check_unknown_patients,
    "confounding": check_confounding,
    **{name: check_probe(name) for name in PROBES},
}


@dataclass(frozen=True)
class AuditResult:
    """A build, and what its audit found."""

    build: Build
    document: AuditDocument

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON has it: the build's folder and ``audit.json``."""
        return {"build": str(self.build.folder)} | self.document.to_dict()

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{escape(check.id)}</td><td>{check.status}</td><td>{escape(check.message)}</td></tr>"
            for check in self.document.checks
        )
        return f"<table><tr><th>check</th><th>status</th><th>found</th></tr>{rows}</table>"


def audit(
    build: Path,
    recipe: Recipe,
    *,
    workers: int = 1,
    executor: str = "local",
    progress: Progress = silent,
) -> AuditResult:
    """Audit a build, and leave ``audit.json`` and ``audit.html`` in it.

    Parameters
    ----------
    build
        The folder that ``curate`` left.
    recipe
        The recipe it was built from; its ``[audit]`` says the limits.
    workers, executor
        How many local processes work, or the address of a cluster.
    progress
        Told how far each step is.

    Raises
    ------
    CxrbuildError
        There is no build, it is another recipe's, or another command uses it.
    """
    opened = _open_build(build, recipe)
    with locked(build):
        return _audit(build, opened, recipe, workers, executor, progress)


def _audit(
    build: Path, opened: Build, recipe: Recipe, workers: int, executor: str, progress: Progress
) -> AuditResult:
    rows = opened.manifest
    with open_executor(executor, workers) as pool:
        found = read_films(
            [build / path for path in rows["jpeg_path"]], rows["jpeg_sha256"].tolist(), pool,
            workers=workers, progress=progress,
        )  # fmt: skip
        films = [film for film in found if isinstance(film, Film)]
        faults = {
            name: film
            for name, film in zip(rows["image_id"], found, strict=True)
            if not isinstance(film, Film)
        }
        there = rows[~rows["image_id"].isin(list(faults))].reset_index(drop=True)
        pairs = find_pairs(there, films, build, pool, workers=workers, progress=progress)
    subject = Subject(build, recipe, there, faults, films, pairs, workers)
    outcomes = []
    with progress("checking", len(CHECKS), "check") as bar:
        for name in CHECKS:
            outcomes.append(judge(name, RUNS[name](subject), recipe))
            bar.update()
    result = AuditDocument(
        dataset=ResultIdentity(
            name=opened.name, version=opened.version, manifest_sha256=sha256_of(build / names.MANIFEST)
        ),
        images=len(rows),
        status="failed" if any(outcome.status == "failed" for outcome in outcomes) else "passed",
        checks=[outcome.document() for outcome in outcomes],
        biases=describe_biases(outcomes),
        pairs=[ImagePair.model_validate(pair.document()) for pair in pairs],
    )
    result.write(build / names.AUDIT)
    write_page(build / names.AUDIT_PAGE, subject, outcomes, opened.document)
    return AuditResult(opened, result)


def require_passed(result: AuditResult) -> None:
    """Refuse an audit of which a check failed.

    Raises
    ------
    CheckError
        A check found more than its limit; what it found is named.
    """
    failed = [check for check in result.document.checks if check.status == "failed"]
    if failed:
        lines = [
            f"  {check.id}: {check.message} (at most {check.limit:g})" + _named(check.findings)
            for check in failed
        ]
        raise CheckError(
            f"{len(failed)} of the audit's checks failed\n" + "\n".join(lines),
            where=result.build.folder,
            todo=f"Open {result.build.folder / names.AUDIT_PAGE}. Add links to a file of `split.links`, or "
            "change the limits in the recipe's [audit]",
        )


def _open_build(folder: Path, recipe: Recipe) -> Build:
    build = open_build(folder)
    if build.name != recipe.name:
        raise CxrbuildError(
            "the build was made from another recipe", where=folder, expected=recipe.name, found=build.name,
            todo="Name its recipe with --recipe",
        )  # fmt: skip
    return build


def _named(named: list[dict[str, Any]], most: int = 8) -> str:
    lines = []
    for entry in named[:most]:
        if "a" in entry:
            lines.append(f"{entry['a']} and {entry['b']} ({entry['kind']})")
        elif "image_ids" in entry:
            lines.append(f"{entry['group']}: {', '.join(entry['image_ids'][:6])}")
        elif "fact" in entry:
            lines.append(f"{entry['fact']} tells {entry['share']:.0%} of {entry['of']}")
        elif "auc" in entry:
            interval = f"{entry['auc_low']:.2f} to {entry['auc_high']:.2f}"
            lines.append(
                f"{entry['class']}: AUC {entry['auc']:.3f} ({interval}), recall {entry['recall']:.0%}"
            )
        else:
            lines.append(", ".join(str(value) for value in entry.values()))
    if len(named) > most:
        lines.append(f"and {len(named) - most} more, in audit.json")
    return "".join(f"\n    {line}" for line in lines)
