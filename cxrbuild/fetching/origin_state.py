"""Find out whether a folder or an archive changed since it was fetched, without reading its files."""

from __future__ import annotations

from pathlib import Path

from cxrbuild.errors import CxrbuildError
from cxrbuild.files import read_json, write_json


def state_path(data: Path, name: str) -> Path:
    """Return the path of the record of a source's origin."""
    return data / "downloads" / f"{name}.origin.json"


def write_origin_state(data: Path, name: str, origin: object, state: str | None) -> None:
    """Record the state that an origin had when a source was fetched from it, see `files.tree_state`."""
    write_json(state_path(data, name), {"origin": str(origin), "state": state})


def is_unchanged(data: Path, name: str, origin: object, state: str | None) -> bool:
    """Return whether an origin has the state that it had when a source was fetched from it."""
    try:
        document = read_json(state_path(data, name))
    except (OSError, CxrbuildError):
        return False
    return state is not None and document == {"origin": str(origin), "state": state}
