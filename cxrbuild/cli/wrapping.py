"""Wrap messages to the width of the terminal."""

from __future__ import annotations

import re
import shutil
import textwrap

_GLUE = "\0"


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
