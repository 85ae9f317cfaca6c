"""Report which folders and pages still hold withdrawn images: a ledger without them deletes no file."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from cxrbuild.artifact import names
from cxrbuild.catalog import Source
from cxrbuild.catalog.reader import Inventory
from cxrbuild.errors import CxrbuildError, count_of, name_some
from cxrbuild.lockfile import LockedSource, read_lock, source_folder
from cxrbuild.progress import silent
from cxrbuild.records import read_records

if TYPE_CHECKING:
    import pandas as pd

# Where `curate` and `release` write by default.
_PLACES = ("build", "release")


def describe_holders(
    records: pd.DataFrame,
    data: Path,
    locked: Mapping[str, LockedSource],
    sources: Iterable[Source],
    out: Path | None = None,
) -> str:
    """Return a note on what holds files, pixels or values of withdrawn images; empty where nothing does.

    Known are the folders that the sources were fetched from and to, also those of other data folders in the
    current folder, those that ``fetch`` set aside, the metadata of proposed pins, and builds, releases, plans
    and pages in the current folder or in the folders where they are by default. A row of a withdrawn image
    in other metadata is not looked for.

    Parameters
    ----------
    records
        The table of a plan.
    data
        The folder that ``fetch`` filled.
    locked
        The lock's entry of each source.
    sources
        The sources.
    out
        The build that is updated, from which the images are removed.
    """
    withdrawn = records[records["exclusion"] == "withdrawn"]
    if withdrawn.empty:
        return ""
    found = [
        *_of_sources(withdrawn, data, locked),
        *_of_proposals(withdrawn, sources),
        *_of_datasets(set(withdrawn["image_id"]), out),
        *_of_pages(withdrawn),
    ]
    if not found:
        return ""
    return (
        f"Withdrawn images are still in {', '.join(found)}. Delete them there, and their rows of the "
        "metadata: the ledger has no values of them, but these files do. Copies elsewhere are not known."
    )


def _of_sources(withdrawn: pd.DataFrame, data: Path, locked: Mapping[str, LockedSource]) -> Iterator[str]:
    places = {data: locked} | {other: _lock_of(other) for other in _other_data(data)}
    for source, rows in withdrawn.groupby("source")["source_path"]:
        folders = [source_folder(place, str(source)) for place in places]
        fetched = list(folders)
        folders += [Path(lock[str(source)].origin) for lock in places.values() if source in lock]
        for folder in reversed({one.resolve(): one for one in reversed(folders)}.values()):
            if there := _files_there(folder, rows):
                yield f"{folder} ({name_some(there, 3)})"
        for place in fetched:
            for folder in sorted(place.parent.glob(f"{glob.escape(str(source))}.damaged-*")):
                # Its metadata can be of before the withdrawal, also where the file is not.
                there = _files_there(folder, rows)
                aside = "set aside by `fetch`, with its metadata"
                yield f"{folder} ({name_some(there, 3) if there else aside})"


def _other_data(data: Path) -> list[Path]:
    """Return the other data folders in the current folder: the default one, and those of ``--data``."""
    return [one.parent for one in _found("*/sources") if one.parent.resolve() != data.resolve()]


def _lock_of(data: Path) -> Mapping[str, LockedSource]:
    try:
        return read_lock(data)
    except (CxrbuildError, OSError):
        return {}  # not a data folder of this program


def _of_proposals(withdrawn: pd.DataFrame, sources: Iterable[Source]) -> Iterator[str]:
    """Yield the metadata of proposed pins that have rows of images."""
    by_source = {str(name): set(rows) for name, rows in withdrawn.groupby("source")["source_path"]}
    for source in sources:
        paths = by_source.get(source.name)
        if not paths:
            continue
        places = {place.resolve(): place for place in (source.file.parent, Path())}
        found = [file for place in places.values() for file in sorted(place.glob(f"*/{names.CHANGES}"))]
        for folder in [file.with_name(names.METADATA) for file in found]:
            if folder.is_dir() and (count := _count_rows(source, folder, paths)):
                yield f"{folder} ({count_of(count, 'row')})"


def _count_rows(source: Source, folder: Path, paths: set[str]) -> int:
    """Return how many rows of metadata in a folder name some images; 0 where they cannot be read."""
    reader = source.reader.model_copy(update={"patient_id": "keep"})
    if hasattr(reader, "header"):
        # Another version may have other columns.
        reader = reader.model_copy(update={"header": None})
    try:
        rows = reader.read(Inventory(folder, frozenset(paths), dict.fromkeys(paths)), sorted(paths), silent)
    except (CxrbuildError, OSError):
        return 0
    return int(rows.index.get_level_values("path").isin(list(paths)).sum())


def _files_there(folder: Path, paths: Iterable[str]) -> list[str]:
    return sorted(path for path in set(paths) if (folder / path).is_file())


def _of_datasets(images: set[str], out: Path | None) -> Iterator[str]:
    """Yield builds and releases with pixels, and plans with values, of images."""
    folders = [
        Path(manifest).parent for place in _PLACES for manifest in _found(f"{place}/*/{names.MANIFEST}")
    ]
    folders += [Path(ledger).parent for ledger in _found(f"*/{names.LEDGER}")]
    for folder in folders:
        if out is not None and folder.resolve() == out.resolve():
            continue
        is_plan = not (folder / names.BUILD).exists()
        try:
            if is_plan:
                rows = read_records(folder / names.LEDGER, ["image_id", "exclusion"])
                held = rows["exclusion"].ne("withdrawn").fillna(value=True)
            else:
                rows = read_records(folder / names.MANIFEST, ["image_id", "withheld"])
                held = rows["withheld"].isna()
        except (CxrbuildError, OSError):
            continue  # not a dataset of this program
        if count := int((rows["image_id"].isin(list(images)) & held).sum()):
            yield f"{folder} ({count_of(count, 'row' if is_plan else 'image')})"


def _of_pages(withdrawn: pd.DataFrame) -> Iterator[str]:
    """Yield the pages of `review` that show images, as their data names them."""
    from jinja2.utils import htmlsafe_json_dumps

    marks = [
        f'"source":"{source}","path":{htmlsafe_json_dumps(path, ensure_ascii=False)},'.encode()
        for source, path in zip(withdrawn["source"], withdrawn["source_path"], strict=True)
    ]
    for page in _found("*.html"):
        try:
            text = page.read_bytes()
        except OSError:
            continue
        if count := sum(mark in text for mark in marks):
            yield f"{page} ({count_of(count, 'image')})"


def _found(pattern: str) -> list[Path]:
    return sorted(Path().glob(pattern))
