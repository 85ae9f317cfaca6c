"""The checks of a list: each yields what is wrong, with the lines that it is about."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from difflib import SequenceMatcher
from itertools import combinations
from typing import TYPE_CHECKING

from cxrbuild.errors import count_of, name_some, noun_of
from cxrbuild.lists.context import ListCheck, ListContext, ListFinding
from cxrbuild.lists.reading import places

if TYPE_CHECKING:
    import pandas as pd

# Exchanged letters in a name of four give 0.75.
_RESEMBLING = 0.75


def find_patients_in_splits(context: ListContext) -> Iterator[ListFinding]:
    """Find patients of one source in several splits."""
    known = _with_patients(context.rows)
    for group in _varying(known, known["source"] + "\0" + known["patient"], "split"):
        patient = group["patient"].iloc[0]
        yield ListFinding(f"patient {patient} is in {_splits(group)}", rows=_places(group))


def find_repeated_files(context: ListContext) -> Iterator[ListFinding]:
    """Find files that are listed several times."""
    for path, group in _by_file(context.rows):
        if len(group) > 1:
            where = f" in {_splits(group)}" if group["split"].nunique() > 1 else ""
            yield ListFinding(f"{path} is listed {len(group)} times{where}", rows=_places(group))


def find_classes(context: ListContext) -> Iterator[ListFinding]:
    """Find files that have several classes."""
    for path, group in _by_file(context.rows):
        if group["label"].nunique() > 1:
            yield ListFinding(f"{path} has the classes {_classes(group)}", rows=_places(group))


def find_spellings(context: ListContext) -> Iterator[ListFinding]:
    """Find ids of one source that differ only in case, separators, leading zeros or a letter at the end."""
    known = _with_patients(context.rows)
    for group in _varying(known, known["source"] + "\0" + known["patient"].map(_plain_id), "patient"):
        source, ids = group["source"].iloc[0], sorted(set(group["patient"]))
        of = f" of {source}" if source else ""
        yield ListFinding(
            f"{' and '.join(ids)}{of} can be one patient, in {_splits(group)}", rows=_places(group)
        )


def find_source_names(context: ListContext) -> Iterator[ListFinding]:
    """Find names of sources that resemble each other, as where two letters are exchanged."""
    rows = context.rows
    counts = rows["source"].value_counts()
    for a, b in combinations(sorted(counts.index), 2):
        if SequenceMatcher(None, a.casefold(), b.casefold()).ratio() >= _RESEMBLING:
            few = min((a, b), key=lambda name: counts[name])
            yield ListFinding(
                f"the sources {a} ({count_of(counts[a], 'row')}) and {b} ({count_of(counts[b], 'row')}) "
                "can be one",
                rows=_places(rows[rows["source"] == few]),
            )


def find_words(context: ListContext) -> Iterator[ListFinding]:
    """Find patients whose id is no id: it has no digit."""
    rows = context.rows
    known = rows[rows["patient"].notna()]
    for patient, group in known[~known["patient"].str.contains(r"\d")].groupby("patient"):
        images = count_of(len(group), "image")
        yield ListFinding(f"{patient!r} is no id; it has {images} in {_splits(group)}", rows=_places(group))


def find_unknown_files(context: ListContext) -> Iterator[ListFinding]:
    """Find files that their source, or any source, does not have."""
    unknown = context.rows[context.rows["absent"]]
    for path, place in zip(unknown["file"], _places(unknown), strict=True):
        yield ListFinding(f"no source has {path}", rows=[place])


def find_linked_images(context: ListContext) -> Iterator[ListFinding]:
    """Find groups of patients by the sources' metadata and links that are in several splits."""
    rows = context.known.assign(group=context.images["group"].array)
    for found in _varying(rows, rows["group"], "split"):
        message = f"the images of {found['group'].iloc[0]} are in {_splits(found)}"
        if patients := sorted(set(found["patient"].dropna())):
            message += f"; the list has the {noun_of(len(patients), 'patient')} {name_some(patients, 4)}"
        yield ListFinding(message, rows=_places(found))


def find_equal_files(context: ListContext) -> Iterator[ListFinding]:
    """Find different files of equal bytes in several splits."""
    blobs = context.images["source_blob"].set_axis(context.known.index)
    for found in _varying(context.known, blobs, "split"):
        if found["path"].nunique() > 1:
            yield ListFinding(
                f"{' and '.join(sorted(set(found['path'])))} have the same bytes", rows=_places(found)
            )


def find_other_patients(context: ListContext) -> Iterator[ListFinding]:
    """Find patients of a source that the list has under several ids."""
    images = context.images
    # An image without a patient, or of a hashed one, says nothing about the id.
    rows = context.known.assign(name=(images["source"] + ":" + images["patient_id"]).array)
    for found in _varying(rows, rows["name"], "patient"):
        name, ids = found["name"].iloc[0], sorted(set(found["patient"].dropna()))
        yield ListFinding(f"{name} is listed as {name_some(ids, 4)} in {_splits(found)}", rows=_places(found))


def find_near_duplicates(context: ListContext) -> Iterator[ListFinding]:
    """Find duplicates and near-duplicates, under two names, that are in two splits or of two classes."""
    import pandas as pd

    by_image = dict(iter(context.known.groupby("image")))
    for pair in context.pairs or ():
        a, b = (by_image[image] for image in (pair.a, pair.b))
        found = pd.concat([a, b])
        differ = [name for name in ("split", "label") if found[name].nunique() > 1]
        if differ:
            in_what = " and ".join(
                f"in {_splits(found)}" if name == "split" else "of the classes " + _classes(found)
                for name in differ
            )
            kind = "a near-duplicate" if pair.kind == "near-duplicate" else f"with the {pair.kind}"
            paths = f"{a['path'].iloc[0]} and {b['path'].iloc[0]}"
            yield ListFinding(f"{paths}, {kind} ({pair.similarity:.2f}), are {in_what}", rows=_places(found))


def _filled(column: str) -> Callable[[ListContext], pd.Series]:
    """Return the function that returns which rows have a value in a column of the list."""
    return lambda context: context.rows[column].notna()


def _of_images(context: ListContext) -> pd.Series:
    return context.rows["image"].notna()


def _of_images_with(column: str) -> Callable[[ListContext], pd.Series]:
    """Return the function that returns the image of which rows has a value in a column of its record."""

    def looks_at(context: ListContext) -> pd.Series:
        filled = context.images[column].notna().set_axis(context.known.index)
        return filled.reindex(context.rows.index, fill_value=False)

    return looks_at


def _of_patients(context: ListContext) -> pd.Series:
    return _of_images_with("patient_id")(context) & context.rows["patient"].notna()


def _of_known(context: ListContext) -> pd.Series:
    return context.rows["image"].notna() | context.rows["absent"]


def _of_compared(context: ListContext) -> pd.Series:
    return context.rows["image"].isin(list(context.compared or ()))


CHECKS = (
    ListCheck(
        "patients", "No patient is in two splits.", find_patients_in_splits,
        looks_at=_filled("patient"), lacks="a patient id",
    ),
    ListCheck("files", "No file is listed twice.", find_repeated_files),
    ListCheck(
        "classes", "No file has two classes.", find_classes, looks_at=_filled("label"), lacks="a class"
    ),
    ListCheck(
        "spellings", "No patient has two spellings.", find_spellings,
        looks_at=_filled("patient"), lacks="a patient id",
    ),
    ListCheck(
        "source_names", "No source has two spellings.", find_source_names,
        looks_at=_filled("source"), lacks="a source",
    ),
    ListCheck(
        "ids", "Every patient id has a number.", find_words, looks_at=_filled("patient"), lacks="a patient id"
    ),
    ListCheck(
        "known_files", "The sources have every file.", find_unknown_files, needs="sources",
        looks_at=_of_known, lacks="a file whose source is known to be here",
    ),
    ListCheck(
        "linked_images", "No linked images are in two splits.", find_linked_images, needs="sources",
        looks_at=_of_images, lacks="an image in {sources}",
    ),
    ListCheck(
        "equal_files", "No equal files are in two splits.", find_equal_files, needs="sources",
        looks_at=_of_images_with("source_blob"), lacks="an image in {sources} whose hash is known",
    ),
    ListCheck(
        "near_duplicates", "No near-duplicates are in two splits or of two classes.", find_near_duplicates,
        needs="images", looks_at=_of_compared, lacks="an image that can be read here",
    ),
    ListCheck(
        "source_patients", "No patient of a source has two ids.", find_other_patients, needs="sources",
        looks_at=_of_patients, lacks="a patient id both in the list and in {sources}",
    ),
)  # fmt: skip


def _varying(rows: pd.DataFrame, key: pd.Series, column: str) -> Iterator[pd.DataFrame]:
    """Yield the rows of each key that has several values of a column, in the order of the keys."""
    varying = rows[column].groupby(key).transform("nunique") > 1
    for _, group in rows[varying].groupby(key[varying]):
        yield group


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


def _classes(rows: pd.DataFrame) -> str:
    return " and ".join(sorted(set(rows["label"].dropna())))


def _places(rows: pd.DataFrame) -> list[str]:
    return places(rows).tolist()
