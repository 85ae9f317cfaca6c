"""Where the log goes: a file, standard error, or nowhere.

The package logs through the standard library under the logger ``cxrbuild``: INFO for each stage, DEBUG for
decisions that a maintainer would ask for. Addresses are logged without credentials, patients not at all.
"""

from __future__ import annotations

import logging
import os
import platform
import re
import shlex
from collections.abc import Collection
from pathlib import Path

import click

from cxrbuild import __version__
from cxrbuild.cli.bars import BARS
from cxrbuild.errors import printable, system_number

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_logger = logging.getLogger(__name__)
# Where the group of all commands keeps the words of the command line, in the context.
WORDS = "cxrbuild.words"
# Arguments that can be the number of a patient.
_PATIENTS = frozenset({"image"})


class _PrintableFormatter(logging.Formatter):
    """Make control characters visible: a foreign name neither forges a line nor commands a terminal.

    Parameters
    ----------
    hidden
        Words that an error repeats and that are not logged.
    """

    def __init__(self, hidden: Collection[str]) -> None:
        super().__init__(_FORMAT)
        self._hidden = re.compile("|".join(rf"(?<!\w){re.escape(word)}(?!\w)" for word in hidden) or r"(?!)")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name is logging's
        """Return the record as a line, an error without hidden words."""
        if record.levelno >= logging.ERROR:
            record.message = self._hidden.sub("...", record.message)
        return super().formatMessage(record)

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record), lines=record.exc_info is not None)


class _AboveBars(logging.Handler):
    """Write to standard error, above the progress of what is running, what is not shown there already."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Omit the notes that the progress shows."""
        return not getattr(record, "shown", False) and bool(super().filter(record))

    def emit(self, record: logging.LogRecord) -> None:
        BARS.write(self.format(record))


def describe_run(context: click.Context) -> str:
    """Return the first line of a log: version, Python, system, and the command without what can be a secret.

    Parameters
    ----------
    context
        The context of the command.
    """
    words = " ".join([context.command_path, *_shown_words(context)])
    return f"cxrbuild {__version__}, Python {platform.python_version()}, {platform.platform()}: {words}"


def _shown_words(context: click.Context) -> list[str]:
    """Return the words after the name of the command; of addresses no user, password and query."""
    from cxrbuild.http import redact_place

    hidden = _hidden_words(context)
    return [
        "..." if word in hidden else shlex.quote(redact_place(word)) for word in context.meta.get(WORDS, ())
    ]


def _hidden_words(context: click.Context) -> set[str]:
    """Return the words of the command that can be the number of a patient."""
    # Parsed a second time, without converting values.
    values, *_ = context.command.make_parser(context).parse_args(list(context.meta.get(WORDS, ())))
    return {values[name] for name in _PATIENTS if isinstance(values.get(name), str)}


def log_to_file(path: Path, context: click.Context) -> None:
    """Append everything that is logged, decisions too, to a file.

    Parameters
    ----------
    path
        The file.
    context
        The context of the command, which the first line describes.

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
    _add(handler, logging.DEBUG, context)


def log_to_terminal(times: int, context: click.Context) -> None:
    """Log to standard error: a first line, stages, and from two ``-v`` on decisions."""
    _add(_AboveBars(), logging.DEBUG if times > 1 else logging.INFO, context)


def _add(handler: logging.Handler, level: int, context: click.Context) -> None:
    handler.setLevel(level)
    handler.setFormatter(_PrintableFormatter(_hidden_words(context)))
    logger = logging.getLogger("cxrbuild")
    logger.addHandler(handler)
    logger.setLevel(min(level, logger.level or level))
    logger.propagate = False
    # To this handler alone: a command can have two.
    first = describe_run(context)
    handler.handle(_logger.makeRecord(_logger.name, logging.INFO, __file__, 0, first, (), None))
