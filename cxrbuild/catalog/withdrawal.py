"""Which images of a source were withdrawn, when and why."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cxrbuild.catalog.csv_table import CsvTable, require_none
from cxrbuild.catalog.day import check_day

WITHDRAWALS = CsvTable("withdrawals", ("path", "date", "reason"))


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
    """

    path: str
    date: str
    reason: str

    def describe(self) -> str:
        """Describe the withdrawal in a clause."""
        return f"{self.date}: {self.reason}"


def read_withdrawals(path: Path) -> dict[str, Withdrawal]:
    """Read a file of withdrawals: ``path,date,reason``.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    dict
        The withdrawals by the path of the image.

    Raises
    ------
    DeclarationError
        Lines of the file do not fit; every problem is listed with its line.
    """
    withdrawals: dict[str, Withdrawal] = {}
    problems: list[str] = []
    lines: dict[str, int] = {}
    for line, (image, date, reason) in WITHDRAWALS.rows(path, problems):
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
        withdrawals[image] = Withdrawal(image, date, reason)
    require_none(path, problems)
    return withdrawals
