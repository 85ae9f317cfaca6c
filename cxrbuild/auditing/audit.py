"""Audit a build: make every check, hold each against its limit, write what was found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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
from cxrbuild.files import read_json, sha256_of, write_json
from cxrbuild.progress import Progress, silent
from cxrbuild.records import read_records

_FORMAT = 1

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


def audit(
    build: Path,
    recipe: Recipe,
    *,
    workers: int = 1,
    executor: str = "local",
    progress: Progress = silent,
) -> dict[str, Any]:
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

    Returns
    -------
    dict
        The content of ``audit.json``.

    Raises
    ------
    CxrbuildError
        There is no build, or it is another recipe's.
    """
    document = _read_build(build, recipe)
    rows = read_records(build / "manifest.parquet")
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
    result = {
        "format": _FORMAT,
        "dataset": {
            "name": document["dataset"]["name"],
            "version": document["dataset"]["version"],
            "manifest_sha256": sha256_of(build / "manifest.parquet"),
        },
        "images": len(rows),
        "status": "failed" if any(outcome.status == "failed" for outcome in outcomes) else "passed",
        "checks": [outcome.document() for outcome in outcomes],
        "biases": describe_biases(outcomes),
        "pairs": [pair.document() for pair in pairs],
    }
    write_json(build / "audit.json", result)
    write_page(build / "audit.html", subject, outcomes, document)
    return result


def require_passed(result: dict[str, Any], build: Path) -> None:
    """Refuse an audit of which a check failed.

    Raises
    ------
    CheckError
        A check found more than its limit; what it found is named.
    """
    failed = [check for check in result["checks"] if check["status"] == "failed"]
    if failed:
        lines = [
            f"  {check['id']}: {check['words']} (at most {check['limit']:g})" + _named(check["named"])
            for check in failed
        ]
        raise CheckError(
            f"{len(failed)} of the audit's checks failed\n" + "\n".join(lines),
            where=build,
            todo=f"Look at {build / 'audit.html'}; what should be linked goes into a file of `split.links`, "
            "what must be so is allowed in the recipe's [audit]",
        )


def _read_build(build: Path, recipe: Recipe) -> dict[str, Any]:
    seal = build / "build.json"
    if (build / "SHA256SUMS").exists():
        raise CxrbuildError(
            "a release is here, whose files are not to be changed", where=build,
            expected="a build, as `cxrbuild curate` leaves it",
            todo="Read its own audit.json; to audit anew, audit the build that it is made from",
        )  # fmt: skip
    if not seal.is_file():
        raise CxrbuildError(
            "no build is here", where=build, todo="Run `cxrbuild curate`, or name a build with --build"
        )
    document: dict[str, Any] = read_json(seal)
    try:
        name = document["dataset"]["name"]
    except (KeyError, TypeError):
        raise CxrbuildError(
            "not the build.json of a build", where=seal, expected="a dataset with its name",
            todo="Run `cxrbuild curate` again",
        ) from None  # fmt: skip
    if name != recipe.name:
        raise CxrbuildError(
            "the build is another recipe's", where=build, expected=recipe.name, found=name,
            todo="Name its recipe with --recipe",
        )  # fmt: skip
    return document


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
