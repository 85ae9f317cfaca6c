"""Which images of a source were withdrawn, when and why."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from cxrbuild.catalog.csv_table import CsvTable, require_none
from cxrbuild.catalog.day import check_day
from cxrbuild.errors import DeclarationError, count_of, name_some
from cxrbuild.paths import PathIndex

WITHDRAWALS = CsvTable("withdrawals", ("path", "date", "reason"), optional="identifier")


@dataclass(frozen=True)
class Withdrawal:
    """An image that was withdrawn.

    Attributes
    ----------
    path
        Its path from the source's root.
    date
        The day of the withdrawal, YYYY-MM-DD.
    reason
        The reason, for the reader of the dataset.
    identifier
        The identifier that the image's row of metadata gives instead of a path, where the file is gone and
        the row is left; empty where it is not needed.
    """

    path: str
    date: str
    reason: str
    identifier: str = ""

    def describe(self) -> str:
        """Describe the withdrawal in a clause."""
        return f"{self.date}: {self.reason}"


def read_withdrawals(path: Path) -> dict[str, Withdrawal]:
    """Read a file of withdrawals, with the header of `WITHDRAWALS`; see `CsvTable`.

    Returns
    -------
    dict
        The withdrawals by the path of the image.
    """
    withdrawals: dict[str, Withdrawal] = {}
    problems: list[str] = []
    lines: dict[str, int] = {}
    for line, (image, date, reason, identifier) in WITHDRAWALS.rows(path, problems):
        if not image:
            problems.append(f"line {line}: no path")
        try:
            check_day(date)
        except ValueError as error:
            problems.append(f"line {line}: {error}")
        if not reason.strip():
            problems.append(f"line {line}: no reason")
        if (first := lines.setdefault(image, line)) != line:
            problems.append(f"line {line}: {image} is in line {first} already")
        withdrawals[image] = Withdrawal(image, date, reason, identifier.strip())
    require_none(path, problems)
    return withdrawals


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
