"""The checks of a list: each yields what is wrong, with the lines that it is about."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from itertools import combinations
from typing import TYPE_CHECKING, Any

from cxrbuild.errors import count_of, name_some

if TYPE_CHECKING:
    import pandas as pd

# Exchanged letters in a name of four give 0.75.
_RESEMBLING = 0.75


@dataclass(frozen=True)
class ListFinding:
    """Something wrong with a list.

    Attributes
    ----------
    message
        What it is.
    rows
        Where: ``train.txt:12``.
    """

    message: str
    rows: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return the finding as JSON has it."""
        return {"message": self.message, "rows": self.rows}


@dataclass(frozen=True)
class ListCheck:
    """A check of lists.

    Attributes
    ----------
    id
        Its name.
    sentence
        What holds where it finds nothing.
    run
        Takes the rows, with ``image`` and ``of_source`` where there are sources, and the records.
    needs_sources
        Whether it needs the sources' metadata.
    """

    id: str
    sentence: str
    run: Callable[[pd.DataFrame, pd.DataFrame], Iterator[ListFinding]]
    needs_sources: bool = False


def find_patients_in_splits(rows: pd.DataFrame, _: pd.DataFrame) -> Iterator[ListFinding]:
    """Find patients of one source in several splits."""
    known = _with_patients(rows)
    for (_source, patient), group in known.groupby(["source", "patient"]):
        if group["split"].nunique() > 1:
            yield ListFinding(f"patient {patient} is in {_splits(group)}", _places(group))


def find_repeated_files(rows: pd.DataFrame, _: pd.DataFrame) -> Iterator[ListFinding]:
    """Find files that are listed several times."""
    for path, group in _by_file(rows):
        if len(group) > 1:
            where = f" in {_splits(group)}" if group["split"].nunique() > 1 else ""
            yield ListFinding(f"{path} is listed {len(group)} times{where}", _places(group))


def find_classes(rows: pd.DataFrame, _: pd.DataFrame) -> Iterator[ListFinding]:
    """Find files that have several classes."""
    for path, group in _by_file(rows):
        classes = sorted(set(group["label"].dropna()))
        if len(classes) > 1:
            yield ListFinding(f"{path} has the classes {' and '.join(classes)}", _places(group))


def find_spellings(rows: pd.DataFrame, _: pd.DataFrame) -> Iterator[ListFinding]:
    """Find ids of one source that differ only in case, separators, leading zeros or a letter at the end."""
    known = _with_patients(rows)
    for (source, _plain), group in known.groupby(["source", known["patient"].map(_plain_id)]):
        ids = sorted(set(group["patient"]))
        if len(ids) > 1:
            of = f" of {source}" if source else ""
            yield ListFinding(
                f"{' and '.join(ids)}{of} can be one patient, in {_splits(group)}", _places(group)
            )


def find_source_names(rows: pd.DataFrame, _: pd.DataFrame) -> Iterator[ListFinding]:
    """Find names of sources that resemble each other, as where two letters are exchanged."""
    counts = rows["source"].value_counts()
    for a, b in combinations(sorted(counts.index), 2):
        if SequenceMatcher(None, a.casefold(), b.casefold()).ratio() >= _RESEMBLING:
            few = min((a, b), key=lambda name: counts[name])
            yield ListFinding(
                f"the sources {a} ({counts[a]:,} rows) and {b} ({counts[b]:,} rows) can be one",
                _places(rows[rows["source"] == few]),
            )


def find_words(rows: pd.DataFrame, _: pd.DataFrame) -> Iterator[ListFinding]:
    """Find patients whose id is no id: it has no digit."""
    known = rows[rows["patient"].notna()]
    for patient, group in known[~known["patient"].str.contains(r"\d")].groupby("patient"):
        images = count_of(len(group), "image")
        yield ListFinding(f"{patient!r} is no id; it has {images} in {_splits(group)}", _places(group))


def find_unknown_files(rows: pd.DataFrame, _: pd.DataFrame) -> Iterator[ListFinding]:
    """Find files that their source does not have."""
    unknown = rows[rows["image"].isna() & rows["of_source"].notna()]
    for path, place in zip(unknown["file"], _places(unknown), strict=True):
        yield ListFinding(f"no source has {path}", [place])


def find_linked_images(rows: pd.DataFrame, records: pd.DataFrame) -> Iterator[ListFinding]:
    """Find groups of patients by the sources' metadata and links that are in several splits."""
    known = rows[rows["image"].notna()]
    groups = records.loc[known["image"].astype(int), "group"].to_numpy()
    for group, found in known.groupby(groups):
        if found["split"].nunique() > 1:
            patients = name_some(sorted(set(found["patient"].dropna())), 4)
            yield ListFinding(
                f"the images of {group} are in {_splits(found)}; the list has the patients {patients}",
                _places(found),
            )


def find_equal_files(rows: pd.DataFrame, records: pd.DataFrame) -> Iterator[ListFinding]:
    """Find different files of equal bytes in several splits."""
    known = rows[rows["image"].notna()]
    blobs = records.loc[known["image"].astype(int), "source_blob"].to_numpy()
    for _blob, found in known.groupby(blobs):
        if found["split"].nunique() > 1 and found["path"].nunique() > 1:
            yield ListFinding(
                f"{' and '.join(sorted(set(found['path'])))} have the same bytes", _places(found)
            )


def find_other_patients(rows: pd.DataFrame, records: pd.DataFrame) -> Iterator[ListFinding]:
    """Find patients of a source that the list has under several ids."""
    known = rows[rows["image"].notna() & rows["patient"].notna()]
    images = records.loc[known["image"].astype(int)]
    # An image without a patient, or of a hashed one, says nothing about the id.
    names = (images["source"] + ":" + images["patient_id"]).to_numpy()
    for name, found in known.groupby(names):
        ids = sorted(set(found["patient"]))
        if len(ids) > 1:
            yield ListFinding(f"{name} is listed as {name_some(ids, 4)} in {_splits(found)}", _places(found))


CHECKS = (
    ListCheck("patients", "No patient is in two splits.", find_patients_in_splits),
    ListCheck("files", "No file is listed twice.", find_repeated_files),
    ListCheck("classes", "No file has two classes.", find_classes),
    ListCheck("spellings", "No patient has two spellings.", find_spellings),
    ListCheck("source_names", "No source has two spellings.", find_source_names),
    ListCheck("ids", "Every patient id has a number.", find_words),
    ListCheck("known_files", "The sources have every file.", find_unknown_files, needs_sources=True),
    ListCheck("linked_images", "No linked images are in two splits.", find_linked_images, needs_sources=True),
    ListCheck("equal_files", "No equal files are in two splits.", find_equal_files, needs_sources=True),
    ListCheck(
        "source_patients", "No patient of a source has two ids.", find_other_patients, needs_sources=True
    ),
)


def _with_patients(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that have a patient, each with the source of its id."""
    known = rows[rows["patient"].notna()]
    return known.assign(source=_filled_sources(known, known["patient"]))


def _filled_sources(rows: pd.DataFrame, key: pd.Series) -> pd.Series:
    """Return the source of each row; a row without one gets that of the other rows of its key."""
    first = rows["source"].groupby(key).first()
    single = rows["source"].groupby(key).nunique() == 1
    return rows["source"].fillna(key.map(first[single]).astype("str")).fillna("")


def _by_file(rows: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    folded = rows["path"].str.casefold()
    key = _filled_sources(rows, folded) + "\0" + folded
    for _, group in rows[key.duplicated(keep=False)].groupby(key):
        yield group["path"].iloc[0], group


def _plain_id(patient: str) -> str:
    parts = re.findall(r"[a-z]+|\d+", patient.casefold())
    if len(parts) > 1 and len(parts[-1]) == 1 and parts[-1].isalpha():
        parts.pop()
    return "-".join(part.lstrip("0") or "0" if part.isdigit() else part for part in parts)


def _splits(rows: pd.DataFrame) -> str:
    return " and ".join(sorted(set(rows["split"])))


def _places(rows: pd.DataFrame) -> list[str]:
    files = rows["list"].str.replace("\\", "/").str.rsplit("/", n=1).str[-1]
    return [f"{file}:{line}" for file, line in zip(files, rows["line"], strict=True)]
