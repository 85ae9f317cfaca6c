"""What else there is of withdrawn images and of their patients, and how a message names it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cxrbuild.artifact import names
from cxrbuild.catalog import Source
from cxrbuild.errors import count_of, name_some, noun_of, verb_of

if TYPE_CHECKING:
    import pandas as pd

HolderKind = Literal["source", "set_aside", "proposed_pin", "dataset", "result", "page", "declaration"]

# What `audit` writes again in the build that it is made of.
_AUDITED = (names.AUDIT_PAGE, names.AUDIT, names.AUDIT_PAIRS, names.AUDIT_LINKS)


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


def describe_holders(holders: Sequence[WithdrawnHolder], out: Path | None = None) -> str:
    """Return a warning that lists the places of withdrawn images with what to do; empty without any.

    Parameters
    ----------
    holders
        The places, as `find_holders` returns them.
    out
        The build that is updated.
    """
    if not holders:
        return ""
    lines = [f"Withdrawn images are still in {count_of(len(holders), 'place')}:"]
    lines += [f"  {one}: {_advise(one, out)}" for one in holders]
    kinds = {one.kind for one in holders}
    notes = []
    if "source" in kinds:
        notes.append("The ledger has no values of these images, but their files and rows do.")
    if kinds & {"source", "dataset"}:
        notes.append(
            "First make the release that follows one of these folders: its changelog and its split may need "
            "the former one."
        )
    if "declaration" in kinds:
        notes.append(
            "If links join two other images through a withdrawn one, link those two directly. Withdraw an "
            "image by its own path before you delete the link of its duplicate."
        )
    if kinds != {"declaration"}:
        notes.append("Copies elsewhere are not known.")
    notes.append("Keep the file of withdrawals, and keep it private: it can have numbers of patients.")
    return "\n".join([*lines, " ".join(notes)])


def describe_no_holders(withdrawn: int) -> str:
    """Return a note that no place holds withdrawn images, with the places that were looked at.

    Parameters
    ----------
    withdrawn
        The number of withdrawn images; without any the note is empty.
    """
    if not withdrawn:
        return ""
    return (
        f"{count_of(withdrawn, 'image')} withdrawn. No place that was looked at holds any: the folders that "
        "the sources were fetched to and from; data folders, builds, releases, plans and pages of `review` "
        "in the current folder; the files that the recipe names. Copies elsewhere are not known."
    )


def _advise(one: WithdrawnHolder, out: Path | None) -> str:
    """Return what to do with a place of withdrawn images."""
    match one.kind:
        case "source":
            if one.rows is None:
                return "delete their rows there, or the folder"
            parts = ["the files"] * bool(one.images) + ["their rows of the metadata"] * bool(one.rows)
            return f"delete {' and '.join(parts)}"
        case "set_aside":
            return "delete this copy, or the files and rows in it"
        case "proposed_pin":
            return "delete the folder of the proposed pin"
        case "dataset":
            return "delete it once the next release is made"
        case "result":
            if out is not None and one.path in {out / name for name in _AUDITED}:
                return f"run `cxrbuild audit --build {out}` again, which writes it without them"
            return "make it again from a build without them, or delete it"
        case "page":
            return "delete this page, or make it again"
        case "declaration":
            return "delete this line" if one.rows == 1 else "delete these lines"


def describe_other_images(others: OtherImages, sources: Iterable[Source]) -> str:
    """Return a warning that names the kept images of patients of withdrawn images; empty without any.

    Parameters
    ----------
    others
        These images.
    sources
        The sources of the recipe.
    """
    if not others.images:
        return ""
    of_one = others.withdrawn == 1
    named = {source for source, _ in others.images}
    files = [
        source.withdrawals_place if source.withdrawn else f"a file that `withdrawn` of {source.name} names"
        for source in sources
        if source.name in named
    ]
    return (
        f"The {noun_of(1 if of_one else 2, 'patient')} of {count_of(others.withdrawn, 'withdrawn image')} "
        f"{verb_of(1 if of_one else 2, 'has')} {count_of(len(others.images), 'other image')} in the dataset: "
        f"{name_some(map(' '.join, others.images))}. If a patient withdrew, and not one image alone, add the "
        "patient's other images, or the patient's id in the column `patient`, to "
        f"{' and '.join(files)}."
    )
