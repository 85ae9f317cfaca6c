"""Turn a source's metadata into rows of the table, one for every upstream image."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from cxrbuild.catalog.reader import Inventory
from cxrbuild.catalog.source import Source
from cxrbuild.errors import CxrbuildError, name_some
from cxrbuild.files import is_desktop_file
from cxrbuild.image_files import has_image_suffix, image_format, read_head
from cxrbuild.ingest.corrections import apply_corrections, record_corrections
from cxrbuild.ingest.header import Headers, burned_in, find_dicom, read_headers
from cxrbuild.ingest.inventory import take_inventory
from cxrbuild.ingest.mapping import map_columns
from cxrbuild.ingest.repeated_rows import DifferingRowsError, join_rows
from cxrbuild.ingest.withdrawals import exclude_withdrawn, without_withdrawn_values
from cxrbuild.ingest.withdrawn_patients import withdraw_patients
from cxrbuild.patient_key import read_key
from cxrbuild.progress import Progress, silent
from cxrbuild.records import conform, image_id

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "DifferingRowsError",
    "Inventory",
    "apply_corrections",
    "exclude",
    "find_dicom",
    "ingest",
    "record_corrections",
    "take_inventory",
    "withdraw_patients",
    "without_withdrawn_values",
]


def ingest(
    source: Source, inventory: Inventory, progress: Progress = silent, sources: Sequence[Source] = ()
) -> pd.DataFrame:
    """Return a source's rows: every row of its metadata and every image without one, each with its reason.

    Parameters
    ----------
    source
        The source.
    inventory
        Its files.
    progress
        Shows how many files are read.
    sources
        The recipe's sources: those with the same numbers of patients can have withdrawn some.

    Returns
    -------
    pandas.DataFrame
        The table's columns, in upstream's order; those of later stages are null.

    Raises
    ------
    CxrbuildError
        The metadata is not as declared: an unknown layout or an unknown value, with file, row and column,
        all of them at once. Rows of one image differ. An image's name is not UTF-8. Or patient numbers are
        to be hashed and the environment holds no key.
    OSError
        A file cannot be read.
    """
    import pandas as pd

    reader = source.reader
    if source.hashes_patients:
        read_key()  # before a long reading of headers
    images = sorted(path for path in inventory.blobs if _is_image(source, path))
    _require_utf8(inventory, images)
    headers = _read_headers(source, inventory, images, progress)
    values = reader.read(replace(inventory, headers=headers.elements), images, progress)
    others = sorted(set(values.index.get_level_values("path")) - set(images))
    more = _read_headers(source, inventory, others, progress)
    headers = Headers(headers.elements | more.elements, headers.unreadable | more.unreadable)
    records = map_columns(source, values, headers, progress, sources)
    places = values.index.get_level_values("place")
    records = join_rows(source, records, places, inventory.blobs)
    records = exclude_withdrawn(
        records,
        source,
        inventory.blobs,
        progress,
        lambda: _read_identifiers(source, inventory, images, places),
    )
    exclude(records, ~records["source_path"].isin(list(inventory.blobs)), "row_without_file")
    exclude(records, records["source_path"].duplicated(), "listed_twice")
    _exclude_paths(records, headers.unreadable, "unreadable_header")
    if reader.burned_in_annotation == "drop":
        found = {
            path: burned_in(elements["BurnedInAnnotation"]) for path, elements in headers.elements.items()
        }
        _exclude_paths(records, found, "burned_in_annotation")

    rowless = pd.DataFrame({"source_path": sorted(set(images) - set(records["source_path"]))}, dtype="str")
    rowless["exclusion"] = "file_without_row"
    if reader.reads_images:  # its header would be its row, or would find it
        missing = ~rowless["source_path"].isin(list(inventory.available))
        rowless.loc[missing, "exclusion"] = "missing_file"
    others = _unmatched(source, inventory, {*images, *records["source_path"]})
    _require_utf8(inventory, others)
    unmatched = pd.DataFrame({"source_path": others, "exclusion": "unmatched_image"}, dtype="str")
    for added in (rowless, unmatched):
        if not added.empty:
            added["license"] = source.license
            records = pd.concat([records, conform(added)], ignore_index=True)

    records["source"] = source.name
    records["source_blob"] = records["source_path"].map(inventory.blobs).astype("str")
    records["image_id"] = _image_ids(source, records["source_path"])
    return conform(records)


def _read_identifiers(
    source: Source, inventory: Inventory, images: Sequence[str], places: Iterable[str]
) -> list[tuple[str, str]]:
    """Return each place of the metadata with the identifier of its row, as it is written there."""
    reader = source.reader.model_copy(update={"patient_id": "keep"})
    # Without headers no row finds an image, and each has its identifier as its path.
    index = reader.read(replace(inventory, headers={}), images, silent).index
    paths = zip(index.get_level_values("place"), index.get_level_values("path"), strict=True)
    identifiers = {place: path.removeprefix(reader.path_without_image("")) for place, path in paths}
    return [(place, identifiers[place]) for place in places]


def _is_image(source: Source, path: str) -> bool:
    reader = source.reader
    return (
        reader.matches(path, reader.images)
        and not reader.matches(path, reader.ignore)
        and not is_desktop_file(path.rpartition("/")[2])
    )


def _read_headers(source: Source, inventory: Inventory, paths: list[str], progress: Progress) -> Headers:
    """Read the headers of those images that are DICOM files: by content, whichever reader lists them."""
    available = [path for path in paths if path in inventory.available]
    if not source.reader.images_are_dicom:
        available = find_dicom(inventory.root, available)
    return read_headers(inventory.root, available, progress)


def _exclude_paths(records: pd.DataFrame, found: Mapping[str, str | None], reason: str) -> None:
    """Exclude the images at some paths; each path has the detail, ``None`` where it is not excluded."""
    details = {path: detail for path, detail in found.items() if detail is not None}
    mask = records["source_path"].isin(list(details)) & records["exclusion"].isna()
    records.loc[mask, "exclusion"] = reason
    detail = records["source_path"].map(details)
    records.loc[mask & (detail != ""), "exclusion_detail"] = detail


def _unmatched(source: Source, inventory: Inventory, known: Collection[str]) -> list[str]:
    """Return the files that look like images, and that neither a pattern nor a row names."""
    reader = source.reader
    return sorted(
        path
        for path in inventory.blobs.keys() - set(known) - set(reader.metadata_files(inventory.blobs))
        if not is_desktop_file(path.rpartition("/")[2])
        and not reader.matches(path, reader.ignore)
        and (has_image_suffix(path) or image_format(read_head(f"{inventory.root}/{path}")) is not None)
    )


def _require_utf8(inventory: Inventory, paths: list[str]) -> None:
    if other := [path for path in paths if not _is_utf8(path)]:
        raise CxrbuildError(
            "names that are not UTF-8", where=inventory.root, found=name_some(map(ascii, other)),
            todo="Rename the files where they come from, and fetch the source again",
        )  # fmt: skip


def _is_utf8(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def exclude(records: pd.DataFrame, mask: pd.Series, reason: str) -> None:
    """Write a reason into `exclusion` where a mask holds and there is no earlier reason."""
    records.loc[mask & records["exclusion"].isna(), "exclusion"] = reason


def _image_ids(source: Source, paths: pd.Series) -> pd.Series:
    # File names that are not public can name patients: such ids are made from the hash alone.
    named = source.public
    ids = paths.map(lambda path: image_id(source.name, path, named=named))
    # The second row of one file needs an id of its own, and has no JPEG to name.
    again = paths.groupby(paths).cumcount()
    ids = ids.where(again == 0, ids + "-row" + (again + 1).astype("str"))
    if ids.duplicated().any():
        raise CxrbuildError(
            f"two paths of the source {source.name} have one image_id",
            found=name_some(paths[ids.duplicated(keep=False)]),
            todo="Rename one of the files: the id follows from the path alone",
        )
    return ids
