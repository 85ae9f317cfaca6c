"""Which images and patients of a source were withdrawn, when and why."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cxrbuild.catalog.csv_table import CsvTable, require_none
from cxrbuild.catalog.day import check_day
from cxrbuild.errors import DeclarationError, count_of, name_some
from cxrbuild.paths import PathIndex
from cxrbuild.words import compose

WITHDRAWALS = CsvTable("withdrawals", ("path", "date", "reason"), optional=("identifier", "patient", "blob"))

_BLOB = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class Withdrawal:
    """An image, or all images of a patient, that were withdrawn.

    Attributes
    ----------
    path
        The image's path from the source's root; empty where the line names a patient alone.
    date
        The day of the withdrawal, YYYY-MM-DD.
    reason
        The reason, for the reader of the dataset.
    identifier
        The identifier that the image's row of metadata gives instead of a path, where the file was deleted
        and the row is left; empty where it is not needed.
    patient
        The patient's id as the metadata has it; empty where the image alone was withdrawn.
    blob
        The git blob hash of a file that is withdrawn in every source, under whatever name; empty without one.
    line
        The line of the file.
    """

    path: str
    date: str
    reason: str
    identifier: str = ""
    patient: str = ""
    blob: str = ""
    line: int = field(default=0, compare=False, repr=False)

    def describe(self) -> str:
        """Describe the withdrawal in a clause."""
        return f"{self.date}: {self.reason}" if self.reason else self.date


@dataclass(frozen=True)
class Withdrawals:
    """The lines of a file of withdrawals.

    Attributes
    ----------
    images
        The withdrawn images, by path.
    patients
        The patients who withdrew, by id: a line that names a path too, if there is one, else the first line.
    blobs
        The withdrawn files, by git blob hash.
    """

    images: Mapping[str, Withdrawal] = field(default_factory=dict)
    patients: Mapping[str, Withdrawal] = field(default_factory=dict)
    blobs: Mapping[str, Withdrawal] = field(default_factory=dict)


def read_withdrawals(path: Path) -> Withdrawals:
    """Read a file of withdrawals, with the header of `WITHDRAWALS`; see `CsvTable`."""
    images: dict[str, Withdrawal] = {}
    patients: dict[str, Withdrawal] = {}
    blobs: dict[str, Withdrawal] = {}
    problems: list[str] = []
    lines: dict[tuple[str, str], int] = {}
    for line, (image, date, reason, identifier, patient, blob) in WITHDRAWALS.rows(path, problems):
        # As the values of metadata.
        number = compose(patient.strip())
        blob = blob.strip().lower()
        if not image and not number and not blob:
            problems.append(f"line {line}: no path, patient or blob")
        if blob and not _BLOB.fullmatch(blob):
            problems.append(
                f"line {line}: {blob} is no git blob hash of 40 digits, as `git hash-object FILE` prints"
            )
        if identifier.strip() and not image:
            problems.append(f"line {line}: an identifier without the path of its image")
        try:
            check_day(date)
        except ValueError as error:
            problems.append(f"line {line}: {error}")
        if not reason.strip():
            problems.append(f"line {line}: no reason")
        # Several images of one patient can be named.
        if (first := lines.setdefault((image, "" if image else f"{number} {blob}"), line)) != line:
            named = image or ("the patient" if number else "the blob")
            problems.append(f"line {line}: {named} is in line {first} already")
        one = Withdrawal(image, date, reason, identifier.strip(), number, blob, line)
        if image:
            images[image] = one
        if number and (number not in patients or (image and not patients[number].path)):
            patients[number] = one
        if blob:
            blobs.setdefault(blob, one)
    require_none(path, problems)
    return Withdrawals(images, patients, blobs)


def require_known(where: str, withdrawn: Collection[str], known: Iterable[str]) -> None:
    """Refuse withdrawals of images that the source neither has nor had: a misspelt one withdraws nothing.

    Parameters
    ----------
    where
        The source and its file of withdrawals.
    withdrawn
        The paths of the withdrawn images.
    known
        The paths that the source has or had.

    Raises
    ------
    DeclarationError
        A path is not known, or names a file in another spelling.
    """
    index = PathIndex(known)
    if not (unknown := [path for path in withdrawn if index.find(path) != [path]]):
        return
    raise DeclarationError(
        f"{count_of(len(unknown), 'withdrawal')} of images that the source does not have", where=where,
        expected="paths of its files, of its rows of metadata, or of a pin's listing, now or before",
        found=name_some(map(index.describe_unknown, sorted(unknown))),
        todo="Write the paths as the files have them. Remove the line of an image that this source never "
        "had; one that was removed before the source was pinned needs no line",
    )  # fmt: skip
