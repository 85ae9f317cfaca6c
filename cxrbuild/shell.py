"""Quote the words of commands that messages name, as the user's shell reads them."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable


def quote(word: object) -> str:
    r"""Return a word of a command, quoted if need be.

    The Command Prompt of Windows knows no single quotes. Double quotes keep a path with backslashes or spaces
    one word there, in PowerShell and in Git Bash. Files that are written, such as a release's card, have the
    quotes of POSIX on every system instead.

    Parameters
    ----------
    word
        A path or another word.

    Examples
    --------
    >>> quote("build/covid19-cxr")
    'build/covid19-cxr'
    """
    text = str(word)
    if os.name != "nt":
        return shlex.quote(text)
    if re.fullmatch(r"[\w@%+=:,./-]+", text, re.ASCII):
        return text
    # As the C runtime of Windows splits words: backslashes before a quote are doubled.
    escaped = re.sub(r'(\\*)("|$)', lambda end: end[1] * 2 + end[2].replace('"', '\\"'), text)
    return f'"{escaped}"'


def join(words: Iterable[object]) -> str:
    """Return a command as one line; see `quote`."""
    return " ".join(map(quote, words))


def assign(variable: str, command: str) -> str:
    """Return the line that sets a variable to what a command prints: of PowerShell on Windows."""
    return f"$env:{variable} = {command}" if os.name == "nt" else f"export {variable}=$({command})"


def remove(files: Iterable[object]) -> str:
    """Return the command that removes files: of PowerShell on Windows, which takes a list."""
    return f"rm {(', ' if os.name == 'nt' else ' ').join(map(quote, files))}"
