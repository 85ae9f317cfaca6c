"""Exclude the images that were withdrawn from a source."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from cxrbuild.catalog.source import Source
from cxrbuild.errors import CxrbuildError, name_some
from cxrbuild.paths import PathIndex
from cxrbuild.records import conform

if TYPE_CHECKING:
    import pandas as pd


def exclude_withdrawn(records: pd.DataFrame, source: Source, files: Iterable[str]) -> pd.DataFrame:
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

    Raises
    ------
    CxrbuildError
        A withdrawal names a file in another spelling.
    """
    import pandas as pd

    if not source.withdrawals:
        return records
    absent = sorted(set(source.withdrawals) - set(records["source_path"]))
    index = PathIndex({*files, *records["source_path"]})
    if near := [index.describe(path) for path in absent if index.find(path) not in ([], [path])]:
        raise CxrbuildError(
            "withdrawals name files in another spelling", where=f"source {source.name}",
            found=name_some(near), todo="Write the paths as the files have them",
        )  # fmt: skip
    if absent:
        rows = conform(pd.DataFrame({"source_path": absent, "license": source.license}))
        records = pd.concat([records, rows], ignore_index=True)
    details = records["source_path"].map({p: one.describe() for p, one in source.withdrawals.items()})
    notes = records["source_path"].map({p: one.reason for p, one in source.withdrawals.items()})
    withdrawn = details.notna()
    records.loc[withdrawn, "exclusion"] = "withdrawn"
    records.loc[withdrawn, "exclusion_detail"] = details[withdrawn]
    records.loc[withdrawn, "exclusion_note"] = notes[withdrawn]
    return records
