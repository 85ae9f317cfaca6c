"""What the checks of a list share: the rows, what they are compared with, and the form of a check."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from cxrbuild.checks import Check, Command, Finding

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class ListFinding(Finding):
    """Something wrong with a list.

    Attributes
    ----------
    rows
        Where: ``train.txt:12``.
    kind
        What many findings of a check have in common; empty where they are of one kind.
    images
        The ids of the dataset's images that it is about; empty where it is about the list alone.
    """

    rows: list[str] = field(default_factory=list)
    kind: str = ""
    images: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return the finding as JSON has it, without the check, whose findings it is listed with."""
        return {"message": self.message, "rows": self.rows, "kind": self.kind, "images": self.images}


@dataclass(frozen=True)
class ListPair:
    """Two images of sources that are duplicates, by their records' index.

    Attributes
    ----------
    a, b
        The index of their records.
    kind
        ``same bytes``, ``same pixels`` or ``near-duplicate``.
    similarity
        1 for the same bytes and pixels.
    """

    a: int
    b: int
    kind: str
    similarity: float


@dataclass(frozen=True)
class ListedDataset:
    """The dataset that lists are compared with.

    Attributes
    ----------
    name
        Its name and version where they are known, else the folder, file or published name.
    rows
        A row for each image that its ledger lists, else its manifest: ``image_id``, ``source``,
        ``source_path``, ``source_blob``, ``patient_id``, ``group``, ``label``, ``split``, ``exclusion``,
        ``exclusion_detail``.
    has_ledger
        Whether excluded images are known.
    hidden
        The sources whose file names and excluded images a public release hides.
    """

    name: str
    rows: pd.DataFrame
    has_ledger: bool
    hidden: frozenset[str] = frozenset()

    @property
    def kept(self) -> pd.DataFrame:
        """The rows of its images."""
        return self.rows[self.rows["exclusion"].isna()]


@dataclass(frozen=True)
class ListContext:
    """What the checks of a list look at.

    Attributes
    ----------
    rows
        The rows of the lists; with ``image``, ``of_source`` and ``absent`` where there are sources, and with
        what `cxrbuild.lists.matching.match_members` fills where there is a dataset.
    records
        A row for each image of the sources, or of the dataset's ledger; ``None`` without either.
    pairs
        Duplicates among the listed images whose files are there; ``None`` where no image was read.
    compared
        The index of the records of these images; ``None`` where no image was read.
    no_images
        Why no image was read.
    dataset
        The dataset to compare with; ``None`` where there is none.
    """

    rows: pd.DataFrame
    records: pd.DataFrame | None = None
    pairs: Sequence[ListPair] | None = None
    compared: Collection[int] | None = None
    no_images: str = "no sources here"
    dataset: ListedDataset | None = None

    @property
    def sources(self) -> str:
        """Where the records are from, for a message."""
        return "the dataset" if self.dataset is not None and self.dataset.has_ledger else "the sources here"

    @property
    def known(self) -> pd.DataFrame:
        """The rows whose image a source has."""
        return self.rows[self.rows["image"].notna()]

    @property
    def images(self) -> pd.DataFrame:
        """The record of the image of each of these rows."""
        assert self.records is not None
        return self.records.loc[self.known["image"].astype("int64")]


@dataclass(frozen=True)
class ListCheck(Check[ListContext]):
    """A check of lists.

    Attributes
    ----------
    needs
        What it needs in addition to the lists: the sources' metadata, images, or a dataset to compare with.
    looks_at
        Returns which rows it can look at.
    lacks
        What the other rows do not have; ``{sources}`` is where the records are from.
    unless
        Returns why it cannot be made of a dataset, ``None`` where it can.
    """

    command: Command = "audit --list"
    needs: Literal["lists", "sources", "images", "dataset"] = "lists"
    looks_at: Callable[[ListContext], pd.Series] | None = None
    lacks: str = ""
    unless: Callable[[ListContext], str | None] | None = None

    def prevented(self, context: ListContext) -> str | None:
        """Return why what it needs is not there, ``None`` where it is."""
        if self.needs == "dataset":
            return self.unless(context) if self.unless is not None else None
        if self.needs != "lists" and context.records is None:
            return "no sources here"
        return context.no_images if self.needs == "images" and context.pairs is None else None
