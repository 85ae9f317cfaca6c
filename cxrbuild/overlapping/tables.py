"""The tables of an overlap: the pairs, and for either dataset the images that the other does not have."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cxrbuild.errors import CxrbuildError
from cxrbuild.overlapping.overlap import OverlapResult
from cxrbuild.spreadsheets import safe_rows, write_rows

PAIRS, LEAK_FREE = "pairs.csv", "leak-free-{side}.csv"
_PAIR_COLUMNS = ("a", "split_a", "b", "split_b", "kind", "similarity", "changes")


def require_folder_place(folder: Path) -> None:
    """Require that tables can be written to a folder, before anything is compared.

    Raises
    ------
    CxrbuildError
        The path is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise CxrbuildError("not a folder", where=folder, todo="Name a folder with --out")


def write_tables(result: OverlapResult, folder: Path, against: Sequence[str] = ()) -> list[Path]:
    """Write the tables of an overlap: the same bytes for the same result.

    Parameters
    ----------
    result
        The overlap.
    folder
        A folder; files of other names stay.
    against
        The splits of the other dataset that count for the leak-free lists; all if empty.

    Returns
    -------
    list of pathlib.Path
        ``pairs.csv``, ``leak-free-a.csv`` and ``leak-free-b.csv``.

    Raises
    ------
    CxrbuildError
        The path is a file.
    """
    require_folder_place(folder)
    pairs = (
        (p.a, p.split_a, p.b, p.split_b, p.kind, f"{p.similarity:g}", " ".join(p.changes))
        for p in result.pairs
    )
    paths = [write_rows(folder / PAIRS, _PAIR_COLUMNS, safe_rows(pairs))]
    for side in ("a", "b"):
        rows = result.leak_free(side, against)[["image_id", "split"]]
        path = folder / LEAK_FREE.format(side=side)
        paths.append(write_rows(path, ("image_id", "split"), rows.itertuples(index=False)))
    return paths
