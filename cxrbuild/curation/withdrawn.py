"""Remove what a build keeps of withdrawn images, and report what still holds them, and their duplicates."""

from __future__ import annotations

import glob
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cxrbuild.artifact import AuditDocument, names
from cxrbuild.catalog import Source, read_links
from cxrbuild.curation.declared import Declared
from cxrbuild.curation.holder import HolderKind, WithdrawnHolder
from cxrbuild.curation.withdrawn_copies import images_of
from cxrbuild.curation.withdrawn_rows import (
    count_rows,
    differing_metadata,
    find_lines,
    has_unknown_rows,
)
from cxrbuild.errors import CxrbuildError, count_of, name_some
from cxrbuild.grouping import UnionFind
from cxrbuild.lockfile import LockedSource, read_lock, source_folder
from cxrbuild.records import read_records

if TYPE_CHECKING:
    import pandas as pd

# Where `curate` and `release` write by default.
_PLACES = ("build", "release")
# Results in a build that can hold pixels or values of images.
_RESULTS = (
    names.AUDIT_PAGE, names.AUDIT, names.AUDIT_PAIRS, names.AUDIT_LINKS,
    f"{names.BASELINE_FOLDER}/**/*", f"{names.EXPLANATION_FOLDER}/**/*",
)  # fmt: skip
_TEXTS = (".html", ".json", ".csv")


def find_holders(
    records: pd.DataFrame,
    data: Path,
    locked: Mapping[str, LockedSource],
    declared: Declared,
    out: Path | None = None,
) -> list[WithdrawnHolder]:
    """Return the places that hold files, pixels or values of withdrawn images.

    Known are the folders that the sources were fetched from and to, also those of other data folders in the
    current folder, those that ``fetch`` set aside, the metadata of proposed pins, builds with their results,
    releases, plans and pages in the current folder or in the folders where they are by default, and the
    files that the recipe names.

    Parameters
    ----------
    records
        The table of a plan.
    data
        The folder that ``fetch`` filled.
    locked
        The lock's entry of each source.
    declared
        The recipe with its sources and all else that it names.
    out
        The build that is updated, from which the images are removed.
    """
    withdrawn = records[records["exclusion"] == "withdrawn"]
    if withdrawn.empty:
        return []
    own = [] if out is None else list(_of_results(out, withdrawn))
    if out is not None and _had(out, withdrawn["image_id"]):
        # See `remove_descriptors`.
        own = [one for one in own if one.path != out / names.AUDIT_PAGE]
    return [
        *_of_sources(withdrawn, data, locked, declared.sources),
        *_of_proposals(withdrawn, declared.sources),
        *own,
        *_of_datasets(withdrawn, out),
        *_of_pages(withdrawn),
        *find_lines(withdrawn, declared),
    ]


def describe_kept_duplicates(records: pd.DataFrame, out: Path | None = None) -> str:
    """Return a note on kept images that an audit found to be duplicates of withdrawn ones; empty without any.

    Known are the pairs of the audits of builds and releases in the current folder. Images of equal bytes, and
    those that a link calls duplicates, are withdrawn already, see `withdraw_copies`.

    Parameters
    ----------
    records
        The table of a plan.
    out
        The build that is updated, wherever it is.
    """
    withdrawn = records[records["exclusion"] == "withdrawn"]
    if withdrawn.empty:
        return ""
    duplicates = UnionFind[str]()
    for folder in _dataset_folders(out):
        for a, b in _audited_duplicates(folder):
            duplicates.union(a, b)
    names_of = dict(zip(records["image_id"], records["source"] + " " + records["source_path"], strict=True))
    of_group = {
        duplicates.find(image): image
        for image in reversed(list(withdrawn["image_id"]))
        if image in duplicates
    }
    kept = records.loc[records["exclusion"].isna(), "image_id"]
    found = sorted(
        f"{names_of[image]} of {names_of[of_group[group]]}"
        for image in kept[kept.isin(list(duplicates))]
        if (group := duplicates.find(image)) in of_group
    )
    if not found:
        return ""
    return (
        f"{count_of(len(found), 'kept image')} known as duplicates of withdrawn ones: {name_some(found)}. If "
        "they show the same radiograph, withdraw them too."
    )


def _audited_duplicates(folder: Path) -> list[tuple[str, str]]:
    """Return the ids of the duplicates that the last audit of a dataset found."""
    try:
        pairs = AuditDocument.read(folder / names.AUDIT).pairs
    except (CxrbuildError, OSError):
        return []
    return [(pair.a, pair.b) for pair in pairs if pair.is_duplicate]


def remove_descriptors(records: pd.DataFrame, out: Path) -> None:
    """Remove what an audit keeps of a build's images, if one that was withdrawn since is among them.

    These are the descriptors, each with a thumbnail of its image, and the page. The next audit writes both
    again. The build must have the tables of before: a run after a kill finds the image there again.

    Parameters
    ----------
    records
        The table of the plan.
    out
        The build that is updated.
    """
    withdrawn = records.loc[records["exclusion"] == "withdrawn", "image_id"]
    state, page = out / names.STATE / "audit", out / names.AUDIT_PAGE
    if withdrawn.empty or not (state.exists() or page.exists()) or not _had(out, withdrawn):
        return
    page.unlink(missing_ok=True)
    if state.is_dir():
        shutil.rmtree(state)


def _had(out: Path, withdrawn: Iterable[str]) -> bool:
    """Return whether a build had one of some images before it is updated, or that is not known."""
    try:
        before = read_records(out / names.MANIFEST, ["image_id"])["image_id"]
    except (CxrbuildError, OSError):
        return True
    return bool(before.isin(list(withdrawn)).any())


def _of_sources(
    withdrawn: pd.DataFrame, data: Path, locked: Mapping[str, LockedSource], sources: Iterable[Source]
) -> Iterator[WithdrawnHolder]:
    """Yield folders with files of images, or with rows of them in the metadata."""
    places = {data: locked} | {other: _lock_of(other) for other in _other_data(data)}
    for source in sources:
        name = source.name
        paths = set(withdrawn.loc[withdrawn["source"] == name, "source_path"])
        if not paths:
            continue
        fetched = [source_folder(place, name) for place in places]
        folders = fetched + [Path(lock[name].origin) for lock in places.values() if name in lock]
        for folder in reversed({one.resolve(): one for one in reversed(folders)}.values()):
            there, rows = _files_there(folder, paths), count_rows(source, folder, paths)
            # Without identifiers nothing says which rows of another data folder are of the images.
            doubtful = not (there or rows) and folder in fetched[1:] and has_unknown_rows(source, paths)
            if there or rows:
                yield _holder(folder, "source", there, rows)
            elif doubtful and (other := differing_metadata(source, folder, fetched[0])):
                held = f"another version of {name_some(other, 3)}"
                yield WithdrawnHolder(folder, "source", 0, None, held)
        for place in fetched:
            for folder in sorted(place.parent.glob(f"{glob.escape(name)}.damaged-*")):
                # Its metadata can be of before the withdrawal, also where the file is not.
                there = _files_there(folder, paths)
                held = name_some(there, 3) if there else "set aside by `fetch`, with its metadata"
                yield WithdrawnHolder(folder, "set_aside", len(there), None, held)


def _holder(path: Path, kind: HolderKind, there: Sequence[str], rows: int) -> WithdrawnHolder:
    """Return a place with files and rows of images."""
    held = [name_some(there, 3)] if there else []
    return WithdrawnHolder(
        path, kind, len(there), rows, "; ".join([*held, count_of(rows, "row")] if rows else held)
    )


def _other_data(data: Path) -> list[Path]:
    """Return the other data folders in the current folder: the default one, and those of ``--data``."""
    return [one.parent for one in _found("*/sources") if one.parent.resolve() != data.resolve()]


def _lock_of(data: Path) -> Mapping[str, LockedSource]:
    try:
        return read_lock(data)
    except (CxrbuildError, OSError):
        return {}  # not a data folder of this program


def _of_proposals(withdrawn: pd.DataFrame, sources: Iterable[Source]) -> Iterator[WithdrawnHolder]:
    """Yield the metadata of proposed pins that have rows of images."""
    by_source = {str(name): set(rows) for name, rows in withdrawn.groupby("source")["source_path"]}
    for source in sources:
        paths = by_source.get(source.name)
        if not paths:
            continue
        places = {place.resolve(): place for place in (source.file.parent, Path())}
        found = [file for place in places.values() for file in sorted(place.glob(f"*/{names.CHANGES}"))]
        for folder in [file.with_name(names.METADATA) for file in found]:
            if folder.is_dir() and (count := count_rows(source, folder, paths)):
                yield _holder(folder, "proposed_pin", [], count)


def _files_there(folder: Path, paths: Iterable[str]) -> list[str]:
    return sorted(path for path in set(paths) if (folder / path).is_file())


def _dataset_folders(out: Path | None) -> list[Path]:
    """Return the folders of builds, releases and plans that are looked at, and the build that is updated."""
    patterns = [*(f"{place}/*" for place in _PLACES), "*"]
    folders = [ledger.parent for pattern in patterns for ledger in _found(f"{pattern}/{names.LEDGER}")]
    is_other = out is not None and out.resolve() not in {folder.resolve() for folder in folders}
    return [*folders, out] if out is not None and is_other else folders


def _of_datasets(withdrawn: pd.DataFrame, out: Path | None) -> Iterator[WithdrawnHolder]:
    """Yield builds, releases and plans with pixels or values of images, but for the updated build.

    A public release has the ids of a source that is not public, and rows also of images without pixels.
    """
    images = list(withdrawn["image_id"])
    for folder in _dataset_folders(None):
        if out is not None and folder.resolve() == out.resolve():
            continue
        try:
            rows = read_records(folder / names.LEDGER, ["image_id", "exclusion", "withheld"])
        except (CxrbuildError, OSError):
            continue  # not a dataset of this program
        rows = rows[rows["image_id"].isin(images)]
        rows = rows[rows["exclusion"].ne("withdrawn").fillna(value=True)]
        with_pixels = rows["exclusion"].isna() & rows["withheld"].isna() & (folder / names.BUILD).exists()
        counts = {"image": int(with_pixels.sum()), "row": int((~with_pixels).sum())}
        if held := " and ".join(count_of(n, noun) for noun, n in counts.items() if n):
            yield WithdrawnHolder(folder, "dataset", counts["image"], counts["row"], held)
        else:
            yield from _of_results(folder, withdrawn)


def _of_results(folder: Path, withdrawn: pd.DataFrame) -> Iterator[WithdrawnHolder]:
    """Yield the results of audit, baseline and explanation in a build that name images."""
    images = set(withdrawn["image_id"])
    marks = [image.encode() for image in images]
    for path in sorted(path for pattern in _RESULTS for path in folder.glob(pattern)):
        try:
            if path.name == names.AUDIT_LINKS:
                # A file of links names images by source and path.
                named = {image for link in read_links(str(path), Path()) for image in (link.a, link.b)}
                count = len(named & set(images_of(withdrawn)))
            elif path.suffix == ".parquet":
                count = len(images & set(read_records(path, ["image_id"])["image_id"]))
            elif path.suffix in _TEXTS:
                text = path.read_bytes()
                count = sum(mark in text for mark in marks)
            else:
                continue
        except (CxrbuildError, OSError):
            continue  # not a table of images
        if count:
            yield WithdrawnHolder(path, "result", count, 0, count_of(count, "image"))


def _of_pages(withdrawn: pd.DataFrame) -> Iterator[WithdrawnHolder]:
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
            yield WithdrawnHolder(page, "page", count, 0, count_of(count, "image"))


def _found(pattern: str) -> list[Path]:
    return sorted(Path().glob(pattern))
