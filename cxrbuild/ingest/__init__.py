"""Turn a source's metadata into rows of the table, one for every upstream image."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cxrbuild.catalog.source import Column, CsvReader, DicomReader, Source
from cxrbuild.errors import CxrbuildError, name_some
from cxrbuild.files import files_under, git_blob_of, is_desktops
from cxrbuild.ingest.csv_file import read_csv
from cxrbuild.ingest.dicom import DICOM_COLUMNS, key_mark, read_dicom
from cxrbuild.ingest.folders import read_folders
from cxrbuild.ingest.mapping import map_words
from cxrbuild.progress import Progress, silent
from cxrbuild.records import conform, image_id

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["REASONS", "Inventory", "exclude", "ingest", "key_mark", "take_inventory"]

# What ingest itself writes into `exclusion`, in the order of the flow chart.
REASONS = {
    "row_without_file": "Upstream's metadata names a file that upstream does not hold.",
    "file_without_row": "Upstream holds the image without a row of metadata, or its name has another form.",
    "listed_twice": "Upstream's metadata names the file a second time; its first row stands for it.",
    "unreadable_header": "The file has no DICOM header that can be read.",
    "burned_in_annotation": "The DICOM header says that the pixels bear what identifies the patient.",
}


@dataclass(frozen=True)
class Inventory:
    """The files of a source.

    Attributes
    ----------
    root
        The source's folder.
    available
        Paths that can be read.
    blobs
        Every path that upstream has or that is at hand, with its git blob hash where it is known.
    """

    root: Path
    available: frozenset[str]
    blobs: dict[str, str | None]


def take_inventory(
    source: Source,
    root: Path,
    *,
    different: dict[str, str] | None = None,
    fetched: Collection[str] = (),
    as_pinned: bool = False,
) -> Inventory:
    """List a source's files.

    Parameters
    ----------
    source
        The source.
    root
        Its folder.
    different
        Blob hashes found where a file's bytes are not the pin's, by path.
    fetched
        Paths that were fetched: upstream has them, whether or not they are still at hand.
    as_pinned
        Take every file of the pin's listing to be at hand; of the files only the metadata is read.

    Raises
    ------
    CxrbuildError
        The folder is not there, or with ``as_pinned`` the source lists no files or its metadata is not
        the pin's.
    """
    if not root.is_dir():
        raise CxrbuildError(
            f"the source {source.name} is not there",
            where=root,
            todo=f"Run `cxrbuild fetch {source.address}`",
        )
    blobs = {path: listed.blob for path, listed in (source.listing or {}).items()}
    if not as_pinned:
        start = len(str(root)) + 1
        # What is no plain file, as a pipe, cannot be read for a film; nor can a link to nothing.
        files = [entry for entry in files_under(root) if entry.is_file()]
        paths = {entry.path[start:].replace(os.sep, "/"): entry.name for entry in files}
        upstream = blobs.keys() | set(fetched)
        available = frozenset(p for p, name in paths.items() if p in upstream or not is_desktops(name))
        blobs = dict.fromkeys([*available, *fetched]) | blobs | (different or {})
        return Inventory(root, available, blobs)
    if source.listing is None:
        raise CxrbuildError(
            f"the source {source.name} has no pinned listing to plan from",
            todo="Leave --as-pinned out, or declare pin.listing",
        )
    if isinstance(source.reader, CsvReader):
        file = root / source.reader.file
        blob = blobs.get(source.reader.file)
        if file.is_file() and blob is not None and (found := git_blob_of(file)) != blob:
            raise CxrbuildError(
                "not the pinned metadata", where=file, expected=f"git blob {blob}", found=found,
                todo="Leave --as-pinned out, or fetch the pinned source",
            )  # fmt: skip
    return Inventory(root, frozenset(blobs), blobs)


def ingest(source: Source, inventory: Inventory, progress: Progress = silent) -> pd.DataFrame:
    """Return a source's rows: every row of its metadata and every image without one, each with its reason.

    Parameters
    ----------
    source
        The source.
    inventory
        Its files.
    progress
        Told how far the reading of DICOM headers is.

    Returns
    -------
    pandas.DataFrame
        The table's columns, in upstream's order; those of later stages are null.

    Raises
    ------
    CxrbuildError
        The metadata is not as declared: an unknown layout or an unknown word, named with file, row and
        column, all of them at once. Or an image's name is not UTF-8.
    OSError
        A DICOM file cannot be read.
    """
    import pandas as pd

    reader = source.reader
    is_image = re.compile("|".join(map(fnmatch.translate, reader.images))).fullmatch
    images = sorted(filter(is_image, inventory.blobs))
    if other := [path for path in images if not _is_utf8(path)]:
        raise CxrbuildError(
            "names that are not UTF-8", where=inventory.root, found=name_some(map(ascii, other)),
            todo="Rename the files where they come from, and fetch the source again",
        )  # fmt: skip
    if isinstance(reader, CsvReader):
        words = read_csv(reader, inventory.root, frozenset(inventory.blobs))
    elif isinstance(reader, DicomReader):
        words = read_dicom(reader, inventory.root, [p for p in images if p in inventory.available], progress)
    else:
        words = read_folders(reader, images)
    records = map_words(source, _columns(source), words)

    exclude(records, ~records["source_path"].isin(list(inventory.blobs)), "row_without_file")
    exclude(records, records["source_path"].duplicated(), "listed_twice")
    rowless = sorted(set(images) - set(records["source_path"]))
    if rowless:
        without = pd.DataFrame({"source_path": rowless, "license": source.license})
        without["exclusion"] = "file_without_row"
        if isinstance(reader, DicomReader):
            without["exclusion"] = "missing_file"  # its header would be its row
        records = pd.concat([records, conform(without)], ignore_index=True)

    records["source"] = source.name
    records["source_blob"] = records["source_path"].map(inventory.blobs).astype("str")
    records["image_id"] = _image_ids(source, records["source_path"])
    return conform(records)


def _is_utf8(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def exclude(records: pd.DataFrame, mask: pd.Series, reason: str) -> None:
    """Write a reason into `exclusion` where a mask holds and no earlier reason stands."""
    records.loc[mask & records["exclusion"].isna(), "exclusion"] = reason


def _columns(source: Source) -> dict[str, Column]:
    declared = {name: getattr(source.columns, name) for name in type(source.columns).model_fields}
    known = DICOM_COLUMNS if isinstance(source.reader, DicomReader) else {}
    return known | {name: column for name, column in declared.items() if column is not None}


def _image_ids(source: Source, paths: pd.Series) -> pd.Series:
    # A hospital's file names may tell who the patient is: ids of its films are made from the hash alone.
    named = not isinstance(source.reader, DicomReader)
    ids = paths.map(lambda path: image_id(source.name, path, named=named))
    # The second row of one file needs an id of its own, and has no JPEG to name.
    again = paths.groupby(paths).cumcount()
    ids = ids.where(again == 0, ids + "-row" + (again + 1).astype("str"))
    if ids.duplicated().any():
        raise CxrbuildError(
            f"two paths of the source {source.name} have one image_id",
            found=name_some(paths[ids.duplicated(keep=False)]),
        )
    return ids
