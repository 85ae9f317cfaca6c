"""Where the log goes: a file, standard error, or nowhere.

The package logs through the standard library under the logger ``cxrbuild``: INFO for each stage, DEBUG for
decisions that a maintainer would ask for. Addresses are logged without credentials, patients not at all.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

import click

from cxrbuild.cli.bars import BARS
from cxrbuild.errors import printable, system_number

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class _PrintableFormatter(logging.Formatter):
    """Make control characters visible: a foreign name neither forges a line nor commands a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record), lines=record.exc_info is not None)


class _AboveBars(logging.Handler):
    """Write to standard error, above the progress of what is running."""

    def emit(self, record: logging.LogRecord) -> None:
        BARS.write(self.format(record))


def log_to_file(path: Path) -> None:
    """Append everything that is logged, decisions too, to a file.

    Raises
    ------
    click.BadParameter
        The file cannot be written.
    """
    try:
        handler = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        reason = os.strerror(system_number(error)) if error.errno else error
        raise click.BadParameter(f"cannot write {path}: {reason}", param_hint="--log-file") from None
    _add(handler, logging.DEBUG)


def log_to_terminal(times: int) -> None:
    """Log to standard error: stages, and from two ``-v`` on decisions."""
    _add(_AboveBars(), logging.DEBUG if times > 1 else logging.INFO)


def _add(handler: logging.Handler, level: int) -> None:
    handler.setLevel(level)
    handler.setFormatter(_PrintableFormatter(_FORMAT))
    logger = logging.getLogger("cxrbuild")
    logger.addHandler(handler)
    logger.setLevel(min(level, logger.level or level))
    logger.propagate = False
