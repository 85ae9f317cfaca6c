"""Exclude the images that were withdrawn from a source, and keep nothing about them but that."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from cxrbuild.catalog.source import Source
from cxrbuild.catalog.withdrawal import Withdrawal, require_known
from cxrbuild.errors import count_of
from cxrbuild.progress import Progress, silent
from cxrbuild.records import conform

if TYPE_CHECKING:
    import pandas as pd

# What the table keeps of a withdrawn image. Its licence is replaced by that of the source.
_KEPT = ("image_id", "source", "source_path", "license", "group", "exclusion", "exclusion_detail",
         "exclusion_note")  # fmt: skip


def exclude_withdrawn(
    records: pd.DataFrame, source: Source, files: Iterable[str], progress: Progress = silent
) -> pd.DataFrame:
    """Write ``withdrawn`` into ``exclusion``, with a row for each withdrawn image that has none.

    A withdrawn image keeps its row when the source no longer has it: reviews and links can still name it,
    and the ledger shows what became of it. Withdrawal overrides other exclusions.

    Parameters
    ----------
    records
        The source's rows.
    source
        The source.
    files
        The paths of its files.
    progress
        Notes rows that may be of withdrawn images.

    Raises
    ------
    DeclarationError
        A withdrawal is of an image that the source neither has nor had, or names a file in another spelling.
    """
    import pandas as pd

    if not source.withdrawals:
        return records
    files = frozenset(files)
    known = {*files, *records["source_path"], *source.former}
    records["source_path"] = _joined(records["source_path"], source, files)
    if source.listing is None:
        known.update(records["source_path"])  # nothing but the withdrawal has the path of a deleted file
    require_known(source.withdrawals_place, source.withdrawals, known)
    if absent := sorted(set(source.withdrawals) - set(records["source_path"])):
        # One with an identifier has no row of that identifier: no row can be of it.
        unknown = [path for path in absent if not source.withdrawals[path].identifier]
        if source.reader.reads_images and unknown:
            records = _without_doubtful_values(records, source, files, len(unknown), progress)
        rows = conform(pd.DataFrame({"source_path": absent, "license": source.license}))
        records = pd.concat([records, rows], ignore_index=True)
    details = records["source_path"].map({p: one.describe() for p, one in source.withdrawals.items()})
    notes = records["source_path"].map({p: one.reason for p, one in source.withdrawals.items()})
    withdrawn = details.notna()
    records.loc[withdrawn, "exclusion"] = "withdrawn"
    records.loc[withdrawn, "exclusion_detail"] = details[withdrawn]
    records.loc[withdrawn, "exclusion_note"] = notes[withdrawn]
    # A row of the metadata can have a licence of its own, which says something about the image.
    records.loc[withdrawn, "license"] = source.license
    return records


def _without_doubtful_values(
    records: pd.DataFrame, source: Source, files: Collection[str], absent: int, progress: Progress
) -> pd.DataFrame:
    """Return the rows, those that find no file without their values: they may be of withdrawn images.

    That is so while the identifier of a withdrawn image without a row is not declared.
    Only the header of the file, which is gone, could say whose row it is.
    """
    import pandas as pd

    rowless = ~records["source_path"].isin(list(files))
    if not rowless.any():
        return records
    doubtful = conform(records.loc[rowless, ["source_path"]])
    doubtful["license"] = source.license
    progress.note(
        f"{source.name}: {count_of(absent, 'withdrawn image')} without a row, and "
        f"{count_of(len(doubtful), 'row')} of metadata without a file. Such a row may be of a withdrawn "
        "image, so nothing of it is kept. Write the identifier that finds the row of each of these images "
        f"into the column `identifier` of {source.withdrawals_place}, also where the row is deleted: then it "
        "is known that no other row is of it."
    )
    return pd.concat([records[~rowless], doubtful]).sort_index()


def _joined(paths: pd.Series, source: Source, files: frozenset[str]) -> pd.Series:
    """Return the paths of the rows, those of rows whose withdrawn file is gone as the withdrawal has them.

    Such a row names its image otherwise: by its file name alone, or by an identifier of its header.
    """
    names = {name: one.path for one in source.withdrawals.values() for name in _names_in_rows(one, source)}
    names = {name: path for name, path in names.items() if name not in files}
    return paths.replace(names) if names else paths


def _names_in_rows(one: Withdrawal, source: Source) -> Iterable[str]:
    """Return how a row can name the image of a withdrawal when there is no file."""
    if source.reader.finds_by_name:
        yield one.path.rpartition("/")[2]
    if one.identifier:
        yield source.reader.path_without_image(one.identifier)


def without_withdrawn_values(records: pd.DataFrame) -> pd.DataFrame:
    """Return the table with nothing about withdrawn images but which they are, when and why they left.

    Their rows stay, so that the flow chart adds up. Their patients are not known any more, so each has a
    group of its own.

    Parameters
    ----------
    records
        The table, with exclusions, groups and splits.
    """
    withdrawn = records["exclusion"].eq("withdrawn").fillna(value=False).astype("bool")
    if not withdrawn.any():
        return records
    records = records.copy(deep=False)
    for column in records.columns.difference(list(_KEPT)):
        records[column] = records[column].mask(withdrawn)
    image = records["source"] + "/" + records["source_path"]
    records["group"] = records["group"].mask(withdrawn, image)
    return records
