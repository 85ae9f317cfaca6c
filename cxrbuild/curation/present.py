"""Read the metadata of those sources of a recipe that are there, for what needs no plan."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cxrbuild.curation.declared import Declared
from cxrbuild.ingest import ingest, take_inventory
from cxrbuild.lockfile import source_folder
from cxrbuild.progress import Progress, silent
from cxrbuild.split import group_records

if TYPE_CHECKING:
    import pandas as pd


def read_present(declared: Declared, data: Path, progress: Progress = silent) -> pd.DataFrame | None:
    """Return a row for each image of the sources that are there, with its group of patients.

    Every file of a pin's listing counts as present: metadata suffices.

    Parameters
    ----------
    declared
        The recipe with everything that it names.
    data
        The folder that ``fetch`` filled.
    progress
        Opens a progress bar for reading DICOM headers.

    Returns
    -------
    pandas.DataFrame or None
        The table with ``group``; ``None`` if no source is there.

    Raises
    ------
    CxrbuildError
        The metadata of a source is not as declared.
    """
    import pandas as pd

    tables = []
    for source in declared.sources:
        root = source_folder(data, source.name)
        if root.is_dir():
            inventory = take_inventory(source, root, as_pinned=source.listing is not None)
            tables.append(ingest(source, inventory, progress))
    if not tables:
        return None
    records = pd.concat(tables, ignore_index=True).sort_values("image_id", ignore_index=True)
    return group_records(records, declared.links, declared.namespaces)
