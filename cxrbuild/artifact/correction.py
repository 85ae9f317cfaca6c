"""What a build records of the corrections of its metadata, and the file with them that a plan has."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

from pydantic import Field

from cxrbuild.artifact.document import Document, Part
from cxrbuild.errors import count_of


class CorrectedValue(Part):
    """A value of one image that a recipe corrected.

    Attributes
    ----------
    image_id, source
        The image.
    column
        The column.
    old, new
        What the source says, and the value that the table has; ``None`` where not known. The number of a
        patient is hashed where the source hashes it.
    reason
        Why.
    reader
        Who found it; ``None`` where the file does not say.
    file, line
        Where the correction is written.
    redacted
        Whether a public release omits the old value, the reason and the reader, which ``None`` replaces.
    """

    image_id: str
    source: str
    column: str
    old: str | None
    new: str | None
    reason: str | None
    reader: str | None
    file: str
    line: int
    redacted: bool = False

    def describe(self) -> str:
        """Describe the correction in a clause: ``finding 'COVID-19' -> 'No Finding' (reason)``."""
        if self.redacted:
            return f"{self.column} to {shown(self.new)}"
        return f"{self.column} {shown(self.old)} -> {shown(self.new)} ({self.reason})"


class CorrectionFile(Part):
    """A file of corrections.

    Attributes
    ----------
    name
        The name of the file, without its folder.
    sha256
        Its hash; ``None`` in a public release that does not show all of its lines.
    """

    name: str
    sha256: str | None


class Corrections(Part):
    """The corrections of a build; false where there are none.

    Attributes
    ----------
    files
        Their files, in the order of the recipe.
    counts
        The number of corrected values by source and column, also of those that a public release does not
        list.
    values
        The corrected values, in the order of the files.
    """

    files: list[CorrectionFile] = Field(default_factory=list)
    counts: dict[str, dict[str, int]] = Field(default_factory=dict)
    values: list[CorrectedValue] = Field(default_factory=list)

    def __bool__(self) -> bool:
        """Return whether a file of corrections is declared."""
        return bool(self.files)

    @property
    def total(self) -> int:
        """The number of corrected values."""
        return sum(sum(by_column.values()) for by_column in self.counts.values())

    def describe(self) -> list[str]:
        """Return the number of corrected values by source: ``in cohen the finding of 2 images``."""
        return [
            f"in {source} "
            + ", ".join(f"the {column} of {count_of(n, 'image')}" for column, n in by_column.items())
            for source, by_column in self.counts.items()
        ]


class PlannedCorrections(Document):
    """The corrections of a plan, which has no ``build.json``.

    Attributes
    ----------
    corrections
        The corrections.
    """

    FORMAT: ClassVar[int] = 1
    KIND: ClassVar[str] = "the corrections.json of a plan"
    NEXT_STEP: ClassVar[str] = "Make the plan again with `cxrbuild plan --out`"

    format: Literal[1] = 1
    corrections: Corrections


def is_same_age(a: float, b: float) -> bool:
    """Return whether two ages in years are one, as a build records them: with six digits."""
    return math.isclose(a, b, rel_tol=1e-5)


def shown(value: str | None) -> str:
    """Return a value as a sentence has it."""
    return "blank" if value is None else repr(value)
