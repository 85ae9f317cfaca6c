"""Audit and verify, and explain what was decided of an image."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cxrbuild.api.arguments import AnyPath
from cxrbuild.api.declarations import recipe_of
from cxrbuild.arguments import checked
from cxrbuild.progress import Progress, silent
from cxrbuild.remote import adding, reading

if TYPE_CHECKING:
    from cxrbuild.artifact import Artifact
    from cxrbuild.auditing.audit import AuditResult
    from cxrbuild.catalog import Recipe
    from cxrbuild.image_decision import DecisionResult, ExcludedImages
    from cxrbuild.verification import VerificationResult


@checked
def audit(
    build: AnyPath,
    recipe: AnyPath | Recipe | None = None,
    *,
    workers: int | None = None,
    executor: str = "local",
    progress: Progress = silent,
) -> AuditResult:
    """Check a build for leakage, duplicates, label conflicts and confounding.

    Writes ``audit.json`` and ``audit.html`` into the build, and the pairs as ``audit-pairs.csv`` and
    ``audit-links.csv``.

    Parameters
    ----------
    build
        The folder of the build.
    recipe
        The recipe whose ``[audit]`` has the limits; default the shipped recipe of the build's name, else the
        recipe that the build records, which has no limits: those of the checks apply.
    workers
        Number of processes; default one for each processor.
    executor
        ``local``, or ``dask://HOST:PORT``.
    progress
        Opens progress bars.

    Returns
    -------
    AuditResult
        ``document``: the content of ``audit.json``, with ``status`` and ``checks``.

    Raises
    ------
    CxrbuildError
        The folder holds no build, or the build was made from another recipe.

    Examples
    --------
    >>> import cxrbuild
    >>> audit = cxrbuild.audit("demo/build", workers=1)
    >>> {check.id: check.status for check in audit.document.checks}["patient_leakage"]
    'passed'
    """
    from cxrbuild.artifact import names
    from cxrbuild.auditing.audit import audit as audit_build
    from cxrbuild.executors import default_workers

    written = [names.AUDIT, names.AUDIT_PAGE, names.AUDIT_PAIRS, names.AUDIT_LINKS]
    with adding(build, written, progress) as folder:
        return audit_build(
            folder,
            _audited_recipe(folder, recipe),
            workers=workers or default_workers(),
            executor=executor,
            progress=progress,
        )


def _audited_recipe(build: Path, recipe: AnyPath | Recipe | None) -> Recipe:
    from cxrbuild.artifact import open_build
    from cxrbuild.catalog import recipe_names

    if recipe is None:
        recorded = open_build(build).document.recipe
        if recorded.name not in recipe_names():
            return recorded
    return recipe_of(build, recipe)


@checked
def verify(
    folder: AnyPath,
    *,
    manifest: AnyPath | None = None,
    executor: str = "local",
    signers: AnyPath | None = None,
    progress: Progress = silent,
) -> VerificationResult:
    """Check every file, row and hash of a release, a build or a folder of images.

    Parameters
    ----------
    folder
        A release, a build, or images named IMAGE_ID.jpg.
    manifest
        What to check images against: a ``manifest.parquet`` or the name of a published manifest.
    executor
        Where image files and ready sizes are checked: ``local``, or ``dask://HOST:PORT``.
    signers
        A file with public keys, by one of which a release must be signed.
    progress
        Opens progress bars.

    Returns
    -------
    VerificationResult
        ``findings`` lists everything that is wrong; it is empty for a sound folder.

    Raises
    ------
    CxrbuildError
        There is nothing to check in the folder.

    Examples
    --------
    >>> import cxrbuild
    >>> verified = cxrbuild.verify("demo/build")
    >>> verified.passed, verified.images
    (True, 89)
    """
    from cxrbuild.verification import verify as verify_folder

    with reading(folder, progress) as place:
        return verify_folder(
            place,
            manifest=None if manifest is None else str(manifest),
            executor=executor,
            signers=None if signers is None else Path(signers),
            progress=progress,
        )


@checked
def why(
    image: str,
    build: AnyPath,
    recipe: AnyPath | Recipe | None = None,
    data: AnyPath | None = None,
) -> DecisionResult:
    """Explain why an image is in a build or release, or not: every decision, with what decided it.

    Parameters
    ----------
    image
        An image id, the path or name of a file of a source or build, a patient, or an accession number or UID
        of a DICOM header in ``data``.
    build
        The folder of a build or release, or one that ``plan --out`` wrote.
    recipe
        The recipe, whose link files and sources are read; default the shipped ones that the build names.
    data
        The data folder whose row of metadata is shown; default none.

    Returns
    -------
    DecisionResult
        ``images`` has the decisions: several where a name means several images.

    Raises
    ------
    CxrbuildError
        The folder holds neither a build nor a release, or no image has the name.
    """
    from cxrbuild.api.declarations import read_recipe
    from cxrbuild.catalog import Recipe
    from cxrbuild.image_decision import explain_images

    read = recipe if isinstance(recipe, Recipe) or recipe is None else read_recipe(recipe)
    metadata = None if data is None else Path(data)
    with reading(build, wanted=_is_record) as folder:
        asked = _open_record(Path(folder), read, metadata)
        return explain_images(asked, image, recipe=read, data=metadata)


@checked
def list_excluded(
    build: AnyPath, rule: str | None = None, *, recipe: AnyPath | Recipe | None = None
) -> ExcludedImages:
    """List the excluded images of a build, a release or a plan, each with the value that decided.

    Parameters
    ----------
    build
        The folder of a build or release, or one that ``plan --out`` wrote.
    rule
        The name of a rule, or another value of ``exclusion``; default all.
    recipe
        The recipe of a plan of an earlier version, which records none.

    Returns
    -------
    ExcludedImages
        ``images`` has them, by exclusion.

    Raises
    ------
    CxrbuildError
        The folder holds none of these, or there is no such rule.
    """
    from cxrbuild.api.declarations import read_recipe
    from cxrbuild.catalog import Recipe
    from cxrbuild.image_decision import find_excluded

    read = recipe if isinstance(recipe, Recipe) or recipe is None else read_recipe(recipe)
    with reading(build, wanted=_is_record) as folder:
        return find_excluded(_open_record(Path(folder), read, None), rule)


def _open_record(place: Path, recipe: Recipe | None, data: Path | None) -> Artifact:
    """Open a build, a release or a plan."""
    from cxrbuild.artifact import is_plan, open_artifact
    from cxrbuild.image_decision import open_plan

    return open_plan(place, recipe, data) if is_plan(place) else open_artifact(place)


def _is_record(name: str) -> bool:
    """Return whether decisions are recorded in a file of a build or release."""
    from cxrbuild.artifact import names

    return name in ("", names.SUMS, names.BUILD, names.LEDGER, names.AUDIT)
