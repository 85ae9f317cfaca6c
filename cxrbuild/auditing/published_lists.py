"""Audit published lists: alone, against metadata of sources or a dataset, and by images that are there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cxrbuild.auditing.listed_dataset import with_groups
from cxrbuild.catalog import list_names, read_image_list
from cxrbuild.curation import Declared, read_present
from cxrbuild.executors import open_executor
from cxrbuild.lists import (
    ListAuditResult,
    ListContext,
    ListedDataset,
    ListPair,
    audit_rows,
    match_images,
    match_listed,
    match_members,
    parse_list_file,
    read_declared_list,
    read_lists,
    resolve_sources,
)
from cxrbuild.lockfile import source_folder
from cxrbuild.progress import Progress, silent

if TYPE_CHECKING:
    import pandas as pd


def audit_lists(
    lists: Sequence[str],
    data: Path | None,
    declared: Declared,
    *,
    dataset: ListedDataset | None = None,
    columns: Mapping[str, str] | None = None,
    pixels: bool = True,
    workers: int = 1,
    executor: str = "local",
    progress: Progress = silent,
) -> ListAuditResult:
    """Check published lists for patients in two splits, files that are listed twice, two classes, and more.

    Parameters
    ----------
    lists
        Each a file, ``SPLIT=FILE``, a shipped list by name, or the .toml file of a declared one.
    data
        The folder that ``fetch`` filled; ``None`` where there is none.
    declared
        The recipe whose sources and links are used; sources that are not there are ignored.
    dataset
        A dataset to compare with. If it has a ledger, that is used instead of the sources' metadata.
    columns
        The columns of lists that are not declared, see `cxrbuild.lists.read_lists`.
    pixels
        Whether to compare the images that are there.
    workers, executor
        The number of local processes, or the address of a cluster.
    progress
        Opens progress bars.

    Raises
    ------
    CxrbuildError
        A list cannot be read, has no column of files or no split; or a source's metadata is not as declared.
    """
    import pandas as pd

    if dataset is not None and dataset.has_ledger:
        records: pd.DataFrame | None = dataset.rows
        sources = sorted(set(dataset.rows["source"]))
    else:
        records = None if data is None else read_present(declared, data, progress)
        sources = [source.name for source in declared.sources]
        dataset = None if dataset is None else with_groups(dataset, records)
    tables = []
    files = [name for name in lists if not _is_declared(name)]
    if files:
        rows = read_lists([parse_list_file(name) for name in files], columns)
        if records is not None:
            rows = match_images(rows, records, complete=set(sources) <= set(records["source"]))
        tables.append(rows)
    for name in lists:
        if _is_declared(name):
            image_list = read_image_list(name)
            rows = read_declared_list(image_list, data)
            only = sources[0] if len(sources) == 1 else None
            if records is not None:
                rows = match_listed(rows, records, image_list, only, complete=dataset is None)
                # Of a source that is not there, no file is known to be absent.
                rows["absent"] = rows["image"].isna() & rows["of_source"].isin(set(records["source"]))
            elif dataset is not None:
                members = dataset.rows[["source", "source_path"]]
                there = frozenset(members.itertuples(index=False, name=None))
                rows = resolve_sources(rows, image_list, only, there, complete=False)
            if "of_source" in rows:
                rows["source"] = rows["of_source"]
            tables.append(rows)
    rows = pd.concat(tables, ignore_index=True)
    if dataset is not None:
        rows = match_members(rows, dataset.rows, dataset.hidden)
    no_images = "no listed image has a file here" if pixels else "--no-pixels omits it"
    context = ListContext(rows, records, no_images=no_images, dataset=dataset)
    if pixels and data is not None and records is not None:
        with open_executor(executor, workers, reads=[data]) as pool:
            context = _compare_images(context, data, pool, workers, progress)
    return audit_rows(context)


def _is_declared(name: str) -> bool:
    return name.endswith(".toml") or name in list_names()


def _compare_images(
    context: ListContext, data: Path, pool: Executor, workers: int, progress: Progress
) -> ListContext:
    """Compare the listed images whose files are there."""
    from cxrbuild.auditing.source_images import find_source_duplicates

    assert context.records is not None
    images = sorted(set(context.known["image"].astype("int64")))
    listed = context.records.loc[images, ["source", "source_path"]]
    paths = [source_folder(data, source) / path for source, path in listed.itertuples(index=False)]
    there = [(image, path) for image, path in zip(images, paths, strict=True) if path.is_file()]
    if not there:
        return context
    found = find_source_duplicates([path for _, path in there], pool, workers=workers, progress=progress)
    pairs = [
        ListPair(there[match.a][0], there[match.b][0], match.kind, match.similarity)
        for match in found.matches
    ]
    unreadable = set(found.unreadable)
    compared = {image for number, (image, _) in enumerate(there) if number not in unreadable}
    return replace(context, pairs=pairs, compared=compared)
