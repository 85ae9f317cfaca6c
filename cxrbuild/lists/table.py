"""A table of the rows of lists: image, split, class and patient of each, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cxrbuild.errors import CxrbuildError
from cxrbuild.files import require_file_place
from cxrbuild.lists.context import ListContext, ListFinding
from cxrbuild.lists.reading import places
from cxrbuild.spreadsheets import safe_csv

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    "list", "line", "file", "image_id", "list_split", "dataset_split", "list_class", "dataset_class",
    "patient", "findings",
)  # fmt: skip


def tabulate(context: ListContext, findings: Mapping[str, Sequence[ListFinding] | None]) -> pd.DataFrame:
    """Return a row for each row of the lists, in their order, with the columns `COLUMNS`.

    ``patient`` is the group of linked patients where the image is known, else the patient of the list.
    ``findings`` has the findings of each check, separated by semicolons. What is not known is null; an
    excluded image has neither split nor class in the dataset.

    Parameters
    ----------
    context
        The rows, and what they are compared with.
    findings
        By id of a check what it found; ``None`` where it could not be made.
    """
    import pandas as pd

    rows, dataset = context.rows, context.dataset
    wrong: dict[str, list[str]] = {}
    for check, found in findings.items():
        for finding in found or ():
            for place in dict.fromkeys(finding.rows):
                wrong.setdefault(place, []).append(f"{check}: {finding.message}")
    image_id, group, split, label = (pd.Series(None, rows.index, dtype="str") for _ in range(4))
    images = context.records if dataset is None else dataset.rows
    if images is not None:
        known = rows["image" if dataset is None else "member"].dropna().astype("int64")
        of_rows = images.loc[known].set_axis(known.index).reindex(rows.index)
        image_id, group = of_rows["image_id"], of_rows["group"]
        if dataset is not None:
            kept = of_rows["exclusion"].isna()
            split, label = of_rows["split"].where(kept), of_rows["label"].where(kept)
    joined = {place: "; ".join(messages) for place, messages in wrong.items()}
    columns = [
        rows["list"], rows["line"], rows["file"], image_id, rows["split"], split, rows["label"], label,
        group.fillna(rows["patient"]), places(rows).map(joined),
    ]  # fmt: skip
    return pd.DataFrame(dict(zip(COLUMNS, columns, strict=True)))


def require_table_place(path: Path) -> None:
    """Require that the table can be written to a path, before the audit that it takes.

    Raises
    ------
    CxrbuildError
        The path cannot be a file, or another file is there, such as one of the lists.
    """
    require_file_place(path)
    header = (",".join(COLUMNS) + "\n").encode()
    if path.is_file():
        with path.open("rb") as stream:
            if stream.read(len(header)) not in (header, b""):
                raise CxrbuildError(
                    "another file is there, and it is not overwritten", where=path,
                    expected="no file, or one that `audit --list --out` wrote", todo="Name another file",
                )  # fmt: skip


def format_table(table: pd.DataFrame) -> bytes:
    """Return the table as CSV, without formulas."""
    return safe_csv(table).encode()
