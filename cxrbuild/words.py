"""Words of metadata and of declarations: one rule for when two are equal.

A letter with an accent is one character or two (Unicode NFC and NFD), as the writing program has it. Every
word is composed (NFC) where it is read, so that a cell equals the declared word that looks the same.
"""

from __future__ import annotations

import unicodedata


def compose(word: str) -> str:
    r"""Return a word with its accents composed.

    Examples
    --------
    >>> compose("Lungeno\u0308dem") == "Lungen\u00f6dem"
    True
    """
    return unicodedata.normalize("NFC", word)
