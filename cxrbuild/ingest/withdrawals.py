"""Exclude the images that were withdrawn from a source, and keep nothing else about them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from cxrbuild.catalog.source import Source
from cxrbuild.catalog.withdrawal import Withdrawal, require_known
from cxrbuild.errors import DeclarationError, count_of, name_some, nearest
from cxrbuild.ingest.withdrawn_patients import plain_identifier
from cxrbuild.progress import Progress, silent
from cxrbuild.records import conform

if TYPE_CHECKING:
    import pandas as pd

_KEEP_PRIVATE = (
    "An identifier can be the number of a patient: keep that file private, and do not commit it to a public "
    "repository."
)
# What the table keeps of a withdrawn image. Its licence is replaced by that of the source.
_KEPT = ("image_id", "source", "source_path", "license", "group", "exclusion", "exclusion_detail",
         "exclusion_note")  # fmt: skip


def exclude_withdrawn(
    records: pd.DataFrame,
    source: Source,
    files: Iterable[str],
    progress: Progress = silent,
    read_identifiers: Callable[[], Sequence[tuple[str, str]]] = tuple,
) -> pd.DataFrame:
    """Write ``withdrawn`` into ``exclusion``, with a row for each withdrawn image that has none.

    A withdrawn image keeps its row when the source no longer has it: reviews and links can still name it,
    and the ledger shows what became of it. Withdrawal overrides other exclusions.

    Parameters
    ----------
    records
        The source's rows, with ``withdrawn`` in those of withdrawn patients.
    source
        The source.
    files
        The paths of its files.
    progress
        Notes rows that may be of withdrawn images.
    read_identifiers
        Returns for each row its place in the metadata, and how it names its image there.

    Raises
    ------
    DeclarationError
        A withdrawal is of an image that the source neither has nor had, or names a file in another spelling;
        or its identifier is that of a row in another spelling.
    """
    import pandas as pd

    if not source.withdrawals and records["exclusion"].isna().all():
        return records
    files = frozenset(files)
    known = {*files, *records["source_path"], *source.former}
    records["source_path"] = _joined(records["source_path"], source, files)
    if source.listing is None:
        known.update(records["source_path"])  # nothing but the withdrawal has the path of a deleted file
    of_patients = records.loc[
        records["exclusion"].eq("withdrawn"), ["source_path", "exclusion_detail", "exclusion_note"]
    ]
    require_known(source.withdrawals_place, source.withdrawals, known)
    if absent := sorted(set(source.withdrawals) - set(records["source_path"])):
        # One with an identifier has no row of that identifier: no row can be of it, if it is spelt right.
        unknown = [path for path in absent if not source.withdrawals[path].identifier]
        if source.reader.reads_images and unknown:
            records = _without_doubtful_values(records, source, files, len(unknown), progress)
        records = _without_misspelt(records, source, files, absent, progress, read_identifiers)
        rows = conform(pd.DataFrame({"source_path": absent, "license": source.license}))
        records = pd.concat([records, rows], ignore_index=True)
    # An image can have rows of several patients, and is withdrawn with one of them.
    texts = {path: (detail, note) for path, detail, note in of_patients.itertuples(index=False)}
    texts |= {path: (one.describe(), one.reason) for path, one in source.withdrawals.items()}
    details = records["source_path"].map({path: detail for path, (detail, _) in texts.items()})
    notes = records["source_path"].map({path: note for path, (_, note) in texts.items()}).astype("str")
    withdrawn = details.notna()
    records.loc[withdrawn, "exclusion"] = "withdrawn"
    records.loc[withdrawn, "exclusion_detail"] = details[withdrawn]
    records.loc[withdrawn, "exclusion_note"] = notes[withdrawn]
    # A row of the metadata can have a licence of its own, which says something about the image.
    records.loc[withdrawn, "license"] = source.license
    return records


def _without_doubtful_values(
    records: pd.DataFrame, source: Source, files: Collection[str], absent: int, progress: Progress
) -> pd.DataFrame:
    """Return the rows, those that find no file without their values: they may be of withdrawn images.

    That is so while the identifier of a withdrawn image without a row is not declared.
    Only the header of the file, which was deleted, could say whose row it is.
    """
    import pandas as pd

    rowless = ~records["source_path"].isin(list(files))
    if not rowless.any():
        return records
    doubtful = conform(records.loc[rowless, ["source_path"]])
    doubtful["license"] = source.license
    progress.warn(
        f"{source.name}: {count_of(absent, 'withdrawn image')} without a row, and "
        f"{count_of(len(doubtful), 'row')} of metadata without a file. Such a row may be of a withdrawn "
        "image, so nothing of it is kept. Write the identifier that finds the row of each of these images "
        f"into the column `identifier` of {source.withdrawals_place}, also where the row is deleted: then it "
        "is known that no other row is of it. " + _KEEP_PRIVATE
    )
    return pd.concat([records[~rowless], doubtful]).sort_index()


def _without_misspelt(
    records: pd.DataFrame,
    source: Source,
    files: Collection[str],
    absent: Iterable[str],
    progress: Progress,
    read_identifiers: Callable[[], Sequence[tuple[str, str]]],
) -> pd.DataFrame:
    """Return the rows, those that a withdrawal with a misspelt identifier may mean without their values.

    An identifier that no row has is no error in itself: the row may be deleted.

    Raises
    ------
    DeclarationError
        A row without a file has the identifier in another spelling.
    """
    import pandas as pd

    written = {path: text for path in absent if (text := source.withdrawals[path].identifier)}
    rowless = records.index[~records["source_path"].isin(list(files))]
    if not source.reader.reads_images or not written or rowless.empty:
        return records
    rows = dict(zip(records.index, read_identifiers(), strict=True))
    known = {identifier for _, identifier in rows.values()}
    by_identifier = {rows[row][1]: row for row in reversed(rowless)}
    problems, notes, doubtful = [], [], []
    for path, identifier in written.items():
        if identifier in known:
            continue  # the row is of other images, too
        same = next(
            (one for one in by_identifier if plain_identifier(one) == plain_identifier(identifier)), None
        )
        near = same or nearest(identifier, by_identifier)
        if near is None:
            continue
        place = rows[by_identifier[near]][0]
        if same is not None:
            problems.append(f"{path} {identifier} ({place}, has {same})")
        else:
            # Only the place says whose row it is where the source hashes identifiers.
            named = f"{near}, in {place}" if source.reader.patient_id == "keep" else f"in {place}"
            notes.append(f"{path} {identifier} (the nearest is {named})")
            doubtful.append(by_identifier[near])
    if problems:
        raise DeclarationError(
            f"{count_of(len(problems), 'identifier')} of withdrawals in another spelling than the metadata",
            where=source.withdrawals_place, expected="each identifier as its row has it",
            found=name_some(problems),
            todo="Write the identifiers as the rows have them: a misspelt one leaves the values of the row",
        )  # fmt: skip
    if not notes:
        return records
    progress.warn(
        f"{source.name}: no row of the metadata has the identifier of these withdrawn images: "
        f"{name_some(notes)}. The nearest row has no file and may be of the image, so nothing of it is kept. "
        f"Correct the identifier in {source.withdrawals_place}. If the row is of another image, fetch the "
        f"file of that image, or delete the row. {_KEEP_PRIVATE}"
    )
    emptied = conform(records.loc[doubtful, ["source_path"]]).assign(license=source.license)
    return pd.concat([records.drop(index=doubtful), emptied]).sort_index()


def _joined(paths: pd.Series, source: Source, files: frozenset[str]) -> pd.Series:
    """Return the paths of the rows, those of rows of deleted, withdrawn files as the withdrawal has them.

    Such a row names its image otherwise: by its file name alone, or by an identifier of its header.
    """
    names = {name: one.path for one in source.withdrawals.values() for name in _names_in_rows(one, source)}
    names = {name: path for name, path in names.items() if name not in files}
    return paths.replace(names) if names else paths


def _names_in_rows(one: Withdrawal, source: Source) -> Iterable[str]:
    """Return how a row can name the image of a withdrawal when there is no file."""
    if source.reader.finds_by_name:
        yield one.path.rpartition("/")[2]
    if one.identifier:
        yield source.reader.path_without_image(one.identifier)


def without_withdrawn_values(records: pd.DataFrame) -> pd.DataFrame:
    """Return the table with nothing about withdrawn images but which they are, when and why they left.

    Their rows stay, so that the flow chart adds up. Their patients are not known any more, so each has a
    group of its own.

    Parameters
    ----------
    records
        The table, with exclusions, groups and splits.
    """
    withdrawn = records["exclusion"].eq("withdrawn").fillna(value=False).astype("bool")
    if not withdrawn.any():
        return records
    records = records.copy(deep=False)
    for column in records.columns.difference(list(_KEPT)):
        records[column] = records[column].mask(withdrawn)
    image = records["source"] + "/" + records["source_path"]
    records["group"] = records["group"].mask(withdrawn, image)
    return records
