"""A fault that was found: in which file, at which row, and what it is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """A fault.

    Attributes
    ----------
    file
        The file, from the folder that is checked.
    row
        The image, part, class or key it is at, ``None`` where it is the file's as a whole.
    what
        What is wrong.
    """

    file: str
    row: str | None
    what: str

    def __str__(self) -> str:
        return f"{self.file}: {self.row}: {self.what}" if self.row else f"{self.file}: {self.what}"
