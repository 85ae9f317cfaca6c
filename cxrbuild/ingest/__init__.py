"""Turn a source's metadata into rows of the table, one for every upstream image."""

from __future__ import annotations

import fnmatch
import re
from typing import TYPE_CHECKING

from cxrbuild.catalog.column import Column
from cxrbuild.catalog.reader import Inventory
from cxrbuild.catalog.source import Source
from cxrbuild.errors import CxrbuildError, name_some
from cxrbuild.ingest.inventory import take_inventory
from cxrbuild.ingest.mapping import map_columns
from cxrbuild.progress import Progress, silent
from cxrbuild.records import conform, image_id

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Inventory", "exclude", "ingest", "take_inventory"]


def ingest(source: Source, inventory: Inventory, progress: Progress = silent) -> pd.DataFrame:
    """Return a source's rows: every row of its metadata and every image without one, each with its reason.

    Parameters
    ----------
    source
        The source.
    inventory
        Its files.
    progress
        Shows how many files are read.

    Returns
    -------
    pandas.DataFrame
        The table's columns, in upstream's order; those of later stages are null.

    Raises
    ------
    CxrbuildError
        The metadata is not as declared: an unknown layout or an unknown value, with file, row and column,
        all of them at once. Or an image's name is not UTF-8.
    OSError
        A file cannot be read.
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
    values = reader.read(inventory, images, progress)
    records = map_columns(source, _columns(source), values)

    exclude(records, ~records["source_path"].isin(list(inventory.blobs)), "row_without_file")
    exclude(records, records["source_path"].duplicated(), "listed_twice")
    rowless = sorted(set(images) - set(records["source_path"]))
    if rowless:
        without = pd.DataFrame({"source_path": rowless, "license": source.license})
        without["exclusion"] = "missing_file" if reader.reads_images else "file_without_row"
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
    """Write a reason into `exclusion` where a mask holds and there is no earlier reason."""
    records.loc[mask & records["exclusion"].isna(), "exclusion"] = reason


def _columns(source: Source) -> dict[str, Column]:
    declared = {name: getattr(source.columns, name) for name in type(source.columns).model_fields}
    return dict(source.reader.default_columns) | {
        name: column for name, column in declared.items() if column is not None
    }


def _image_ids(source: Source, paths: pd.Series) -> pd.Series:
    named = not source.reader.names_identify
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
