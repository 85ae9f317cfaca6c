"""Compare a dataset with published lists and with other datasets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from cxrbuild.api.arguments import AnyPath, is_table
from cxrbuild.arguments import checked
from cxrbuild.progress import Progress, silent
from cxrbuild.remote import is_address, reading

if TYPE_CHECKING:
    from cxrbuild.catalog import Recipe
    from cxrbuild.lists import ListAuditResult
    from cxrbuild.overlapping import FingerprintResult, Level, OverlapResult


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
    out: AnyPath | None = None,
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
    out
        A CSV file to write: a row for each listed file, with its patient and findings; default none.
    progress
        Opens progress bars.

    Returns
    -------
    ListAuditResult
        ``checks``: what each check found; ``passed``: whether none found anything.

    Raises
    ------
    CxrbuildError
        A list cannot be read, has no column of files or no split; there is no such dataset; a source's
        metadata is not as declared; or ``out`` cannot be written.
    """
    from cxrbuild.auditing.listed_dataset import read_dataset
    from cxrbuild.auditing.published_lists import audit_lists as audit_files
    from cxrbuild.curation import read_declared
    from cxrbuild.executors import default_workers
    from cxrbuild.files import write_bytes
    from cxrbuild.lists import format_table, require_table_place

    if out is not None:
        require_table_place(Path(out))
    read = None
    if dataset is not None:
        with reading(dataset, progress, wanted=is_table) as place:
            read = read_dataset(place if is_address(dataset) else dataset, str(dataset))
    result = audit_files(
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
    if out is not None and result.table is not None:
        write_bytes(Path(out), format_table(result.table))
    return result


@checked
def overlap(
    a: AnyPath,
    b: AnyPath,
    out: AnyPath | None = None,
    *,
    against: Sequence[str] = (),
    workers: int | None = None,
    progress: Progress = silent,
) -> OverlapResult:
    """Find the images that are in both of two datasets, under other names and changed.

    Parameters
    ----------
    a, b
        Folders of builds or releases, or files that ``fingerprint`` wrote.
    out
        A folder to write ``pairs.csv`` and the leak-free lists to; default none.
    against
        The splits of the other dataset that count for the leak-free lists; default all.
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
        require_folder_place,
        write_tables,
    )

    if out is not None:
        require_folder_place(Path(out))
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
        result = find_overlap(*compared, workers=processes, progress=progress)
        if out is not None:
            write_tables(result, Path(out), against)
        return result


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

    Returns
    -------
    FingerprintResult
        ``path``: the file; ``document``: what it is of.

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
