"""What the command line prints: messages, tables, one JSON document."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

from cxrbuild.cli.bars import BARS, WarningsAlone
from cxrbuild.cli.wrapping import folded, wrapped
from cxrbuild.errors import printable
from cxrbuild.progress import KeepingNotes, Logged, Progress

_logger = logging.getLogger(__name__)
_printed: list[bool] = []


class Output:
    """Print messages, progress and results.

    Progress goes to standard error, messages and tables to standard output. With ``as_json`` standard
    output holds one JSON document and nothing else, and messages go to standard error. With ``quiet`` nothing
    but the document and warnings are printed.

    Attributes
    ----------
    notes
        The messages, and the notes of the progress, in order, whether or not they are printed: documents have
        them as text.
    """

    def __init__(self, *, quiet: bool, as_json: bool) -> None:
        self.quiet = quiet
        self.as_json = as_json
        self.notes: list[str] = []

    @property
    def progress(self) -> Progress:
        """Progress on standard error; of it the warnings alone if quiet. All of it is logged."""
        shown = WarningsAlone() if self.quiet else BARS
        return KeepingNotes(Logged(shown, shown=not self.quiet), self.notes)

    def choose(self, message: str) -> None:
        """Print which input is taken where the command names none, unless quiet, and log it."""
        _logger.info("%s", message, extra={"shown": not self.quiet})
        self.show(message)

    def show(self, message: str) -> None:
        """Print a message, wrapped to the terminal, unless quiet."""
        if message:
            self.notes.append(message.strip())
        if not self.quiet:
            BARS.clear()
            click.echo(wrapped(printable(message, lines=True), err=self.as_json), err=self.as_json)

    def line(self, text: str) -> None:
        """Print a line for programs to read, unless quiet: whole, however narrow the terminal is."""
        if not self.quiet:
            BARS.clear()
            click.echo(printable(text), err=self.as_json)

    def bullet(self, text: str) -> None:
        """Print an entry of a list, unless quiet: indented, and folded at spaces to the terminal."""
        if not self.quiet:
            BARS.clear()
            click.echo(folded(printable(text), err=self.as_json), err=self.as_json)

    def table(self, header: Sequence[str], rows: Sequence[Sequence[object]], *, right: int = 0) -> None:
        """Print a table, unless quiet: text aligned left, numbers and the last ``right`` columns right."""
        if not self.quiet:
            BARS.clear()
            click.echo(table(header, rows, right=right), err=self.as_json)

    def result(self, schema: str, document: Mapping[str, Any]) -> None:
        """Print the JSON document, with ``as_json``.

        Parameters
        ----------
        schema
            The name and version of its schema: a file in ``docs/schemas/commands``.
        document
            The document.
        """
        if self.as_json:
            print_json(schema, document)


def print_json(schema: str, document: Mapping[str, Any]) -> None:
    """Print the JSON document of a command to standard output, with the name of its schema."""
    # An escape of the terminal's encoding would not be one of JSON.
    utf8 = sys.stdout.encoding.lower().replace("-", "") == "utf8"
    click.echo(json.dumps({"schema": schema} | dict(document), indent=2, ensure_ascii=not utf8))
    _printed.append(True)


def json_was_printed() -> bool:
    """Return whether the command printed its JSON document: a failed check comes after it."""
    return bool(_printed)


def table(header: Sequence[str], rows: Sequence[Sequence[object]], *, right: int = 0) -> str:
    """Return a table as text.

    Examples
    --------
    >>> print(table(["step", "all"], [["upstream", 6913], ["ct", 63]]))
    step        all
    upstream  6,913
    ct           63
    """
    cells = [[f"{c:,}" if isinstance(c, int) else printable(c) for c in row] for row in rows]
    numeric = [
        i >= len(header) - right or all(isinstance(row[i], int) for row in rows) for i in range(len(header))
    ]
    widths = [max(len(row[i]) for row in [list(header), *cells]) for i in range(len(header))]
    lines = [
        "  ".join(
            c.rjust(w) if n else c.ljust(w) for c, w, n in zip(row, widths, numeric, strict=True)
        ).rstrip()
        for row in [list(header), *cells]
    ]
    return "\n".join(lines)
