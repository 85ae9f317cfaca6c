"""What the command line prints: messages, tables, progress bars, one JSON document."""

from __future__ import annotations

import json
import re
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

from cxrbuild.errors import printable
from cxrbuild.progress import Bar, Progress, silent

# tqdm shows a bar only if the work takes longer than this.
_DELAY_S = 1.0
_GLUE = "\0"
_printed: list[bool] = []


class Output:
    """Print messages, progress bars and results.

    Progress bars go to standard error, messages and tables to standard output. With ``as_json`` standard
    output holds one JSON document and nothing else, and messages go to standard error. With ``quiet`` there
    are no messages and no progress bars.
    """

    def __init__(self, *, quiet: bool, as_json: bool) -> None:
        self.quiet = quiet
        self.as_json = as_json

    @property
    def progress(self) -> Progress:
        """Progress bars if standard error is a terminal, else none."""
        return silent if self.quiet or not sys.stderr.isatty() else _drawn

    def say(self, message: str) -> None:
        """Print a message, wrapped to the terminal, unless quiet."""
        if not self.quiet:
            click.echo(wrapped(printable(message, lines=True)), err=self.as_json)

    def table(self, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Print a table, unless quiet: text aligned left, numbers right."""
        if not self.quiet:
            click.echo(table(header, rows), err=self.as_json)

    def result(self, document: Any) -> None:
        """Print the JSON document, with ``as_json``."""
        if self.as_json:
            print_json(document)


def print_json(document: Any) -> None:
    """Print the JSON document of a command to standard output."""
    # An escape of the terminal's encoding would not be one of JSON.
    utf8 = sys.stdout.encoding.lower().replace("-", "") == "utf8"
    click.echo(json.dumps(document, indent=2, ensure_ascii=not utf8))
    _printed.append(True)


def json_was_printed() -> bool:
    """Return whether the command printed its JSON document: a failed check comes after it."""
    return bool(_printed)


def wrapped(message: str) -> str:
    """Return a message wrapped to the terminal; indented lines and text in backquotes stay whole."""
    width = shutil.get_terminal_size().columns
    # A command that is broken over two lines cannot be copied.
    message = re.sub(r"`[^`\n]*`", lambda quoted: quoted[0].replace(" ", _GLUE), message)
    lines = [
        line
        if line.startswith(" ")
        else textwrap.fill(line, width, break_long_words=False, break_on_hyphens=False)
        for line in message.split("\n")
    ]
    return "\n".join(lines).replace(_GLUE, " ")


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a table as text.

    Examples
    --------
    >>> print(table(["step", "all"], [["upstream", 6913], ["ct", 63]]))
    step        all
    upstream  6,913
    ct           63
    """
    cells = [[f"{c:,}" if isinstance(c, int) else printable(c) for c in row] for row in rows]
    numeric = [all(isinstance(row[i], int) for row in rows) for i in range(len(header))]
    widths = [max(len(row[i]) for row in [list(header), *cells]) for i in range(len(header))]
    lines = [
        "  ".join(
            c.rjust(w) if n else c.ljust(w) for c, w, n in zip(row, widths, numeric, strict=True)
        ).rstrip()
        for row in [list(header), *cells]
    ]
    return "\n".join(lines)


@contextmanager
def _drawn(title: str, total: int | None, unit: str, /) -> Iterator[Bar]:
    from tqdm import tqdm

    in_bytes = unit == "B"
    with tqdm(
        desc=title,
        total=total,
        unit=unit,
        unit_scale=in_bytes,
        unit_divisor=1024,
        delay=_DELAY_S,
        leave=False,
        dynamic_ncols=True,
        file=sys.stderr,
    ) as bar:
        yield bar
