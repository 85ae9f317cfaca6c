"""A template: text in which ``{column}`` is replaced by the column's value, nothing else."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

# A doubled brace is the brace itself.
_TOKENS = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]|[^{}]+")


@dataclass(frozen=True)
class Template:
    """A template, parsed.

    Attributes
    ----------
    parts
        Text and columns' names in turn: text at even places, names at odd ones.
    """

    parts: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of its columns, in order."""
        return self.parts[1::2]

    def fill(self, row: Mapping[str, str]) -> str:
        """Return the text with the row's values."""
        return "".join(row[part] if place % 2 else part for place, part in enumerate(self.parts))


@cache
def parse_template(text: str) -> Template:
    """Parse a template.

    A name may hold every character but braces, such as ``.``, ``[``, ``:`` and ``!``.

    Raises
    ------
    ValueError
        A brace has no counterpart, or a pair of braces is empty.

    Examples
    --------
    >>> parse_template("images/{file.name}.png").parts
    ('images/', 'file.name', '.png')
    """
    parts = [""]
    for token in _TOKENS.finditer(text):
        found, name = token.group(), token.group(1)
        if name is not None:
            if not name:
                raise ValueError(f"`{{}}` in {text!r} names no column")
            parts += [name, ""]
        elif found in ("{", "}"):
            raise ValueError(
                f"a brace without counterpart in {text!r}, at character {token.start() + 1}; "
                f"for the brace itself write {found * 2!r}"
            )
        else:
            parts[-1] += found[0] if found in ("{{", "}}") else found
    return Template(tuple(parts))
