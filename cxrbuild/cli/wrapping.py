"""Wrap messages to the width of the terminal."""

from __future__ import annotations

import os
import re
import shutil
import sys
import textwrap

# Longer than any message: what is no terminal gets whole lines, so that a program can read them.
NO_LIMIT = 1_000_000
_GLUE = "\0"
# Git's SHA-1 and SHA-256, and the first digits of them, which name one among the images of a dataset.
_HASH, _DIGITS = re.compile(r"\b(?:[0-9a-f]{64}|[0-9a-f]{40})\b"), 12


def output_width(*, err: bool = False) -> int:
    """Return the columns of the terminal that output goes to; a very large number where it is none.

    Parameters
    ----------
    err
        Whether it goes to standard error.
    """
    if os.environ.get("COLUMNS"):
        return shutil.get_terminal_size().columns
    stream = sys.stderr if err else sys.stdout
    if not stream.isatty():
        return NO_LIMIT
    try:
        return os.get_terminal_size(stream.fileno()).columns or shutil.get_terminal_size().columns
    except OSError:
        return shutil.get_terminal_size().columns


def wrapped(message: str, *, lists: bool = False, err: bool = False) -> str:
    """Return a message wrapped to the terminal; indented lines and text in backquotes stay whole.

    Parameters
    ----------
    message
        The message.
    lists
        Whether indented lines are entries of lists, which are folded too, and no commands to copy.
    err
        Whether it goes to standard error.
    """
    width = output_width(err=err)
    # A command that is broken over two lines cannot be copied.
    message = re.sub(r"`[^`\n]*`", lambda quoted: quoted[0].replace(" ", _GLUE), message)
    lines = [
        (folded(line.strip(), len(line) - len(line.lstrip()), err=err) if lists else line)
        if line.startswith(" ")
        else textwrap.fill(line, width, break_long_words=False, break_on_hyphens=False)
        for line in message.split("\n")
    ]
    return "\n".join(lines).replace(_GLUE, " ")


def folded(text: str, indent: int = 2, *, err: bool = False) -> str:
    """Return an indented text folded to the terminal at spaces; ids, paths and hashes stay whole."""
    return textwrap.fill(
        text,
        output_width(err=err),
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent + 2),
        break_long_words=False,
        break_on_hyphens=False,
    )


def short_hashes(text: str) -> str:
    """Return a text with the first digits of each hash in it.

    Examples
    --------
    >>> short_hashes("source_blob 4713f6c806e8bb104db94bcdebd6305519921bd1 -> null")
    'source_blob 4713f6c806e8 -> null'
    """
    return _HASH.sub(lambda found: found[0][:_DIGITS], text)
