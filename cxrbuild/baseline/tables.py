"""Tables of reports, as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from cxrbuild.templates import escape_cell


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table without the columns that are empty in each row.

    Parameters
    ----------
    header
        The names of the columns.
    rows
        The cells of each row.
    """
    # Without published figures some columns are empty.
    filled = [column for column in range(len(header)) if any(row[column] for row in rows)]
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(
        "| " + " | ".join(escape_cell(line[column]) for column in filled) + " |" for line in lines
    )
