"""The pairs of an audit as CSV files: all of them, and links for those that a recipe does not declare yet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cxrbuild.artifact import names
from cxrbuild.artifact.audit import ImagePair
from cxrbuild.catalog.link import LINKS, Link
from cxrbuild.grouping import UnionFind
from cxrbuild.spreadsheets import safe_rows, write_rows

if TYPE_CHECKING:
    import pandas as pd

_SIDE = ("image_id", "source", "source_path", "split", "label")
_COLUMNS = (
    *(f"{column}_{side}" for side in ("a", "b") for column in _SIDE),
    "kind", "similarity", "changes", "differ_in", "linked",
)  # fmt: skip


def write_pair_tables(
    folder: Path, rows: pd.DataFrame, pairs: Sequence[ImagePair], declared: Sequence[Link]
) -> int:
    """Write ``audit-pairs.csv`` and ``audit-links.csv`` into a build: the same bytes for the same pairs.

    ``audit-links.csv`` is a file of links, as ``split.links`` names it: a duplicate in each row that no link
    declares yet. Duplicates of one patient are in one split anyway, but a rule of kind ``duplicate`` excludes
    only those that a link declares. Similar pairs are no links: a person must confirm that both are of one
    patient.

    Parameters
    ----------
    folder
        The build's folder.
    rows
        The manifest, with the images of the pairs.
    pairs
        The pairs that the audit found.
    declared
        The links that the recipe declares.

    Returns
    -------
    int
        The number of links.
    """
    used = {image for pair in pairs for image in (pair.a, pair.b)}
    of_pairs = rows.loc[rows["image_id"].isin(list(used)), list(_SIDE)]
    side = {row[0]: row for row in of_pairs.itertuples(index=False, name=None)}
    write_rows(
        folder / names.AUDIT_PAIRS,
        _COLUMNS,
        safe_rows(
            (*side[pair.a], *side[pair.b], pair.kind, f"{pair.similarity:g}", " ".join(pair.changes),
             " ".join(pair.crosses), "yes" if pair.linked else "no")
            for pair in pairs
        ),
    )  # fmt: skip
    known = UnionFind[tuple[str, str]]()
    for link in declared:
        known.union(link.a, link.b)
    links = [
        (*a, *b, "duplicate", _note(pair))
        for pair in pairs
        for a, b in [(side[pair.a][1:3], side[pair.b][1:3])]
        if pair.is_duplicate
        and (not pair.linked or ("patient" not in pair.crosses and not known.connected(a, b)))
    ]
    # The recipe reads it: its paths stay as they are.
    write_rows(folder / names.AUDIT_LINKS, LINKS.header, links)
    return len(links)


def _note(pair: ImagePair) -> str:
    changes = f", {' and '.join(pair.changes)}" if pair.changes else ""
    patient = ", of one patient" if pair.linked else ""
    return f"{pair.kind}{changes}{patient}: similarity {pair.similarity:g}, found by cxrbuild audit"
