"""What else there is of withdrawn images and of their patients, and how a message names it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import pandas as pd

HolderKind = Literal["source", "set_aside", "proposed_pin", "dataset", "result", "page", "declaration"]


@dataclass(frozen=True)
class OtherImages:
    """The kept images of patients of whom another image is withdrawn.

    Attributes
    ----------
    withdrawn
        The number of withdrawn images whose patients have kept images.
    images
        The source and path of each kept image, in order. Patients are those that rows and links say.
    """

    withdrawn: int = 0
    images: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class WithdrawnHolder:
    """A place that still has something of withdrawn images.

    Attributes
    ----------
    path
        The folder or file.
    kind
        A folder that a ``source`` was fetched to or from, one that ``fetch`` has ``set_aside``, the metadata
        of a ``proposed_pin``, a ``dataset`` (build, release or plan), a ``result`` in one, a ``page`` of
        ``review``, or a ``declaration``: a file that the recipe names.
    images
        The number of withdrawn images that it has the files or pixels of, or that a result or a page names.
    rows
        The number of their rows or lines; ``None`` where it is not known which rows are theirs.
    held
        What it has of them, as a message says it.
    """

    path: Path
    kind: HolderKind
    images: int
    rows: int | None
    held: str

    def __str__(self) -> str:
        return f"{self.path} ({self.held})"

    def to_dict(self) -> dict[str, Any]:
        """Return the place as JSON has it: without the text of the message."""
        found = asdict(self) | {"path": str(self.path)}
        del found["held"]
        return found


def find_other_images(records: pd.DataFrame) -> OtherImages:
    """Return the kept images of patients of whom another image is withdrawn.

    Parameters
    ----------
    records
        The table, with the groups of withdrawn images.
    """
    withdrawn = records.loc[records["exclusion"] == "withdrawn", "group"]
    kept = records.loc[
        records["exclusion"].isna() & records["group"].isin(withdrawn), ["source", "source_path", "group"]
    ].sort_values(["source", "source_path"])
    images = tuple(zip(kept["source"], kept["source_path"], strict=True))
    return OtherImages(int(withdrawn.isin(kept["group"]).sum()), images)
