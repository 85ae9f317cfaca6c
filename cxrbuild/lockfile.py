"""``sources.lock.json``: where each fetched source came from and how it was verified."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from cxrbuild.catalog.source import Pin
from cxrbuild.errors import CxrbuildError, name_some
from cxrbuild.files import read_json, write_json
from cxrbuild.problems import describe_value
from cxrbuild.shell import join

_FORMAT = 2
Proof = Literal["git tree", "archive and names", "names", "none"]


@dataclass(frozen=True)
class LockedSource:
    """The entry of one source.

    Attributes
    ----------
    origin
        Where its files came from: an address without credentials, or a path.
    pin
        The declared pin at the time, as declared.
    proof
        How the files were verified against the pin: by its git tree hash, by its archive's SHA-256 and list
        of names, by the names alone, or not at all: the source declares no pin, or other names.
    unpinned
        Whether the files are not verified to be the pinned version.
    tree
        Git tree hash of the files as they were put in place.
    files, bytes
        The number of files and their total size.
    missing, extra
        Paths of the pin's listing without a file, and paths of files that the listing does not have.
    different
        Paths whose bytes differ from the pin's, with the git blob hash that was found.
    patient_key
        Fingerprint of the key that patient numbers are hashed with; ``None`` where none was set.
    """

    origin: str
    pin: Pin
    proof: Proof
    unpinned: bool
    tree: str
    files: int
    bytes: int
    missing: list[str] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    different: dict[str, str] = field(default_factory=dict)
    patient_key: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the entry as JSON has it."""
        return asdict(self) | {"pin": self.pin.declared()}


def lock_path(data: Path) -> Path:
    """Return the path of a data folder's lock."""
    return data / "sources.lock.json"


def source_folder(data: Path, name: str) -> Path:
    """Return the folder of a source's files."""
    return data / "sources" / name


def data_folder(root: Path) -> Path:
    """Return the data folder that has a source's folder."""
    return root.parent.parent


def fetch_command(
    addresses: Sequence[str], data: Path, *, bring: Sequence[str] = (), options: Sequence[str] = ()
) -> str:
    """Return the command that fetches sources into a data folder, as a message names it.

    Parameters
    ----------
    addresses
        The sources as arguments: names of shipped ones, paths of declarations.
    data
        The data folder; the default one is not named.
    bring
        The names of those that have no address: the user adds where their files are.
    options
        More options.
    """
    words = ["cxrbuild", "fetch", *addresses]
    words += [word for name in bring for word in ("--from", f"{name}=...")]
    words += [] if data == Path("data") else ["--data", str(data)]
    return join([*words, *options])


def read_lock(data: Path) -> dict[str, LockedSource]:
    """Read the lock of a data folder; a missing lock is empty.

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
                "a lock of another format", where=path, expected=f"format {_FORMAT}",
                found=f"format {document['format']}", todo="Move it away and fetch the sources again",
            )  # fmt: skip
        return TypeAdapter(dict[str, LockedSource]).validate_python(document["sources"])
    except (KeyError, TypeError, ValidationError) as error:
        found: object = error
        if isinstance(error, ValidationError):
            problems = (f"{'.'.join(map(str, one['loc']))}: {describe_value(one)}" for one in error.errors())
            found = name_some(problems, 3)
        raise CxrbuildError(
            "not a lock of sources", where=path, found=found, todo="Move it away and fetch the sources again"
        ) from error


def write_lock(data: Path, sources: dict[str, LockedSource]) -> None:
    """Write the lock of a data folder: sources by name, the same bytes for the same content."""
    entries = {name: sources[name].to_dict() for name in sorted(sources)}
    write_json(lock_path(data), {"format": _FORMAT, "sources": entries})
