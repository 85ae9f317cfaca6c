"""Wrap messages to the width of the terminal."""

from __future__ import annotations

import re
import shutil
import textwrap

_GLUE = "\0"
# Git's SHA-1 and SHA-256, and the first digits of them, which name one among the images of a dataset.
_HASH, _DIGITS = re.compile(r"\b(?:[0-9a-f]{64}|[0-9a-f]{40})\b"), 12


def wrapped(message: str, *, lists: bool = False) -> str:
    """Return a message wrapped to the terminal; indented lines and text in backquotes stay whole.

    Parameters
    ----------
    message
        The message.
    lists
        Whether indented lines are entries of lists, which are folded too, and no commands to copy.
    """
    width = shutil.get_terminal_size().columns
    # A command that is broken over two lines cannot be copied.
    message = re.sub(r"`[^`\n]*`", lambda quoted: quoted[0].replace(" ", _GLUE), message)
    lines = [
        (folded(line.strip(), len(line) - len(line.lstrip())) if lists else line)
        if line.startswith(" ")
        else textwrap.fill(line, width, break_long_words=False, break_on_hyphens=False)
        for line in message.split("\n")
    ]
    return "\n".join(lines).replace(_GLUE, " ")


def folded(text: str, indent: int = 2) -> str:
    """Return an indented text folded to the terminal at spaces; ids, paths and hashes stay whole."""
    return textwrap.fill(
        text,
        shutil.get_terminal_size().columns,
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
