"""Compare the patient numbers of a source's metadata with those of the DICOM headers of its images.

A spreadsheet removes leading zeros, and an export can give a patient a second number. Then one patient has
two hashes, of which one comes into train and the other into test, and no check of hashes can see it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from cxrbuild.catalog.source import Source
from cxrbuild.errors import CxrbuildError, count_of, name_some
from cxrbuild.grouping import connected_groups

if TYPE_CHECKING:
    import pandas as pd

_LISTED = 5
_SHORTEST = 4


def reconcile_patients(
    source: Source,
    numbers: pd.Series,
    in_headers: pd.Series | None,
    places: pd.Series,
    shown: Callable[[str], str],
) -> pd.Series:
    """Return the patient numbers, where contradictions are refused, joined or ignored as declared.

    Headers with other numbers are usual, as pseudonyms: a number of the metadata that always has the same
    number in the headers is no contradiction.

    Parameters
    ----------
    source
        The source, whose reader declares ``patient_conflicts``.
    numbers
        The patient of each row by the metadata, null where not known.
    in_headers
        The patient of each row's image by its header, null where not known; ``None`` where the metadata's
        number comes from the header itself, or no image is a DICOM file.
    places
        Where each row and its image are, for messages.
    shown
        How a message shows a number: as it is, or hashed.

    Raises
    ------
    CxrbuildError
        Two numbers contradict each other, and the source does not declare what that means.
    """
    if source.reader.patient_conflicts == "ignore":
        return numbers
    groups = _conflicts(numbers, in_headers)
    if not groups:
        return numbers
    if source.reader.patient_conflicts == "join":
        return numbers.map(lambda one: groups.get(one, one), na_action="ignore").astype("str")
    lines = []
    for name in list(dict.fromkeys(groups.values()))[:_LISTED]:
        rows = numbers.index[numbers.map(groups).eq(name)]
        parts = []
        several = list(dict.fromkeys(numbers[rows]))
        for number in several[:_LISTED]:
            of_number = [row for row in rows if numbers[row] == number]
            headers = [] if in_headers is None else list(dict.fromkeys(in_headers[of_number].dropna()))
            header = f", in the header {name_some(map(shown, headers), 3)}" if headers else ""
            parts.append(f"{shown(number)} ({name_some(places[of_number], 3)}{header})")
        if len(several) > _LISTED:
            parts.append(f"{len(several) - _LISTED:,} more numbers")
        lines.append("  " + "; ".join(parts))
    count = len(set(groups.values()))
    more = f"\n  and {count - _LISTED} more" if count > _LISTED else ""
    listed = "\n".join(lines)
    raise CxrbuildError(
        f"{count_of(count, 'patient')} may have several numbers, or several patients one number\n"
        + listed + more,
        where=f"source {source.name}",
        expected="each number of the metadata with one number in the headers, and the reverse; no two "
        "numbers that differ in leading zeros alone",
        todo="Correct the numbers: a spreadsheet removes leading zeros. If each line above is one patient, "
        'declare `patient_conflicts = "join"` in the reader. If the metadata is right, and the numbers in '
        'the headers have no meaning, such as one for all or one for each study, declare `"ignore"`',
    )  # fmt: skip


def _conflicts(numbers: pd.Series, in_headers: pd.Series | None) -> dict[str, str]:
    """Return the numbers of the metadata that contradict each other or the headers, with one number for each.

    Numbers are connected by an equal number in their headers, and by being equal without leading zeros.
    """
    known = numbers.dropna()
    plain = known.str.lstrip("0")
    digits = known.str.fullmatch(r"[0-9]+")
    pairs = [("n:" + a, "z:" + b) for a, b in set(zip(known[digits], plain[digits], strict=True))]
    several: set[str] = set()
    if in_headers is not None:
        both = known.index[in_headers[known.index].notna()]
        of_headers = set(zip(known[both], in_headers[both], strict=True))
        pairs += [("n:" + a, "h:" + b) for a, b in of_headers]
        counts: dict[str, int] = {}
        for number, _ in of_headers:
            counts[number] = counts.get(number, 0) + 1
        several = {number for number, count in counts.items() if count > 1}
    groups = connected_groups(pairs)
    members: dict[str, list[str]] = {}
    for number in sorted(set(known)):
        members.setdefault(groups.get("n:" + number, number), []).append(number)
    conflicts = [one for one in members.values() if len(one) > 1 or set(one) & several]
    # The longest number has all its zeros.
    return {number: max(one, key=lambda n: (len(n), n)) for one in conflicts for number in one}


def count_named_files(numbers: pd.Series, paths: Sequence[str]) -> int:
    """Return how many paths hold the number of their patient, of four characters or more.

    Parameters
    ----------
    numbers
        The patient of each row, null where not known.
    paths
        The path of each row's image.
    """
    found = set()
    for number, path in zip(numbers, paths, strict=True):
        plain = number.lstrip("0") if isinstance(number, str) else ""
        # Shorter numbers occur in names by chance, and so does a part of a longer number.
        if (
            len(plain) >= _SHORTEST
            and plain in path
            and re.search(rf"(?<![^\W_0]){re.escape(plain)}(?![^\W_])", path)
        ):
            found.add(path)
    return len(found)
