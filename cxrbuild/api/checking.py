"""Audit and verify."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from cxrbuild.api.arguments import AnyPath, is_table
from cxrbuild.api.declarations import recipe_of
from cxrbuild.arguments import checked
from cxrbuild.progress import Progress, silent
from cxrbuild.remote import adding, is_address, reading

if TYPE_CHECKING:
    from cxrbuild.artifact import Artifact
    from cxrbuild.auditing.audit import AuditResult
    from cxrbuild.catalog import Recipe
    from cxrbuild.image_decision import DecisionResult, ExcludedImages
    from cxrbuild.lists import ListAuditResult
    from cxrbuild.overlapping import FingerprintResult, Level, OverlapResult
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

    Raises
    ------
    CxrbuildError
        The folder holds no build, or the build was made from another recipe.
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
def audit_lists(
    lists: Sequence[AnyPath],
    data: AnyPath | None = None,
    recipe: AnyPath | Recipe = "covid19-cxr",
    *,
    dataset: AnyPath | None = None,
    columns: Mapping[str, str] | None = None,
    pixels: bool = True,
    workers: int | None = None,
    executor: str = "local",
    progress: Progress = silent,
) -> ListAuditResult:
    """Check lists of files with a split and a class that somebody published.

    Parameters
    ----------
    lists
        Text, CSV or JSON files, each as a path or as text ``SPLIT=PATH``; shipped lists by name; or .toml
        files of declared ones.
    data
        The data folder of the sources to compare with; their metadata suffices. Default: no sources.
    recipe
        The recipe whose sources and links are used. Sources that are not there are ignored.
    dataset
        A dataset to compare with: a build, a release, a plan's folder, a ``manifest.parquet`` or a published
        name such as ``covid19-cxr/1.0.0``. If it has a ledger, that is used instead of the sources' metadata.
    columns
        The name of a column, or its position from 1, for some of ``file``, ``patient``, ``label``, ``source``
        and ``split``.
    pixels
        Whether to find near-duplicates among the listed images that are in the data folder.
    workers
        Number of processes; default one for each processor.
    executor
        ``local``, or ``dask://HOST:PORT``.
    progress
        Opens progress bars.

    Raises
    ------
    CxrbuildError
        A list cannot be read, has no column of files or no split; there is no such dataset; or a source's
        metadata is not as declared.
    """
    from cxrbuild.auditing.listed_dataset import read_dataset
    from cxrbuild.auditing.published_lists import audit_lists as audit_files
    from cxrbuild.curation import read_declared
    from cxrbuild.executors import default_workers

    read = None
    if dataset is not None:
        with reading(dataset, progress, wanted=is_table) as place:
            read = read_dataset(place if is_address(dataset) else dataset, str(dataset))
    return audit_files(
        list(map(str, lists)),
        None if data is None else Path(data),
        read_declared(recipe, {}),
        dataset=read,
        columns=columns,
        pixels=pixels,
        workers=workers or default_workers(),
        executor=executor,
        progress=progress,
    )


@checked
def overlap(
    a: AnyPath, b: AnyPath, *, workers: int | None = None, progress: Progress = silent
) -> OverlapResult:
    """Find images shared by two datasets, even if renamed or modified.

    Parameters
    ----------
    a, b
        Folders of builds or releases, or files that ``fingerprint`` wrote.
    workers
        Number of processes; default one for each processor.
    progress
        Opens progress bars.

    Returns
    -------
    OverlapResult
        ``pairs`` lists them; ``leak_free("a")`` has the rows of A without patients who are in B.

    Raises
    ------
    CxrbuildError
        One is no build, release or fingerprint, or images are missing or changed.
    """
    import tempfile

    from cxrbuild.auditing.stages import READING
    from cxrbuild.executors import default_workers
    from cxrbuild.loading import open_dataset
    from cxrbuild.overlapping import (
        STAGES,
        Fingerprint,
        describe,
        find_overlap,
        read_fingerprint,
        refuse_list,
    )

    processes = workers or default_workers()
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as stack:
        places = [stack.enter_context(reading(place, progress)) for place in (a, b)]
        for place in places:
            refuse_list(place)
        # Both are opened before either is described.
        opened = [read_fingerprint(place) if place.is_file() else open_dataset(place) for place in places]
        coarse = any(isinstance(one, Fingerprint) and one.document.level == "keypoints" for one in opened)
        described = all(isinstance(one, Fingerprint) for one in opened)
        progress.plan(*([] if described else [READING]), *STAGES)
        level: Level = "keypoints" if coarse else "thumbnails"
        compared = [
            one
            if isinstance(one, Fingerprint)
            else describe(one, Path(temporary) / side, level, workers=processes, progress=progress)
            for one, side in zip(opened, ("a", "b"), strict=True)
        ]
        return find_overlap(*compared, workers=processes, progress=progress)


@checked
def fingerprint(
    folder: AnyPath,
    out: AnyPath | None = None,
    *,
    level: Level = "keypoints",
    workers: int | None = None,
    executor: str = "local",
    progress: Progress = silent,
) -> FingerprintResult:
    """Write the fingerprint of a build or release, which can be compared instead of its images.

    Parameters
    ----------
    folder
        The folder of a build or release.
    out
        The file; default ``NAME-VERSION.fingerprint.parquet``.
    level
        ``keypoints``, or ``thumbnails``: finds more, and gives more away.
    workers
        Number of processes; default one for each processor.
    executor
        ``local``, or ``dask://HOST:PORT``.
    progress
        Opens progress bars.

    Raises
    ------
    CxrbuildError
        The folder holds neither a build nor a release, images are missing or changed, or ``out`` is another
        file.
    """
    from cxrbuild.executors import default_workers
    from cxrbuild.overlapping import fingerprint as write_fingerprint

    with reading(folder, progress) as place:
        return write_fingerprint(
            place,
            None if out is None else Path(out),
            level=level,
            workers=workers or default_workers(),
            executor=executor,
            progress=progress,
        )


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
