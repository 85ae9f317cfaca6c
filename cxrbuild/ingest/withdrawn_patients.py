"""Withdraw the images of patients: of those that the metadata names, and of those that a correction names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from cxrbuild.catalog.source import Source
from cxrbuild.catalog.withdrawal import Withdrawal
from cxrbuild.errors import DeclarationError, count_of, name_some, nearest
from cxrbuild.patient_key import hash_identifier, read_key
from cxrbuild.progress import Progress

if TYPE_CHECKING:
    import pandas as pd


def mark_patients(
    records: pd.DataFrame,
    source: Source,
    numbers: pd.Series,
    joined: pd.Series,
    in_headers: pd.Series | None,
    places: pd.Index,
    progress: Progress,
    sources: Sequence[Source] = (),
) -> None:
    """Write ``withdrawn`` into ``exclusion`` of the rows of a source's withdrawn patients.

    Parameters
    ----------
    records
        The rows.
    source
        The source.
    numbers
        The patient of each row as the metadata has it, null where not known; before it is hashed.
    joined
        The same, with one number for the numbers that the source takes for one patient.
    in_headers
        The patient of each row's image by its header, which can be a number of its own; ``None`` where there
        is none, or it says nothing.
    places
        Where each row is, for messages.
    progress
        Notes patients that no row is of.
    sources
        The recipe's sources. Only here an id that another one with the same ``patient_namespace`` withdraws
        can be found in a header, or as one of several ids of a patient.

    Raises
    ------
    DeclarationError
        A patient is not known, and a row has the id in another spelling.
    """
    own = source.all_withdrawals.patients
    patients = {
        number: seen_from(source, other, one)
        for other in sources
        if other.numbered_by == source.numbered_by
        for number, one in other.all_withdrawals.patients.items()
    } | dict(own)
    if not patients:
        return
    known = [numbers] if in_headers is None else [numbers, in_headers]
    named = numbers.where(numbers.isin(list(patients)))
    for other in known[1:]:
        named = named.where(named.notna(), other.where(other.isin(list(patients))))
    # All rows of such a patient, also those that have another number of the same patient.
    of_patient = dict(zip(joined[named.notna()], named.dropna(), strict=True))
    named = named.where(named.notna(), joined.map(of_patient).astype("str"))
    unknown = [one for number, one in own.items() if not named.eq(number).any()]
    if unknown:
        _report_unknown(source, unknown, known, places, progress)
    mark_withdrawn(records, {row: patients[number] for row, number in named.dropna().items()}, source.license)


def mark_withdrawn(records: pd.DataFrame, rows: Mapping[object, Withdrawal], license_name: str) -> None:
    """Write the withdrawal of rows into them, with the licence of the source instead of their own.

    A row of the metadata can have a licence of its own, which says something about the image.

    Parameters
    ----------
    records
        The table.
    rows
        The withdrawal of each row, by its index.
    license_name
        The licence.
    """
    import pandas as pd

    index = list(rows)
    if not index:
        return
    values = {
        "exclusion": ["withdrawn"] * len(index),
        "exclusion_detail": [one.describe() for one in rows.values()],
        "exclusion_note": [one.reason or None for one in rows.values()],
        "license": [license_name] * len(index),
    }
    for column, texts in values.items():
        records.loc[index, column] = pd.Series(texts, index=index, dtype="str")


def _report_unknown(
    source: Source,
    unknown: Sequence[Withdrawal],
    known: Iterable[pd.Series],
    places: pd.Index,
    progress: Progress,
) -> None:
    """Warn of patients that no row is of; refuse an id that a row has in another spelling.

    An id of no row is no error in itself: its rows may be deleted, or come later. With a path, a row that has
    it in another spelling may be of another patient.
    """
    place_of: dict[str, str] = {}
    for numbers in known:
        for row, number in numbers.dropna().drop_duplicates().items():
            place_of.setdefault(str(number), places[int(str(row))])
    by_plain: dict[str, str] = {}
    for number in place_of:
        by_plain.setdefault(plain_identifier(number), number)
    shows = source.reader.patient_id == "keep"
    problems: list[str] = []
    notes: list[str] = []
    spellings: list[str] = []
    for one in unknown:
        written = f"line {one.line}" + (f": {one.patient}" if shows else "")
        same = by_plain.get(plain_identifier(one.patient))
        near = same or nearest(one.patient, place_of)
        # Only the place says which number it is where the source hashes numbers.
        there = "" if near is None else f"{near}, in {place_of[near]}" if shows else f"in {place_of[near]}"
        if same is not None:
            (spellings if one.path else problems).append(f"{written} ({there})")
        elif not one.path:
            notes.append(f"{written} (the nearest is {there})" if there else written)
    if problems:
        raise DeclarationError(
            f"{count_of(len(problems), 'withdrawn patient')} in another spelling than the metadata",
            where=source.withdrawals_place, expected="each patient's id as a row of the metadata has it",
            found=name_some(problems),
            todo="Write the ids as the rows have them: a misspelt one withdraws no image. If the row is of "
            "another patient, write into the line the path of an image that was the withdrawn patient's, too",
        )  # fmt: skip
    if spellings:
        count = count_of(len(spellings), "withdrawn patient")
        progress.warn(
            f"{source.name}: rows of the metadata have the ids of {count} in {source.withdrawals_place} in "
            f"another spelling: {name_some(spellings)}. Each line withdraws the image of its path alone. If "
            "the row is of the same patient, write the id as the row has it."
        )
    if not notes:
        return
    progress.warn(
        f"{source.name}: no row of the metadata is of {count_of(len(notes), 'withdrawn patient')} in "
        f"{source.withdrawals_place}: {name_some(notes)}. Correct an id that is misspelt: it withdraws no "
        "image. Leave the line of a patient whose rows are deleted, or who has no image yet: it withdraws "
        "the images that come later. Once it also names the path of an image that was the patient's, it is "
        "no longer reported."
    )


def withdraw_patients(records: pd.DataFrame, sources: Sequence[Source]) -> pd.DataFrame:
    """Return the rows, those of withdrawn patients excluded whose patient the metadata alone does not say.

    These are images that a correction gives to such a patient, and images of other sources with the same
    ``patient_namespace``. The reason stays with the source that declares it, unless that source is public.

    Parameters
    ----------
    records
        The corrected rows of all sources.
    sources
        The sources.
    """
    if not any(source.all_withdrawals.patients for source in sources):
        return records
    records = records.copy(deep=False)
    for source in sources:
        rows = records[
            records["source"].eq(source.name) & records["exclusion"].ne("withdrawn").fillna(value=True)
        ]
        known = set(rows["patient_id"].dropna())
        by_id: dict[str, Withdrawal] = {}
        for other in sorted(sources, key=lambda one: one is not source):
            if not known or other.numbered_by != source.numbered_by:
                continue
            for number, one in other.all_withdrawals.patients.items():
                hashed = hash_identifier(read_key(), number) if source.hashes_patients else number
                by_id.setdefault(hashed, seen_from(source, other, one))
        paths = rows.loc[rows["patient_id"].isin(list(by_id)), ["source_path", "patient_id"]]
        of_path = dict(paths.itertuples(index=False, name=None))
        found = rows.loc[rows["source_path"].isin(list(of_path)), "source_path"]
        mark_withdrawn(records, {row: by_id[of_path[path]] for row, path in found.items()}, source.license)
    return records


def seen_from(source: Source, declaring: Source, one: Withdrawal) -> Withdrawal:
    """Return a withdrawal as a row of a source has it: without the reason of another private source."""
    if declaring is source or declaring.public:
        return one
    return Withdrawal(one.path, one.date, "")


def plain_identifier(identifier: str) -> str:
    """Return an identifier without case, spaces and zeros in front of numbers."""
    return re.sub(r"(?<!\d)0+(?=\d)", "", re.sub(r"\s", "", identifier.casefold()))
