"""Whether patient numbers are hashed, and whether with the key that the lock records."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cxrbuild.catalog import Source
from cxrbuild.errors import CxrbuildError
from cxrbuild.fetch_advice import record_command
from cxrbuild.lockfile import LockedSource, lock_path
from cxrbuild.patient_key import KEY_VARIABLE, require_same_key

if TYPE_CHECKING:
    import pandas as pd


def hashes_numbers(source: Source, records: pd.DataFrame) -> bool:
    """Return whether a source has patient numbers that are hashed."""
    return source.reader.patient_id == "hash" and bool(records["patient_id"].notna().any())


def require_recorded_key(source: Source, lock: LockedSource | None, data: Path) -> None:
    """Refuse a key of patient numbers that is not the recorded one, and any key where none is recorded.

    Parameters
    ----------
    source
        The source.
    lock
        What the lock says of its files; ``None``: nothing.
    data
        The data folder.

    Raises
    ------
    CxrbuildError
        The key is another one, or the lock records none.
    """
    where = f"{lock_path(data)}, source {source.name}"
    if lock is None or lock.patient_key is None:
        raise CxrbuildError(
            "the lock does not record which key patient numbers are hashed with", where=where,
            expected="the fingerprint of the key",
            found="no entry" if lock is None else "an entry without it",
            todo=f"Set {KEY_VARIABLE} to the key that the numbers were hashed with before, if they were: "
            "another one gives every patient another id and other splits. Then "
            + advise_to_lock(source, data),
        )  # fmt: skip
    require_same_key({where: lock.patient_key})


def advise_to_lock(source: Source, data: Path) -> str:
    """Return the advice that records the key of a source's patient numbers."""
    return f"run `{record_command(data, [source])}`: it verifies the files, and records the key"
