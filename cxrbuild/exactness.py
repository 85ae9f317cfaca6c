"""How exact a copy of the pinned sources is: of each image and of each source, decided in this one place."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from cxrbuild.errors import count_of
from cxrbuild.exclusions import MISSING

if TYPE_CHECKING:
    import pandas as pd

    from cxrbuild.artifact.build import SourceExactness
    from cxrbuild.catalog.source import Pin, Source

MEANINGS = {
    "verified": "verified: when it was fetched, its bytes were those of the pin",
    "other_bytes": "other bytes than the pin's",
    "name_only": "only its name is known to be the pin's: the pin has no hash of single files",
    "missing": "missing",
    "not_pinned": "not pinned: no pin lists it",
}
"""What each state of an image means."""

_TITLES = {state: state.replace("_", " ") for state in MEANINGS}
# Radiographs do not become smaller in an archive, so far fewer bytes are those of other files.
_FAR_LESS = 0.5


class Locked(Protocol):
    """What is read of a source's entry in the lock, or of what a build records of it."""

    @property
    def pin(self) -> Pin:
        """The declared pin."""

    @property
    def unpinned(self) -> bool:
        """Whether the files are not verified to be the pinned version."""

    @property
    def bytes(self) -> int:
        """The total size of the files."""

    @property
    def missing(self) -> Collection[str]:
        """Paths that the pin lists and no file has."""

    @property
    def extra(self) -> Collection[str]:
        """Paths of files that the pin does not list."""

    @property
    def different(self) -> Mapping[str, str]:
        """Paths whose bytes differ from the pin's."""


def image_states(rows: pd.DataFrame, sources: Mapping[str, Locked]) -> pd.Series:
    """Return the state of each row's file, one of `MEANINGS`.

    Parameters
    ----------
    rows
        Rows of the ledger.
    sources
        What is recorded of each source, by name; a source without an entry was not fetched.
    """
    import pandas as pd

    states = pd.Series("not_pinned", index=rows.index, dtype="str")
    for name, part in rows.groupby("source"):
        lock = sources.get(str(name))
        if lock is None or not _is_pinned(lock):
            continue
        if not lock.unpinned:
            states[part.index] = "verified"
            continue
        paths = part["source_path"]
        # A row has the pin's hash of its file where the pin has one; a file of another hash is `different`.
        # A git tree has the hash of every file that it lists, an archive has names alone.
        by_name = lock.pin.listing is not None and lock.pin.tree is None
        found = pd.Series("name_only" if by_name else "not_pinned", index=part.index)
        found[part["source_blob"].notna()] = "verified"
        found[paths.isin(list(lock.different))] = "other_bytes"
        found[paths.isin(list(lock.extra))] = "not_pinned"
        found[paths.isin(list(lock.missing))] = "missing"
        states[part.index] = found
    states[rows["exclusion"].isin(MISSING)] = "missing"
    states[rows["exclusion"] == "row_without_file"] = "not_pinned"
    return states


def dataset_rows(records: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a ledger whose images belong to the dataset; missing ones belong to it too."""
    return records[records["exclusion"].isna() | records["exclusion"].isin(MISSING)]


def count_exactness(records: pd.DataFrame, sources: Mapping[str, Locked]) -> dict[str, SourceExactness]:
    """Count the images of a dataset by source and state, as `dataset_rows` has them.

    Parameters
    ----------
    records
        The ledger.
    sources
        What is recorded of each source, by name.
    """
    rows = dataset_rows(records)
    states = image_states(rows, sources)
    counts = {
        str(name): _counted(found.value_counts().to_dict(), sources.get(str(name)))
        for name, found in states.groupby(rows["source"])
    }
    # In the order of the recipe, as in all other tables.
    return {name: counts[name] for name in [*sources, *sorted(counts.keys() - sources)] if name in counts}


def count_files(paths: Collection[str], source: Source, lock: Locked) -> SourceExactness:
    """Count the images of a source's files by state, before any recipe chooses among them.

    Parameters
    ----------
    paths
        The paths of its files.
    source
        The source.
    lock
        Its entry in the lock.
    """
    counts = dict.fromkeys(MEANINGS, 0)
    listed, reader = source.listing or {}, source.reader
    for path in {*paths, *listed}:
        # A withdrawn image whose file was deleted is no image of the source any more.
        if not reader.matches(path, reader.images) or (path in source.withdrawals and path not in paths):
            continue
        if not _is_pinned(lock) or (lock.unpinned and path not in listed):
            state = "not_pinned"
        elif path not in paths:
            state = "missing"
        elif path in lock.different:
            state = "other_bytes"
        else:
            state = "verified" if not lock.unpinned or listed[path].blob else "name_only"
        counts[state] += 1
    return _counted(counts, lock)


def describe_exactness(exactness: Mapping[str, SourceExactness]) -> list[str]:
    """Return sentences: how many images are exact, and the sizes where a pin is that of an archive."""
    total = sum(sum(one.counts.values()) for one in exactness.values())
    counts = {state: sum(one.counts[state] for one in exactness.values()) for state in MEANINGS}
    if not total:
        return []
    others = [
        f"{text}: {counts[state]:,}."
        for state, text in (
            ("other_bytes", "Other bytes than the pin's"),
            ("name_only", "Only the name can be checked"),
            ("missing", "Missing"),
            ("not_pinned", "Not pinned"),
        )
        if counts[state]
    ]
    said = f"{counts['verified']:,} of {count_of(total, 'image')} verified: they have the bytes of the pins."
    return [" ".join([said, *others]), *describe_archives(exactness)]


def describe_archives(exactness: Mapping[str, SourceExactness]) -> list[str]:
    """Return a sentence for each source whose pin is that of an archive, and that it could not verify."""
    sentences = []
    for name, one in exactness.items():
        if one.archive_bytes is None or one.found_bytes is None:
            continue
        far_less = one.found_bytes < _FAR_LESS * one.archive_bytes
        sentences.append(
            f"{name}: expected the files of an archive of {one.archive_bytes / 1e6:,.1f} MB; found files of "
            f"{one.found_bytes / 1e6:,.1f} MB"
            + (", so many or all of them have other bytes." if far_less else ".")
        )
    return sentences


def exactness_table(exactness: Mapping[str, SourceExactness]) -> tuple[list[str], list[list[Any]]]:
    """Return the header and the rows of a table: a row for each source, a column for each state."""
    shown = [
        state
        for state in MEANINGS
        if state != "not_pinned" or any(one.not_pinned for one in exactness.values())
    ]
    rows: list[list[Any]] = [
        [name, *(one.counts[state] for state in shown)] for name, one in exactness.items()
    ]
    return ["images", *(_TITLES[state] for state in shown)], rows


def is_exact(exactness: Mapping[str, SourceExactness]) -> bool:
    """Return whether every image is verified."""
    return all(one.verified == sum(one.counts.values()) for one in exactness.values())


def _is_pinned(lock: Locked) -> bool:
    return lock.pin.verifies


def _counted(counts: Mapping[Any, int], lock: Locked | None) -> SourceExactness:
    from cxrbuild.artifact.build import SourceExactness

    states = {state: int(counts.get(state, 0)) for state in MEANINGS}
    archive = lock.pin.bytes if lock is not None and states["name_only"] else None
    return SourceExactness(
        **states, archive_bytes=archive, found_bytes=None if archive is None or lock is None else lock.bytes
    )
