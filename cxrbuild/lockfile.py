"""``sources.lock.json``: for each fetched source where it came from and what was proven of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from cxrbuild.errors import CxrbuildError, name_some
from cxrbuild.files import read_json, write_json

_FORMAT = 1
Proof = Literal["git tree", "archive and names", "names", "nothing"]


@dataclass(frozen=True)
class LockedSource:
    """What is known of one source's files.

    Attributes
    ----------
    origin
        Where they came from: an address without credentials, or a path.
    pin
        The declared pin at the time, as declared.
    proven
        What was proven against the pin: its git tree hash, its archive's SHA-256 and listing of names, the
        names alone, or nothing: the source declares no pin, or has other names in it.
    unpinned
        Whether the files are not proven to be the pinned version.
    tree
        Git tree hash of the files as they were put in place.
    files, bytes
        How many there are, and their size in all.
    missing, extra
        Paths that the pin's listing has and the files have not, and the reverse.
    different
        Paths whose bytes differ from the pin's, with the git blob hash that was found.
    """

    origin: str
    pin: dict[str, Any]
    proven: Proof
    unpinned: bool
    tree: str
    files: int
    bytes: int
    missing: list[str] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    different: dict[str, str] = field(default_factory=dict)


def lock_path(data: Path) -> Path:
    """Return where the lock of a data folder is."""
    return data / "sources.lock.json"


def source_folder(data: Path, name: str) -> Path:
    """Return where a source's files are."""
    return data / "sources" / name


def read_lock(data: Path) -> dict[str, LockedSource]:
    """Read the lock of a data folder; one that is not there is empty.

    Raises
    ------
    CxrbuildError
        The file is not a lock, or of a format that this version does not know.
    """
    from pydantic import TypeAdapter, ValidationError

    path = lock_path(data)
    if not path.exists():
        return {}
    document = read_json(path)
    try:
        if document["format"] != _FORMAT:
            raise CxrbuildError(
                "a lock of another format", where=path, expected=_FORMAT, found=document["format"],
                todo="Fetch the sources again with this version",
            )  # fmt: skip
        return TypeAdapter(dict[str, LockedSource]).validate_python(document["sources"])
    except (KeyError, TypeError, ValidationError) as error:
        found: object = error
        if isinstance(error, ValidationError):
            faults = (f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
            found = name_some(faults, 3)
        raise CxrbuildError(
            "not a lock of sources", where=path, found=found, todo="Move it away and fetch the sources again"
        ) from error


def write_lock(data: Path, sources: dict[str, LockedSource]) -> None:
    """Write the lock of a data folder: sources by name, the same bytes for the same content."""
    entries = {name: asdict(sources[name]) for name in sorted(sources)}
    write_json(lock_path(data), {"format": _FORMAT, "sources": entries})
