"""Read the dataset that published lists are compared with: its ledger, else its manifest."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cxrbuild.artifact import names
from cxrbuild.comparison import read_version
from cxrbuild.lists import ListedDataset
from cxrbuild.records import read_records

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS = [
    "image_id", "source", "source_path", "source_blob", "patient_id", "group", "label", "split", "exclusion",
    "exclusion_detail",
]  # fmt: skip


def read_dataset(name: str | Path, given: str) -> ListedDataset:
    """Read a dataset to compare lists with.

    Parameters
    ----------
    name
        The folder of a build, release or plan, a ``manifest.parquet``, or a published name such as
        ``covid19-cxr/1.0.0``.
    given
        The name that the user gave, for messages.

    Raises
    ------
    CxrbuildError
        There is no such dataset, or its files do not fit.
    """
    version = read_version(name)
    path = Path(name)
    ledger = path / names.LEDGER if path.is_dir() else path.with_name(names.LEDGER)
    has_ledger = version.ledger is not None and ledger.is_file()
    rows = read_records(ledger, _COLUMNS) if has_ledger else version.manifest.reindex(columns=_COLUMNS)
    rows = rows.reset_index(drop=True).astype(dict.fromkeys(_COLUMNS, "str"))
    recipe = version.recipe
    title = given if recipe is None else f"{recipe.name} {recipe.version} ({given})"
    return ListedDataset(title, rows, has_ledger, frozenset(version.unlisted))


def with_groups(dataset: ListedDataset, records: pd.DataFrame | None) -> ListedDataset:
    """Return the dataset with the groups of patients of its sources, where its manifest states none.

    Parameters
    ----------
    dataset
        The dataset.
    records
        A row for each image of the sources that are there, with ``image_id`` and ``group``.
    """
    if records is None or dataset.rows["group"].notna().any():
        return dataset
    groups = dict(zip(records["image_id"], records["group"], strict=True))
    group = dataset.rows["image_id"].map(groups).astype("str")
    return replace(dataset, rows=dataset.rows.assign(group=group))
