"""Report which folders still hold withdrawn images: a ledger without them deletes no file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from cxrbuild.artifact import names
from cxrbuild.errors import CxrbuildError, count_of, name_some
from cxrbuild.lockfile import LockedSource, source_folder
from cxrbuild.records import read_records

if TYPE_CHECKING:
    import pandas as pd

# Where `curate` and `release` write by default.
_PLACES = ("build", "release")


def describe_holders(
    records: pd.DataFrame, data: Path, locked: Mapping[str, LockedSource], out: Path | None = None
) -> str:
    """Return a note on the folders that hold files or pixels of withdrawn images; empty where none does.

    Known are the folders that the sources were fetched from and to, and builds and releases in the folders
    where they are by default. A row of a withdrawn image in the metadata is not looked for.

    Parameters
    ----------
    records
        The table of a plan.
    data
        The folder that ``fetch`` filled.
    locked
        The lock's entry of each source.
    out
        The build that is updated, from which the images are removed.
    """
    withdrawn = records[records["exclusion"] == "withdrawn"]
    if withdrawn.empty:
        return ""
    found = [*_of_sources(withdrawn, data, locked), *_of_datasets(set(withdrawn["image_id"]), out)]
    if not found:
        return ""
    return (
        f"Withdrawn images are still in {name_some(found)}. Delete them there, and their rows of the "
        "metadata: the ledger has no values of them, but these files do. Copies elsewhere are not known."
    )


def _of_sources(withdrawn: pd.DataFrame, data: Path, locked: Mapping[str, LockedSource]) -> Iterator[str]:
    for source, rows in withdrawn.groupby("source")["source_path"]:
        folders = [source_folder(data, str(source))]
        if source in locked and Path(locked[str(source)].origin) not in folders:
            folders.append(Path(locked[str(source)].origin))
        for folder in folders:
            if there := sorted(path for path in set(rows) if (folder / path).is_file()):
                yield f"{folder} ({name_some(there, 3)})"


def _of_datasets(images: set[str], out: Path | None) -> Iterator[str]:
    for place in _PLACES:
        for manifest in sorted(Path(place).glob(f"*/{names.MANIFEST}")):
            if out is not None and manifest.parent.resolve() == out.resolve():
                continue
            try:
                rows = read_records(manifest, ["image_id", "withheld"])
            except (CxrbuildError, OSError):
                continue  # not a dataset of this program
            count = int((rows["image_id"].isin(list(images)) & rows["withheld"].isna()).sum())
            if count:
                yield f"{manifest.parent} ({count_of(count, 'image')})"
