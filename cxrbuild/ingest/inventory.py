"""The files of a source: which upstream has, and which are available."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from cxrbuild.catalog.reader import Inventory
from cxrbuild.catalog.source import Source
from cxrbuild.errors import CxrbuildError
from cxrbuild.fetch_advice import fetch_commands
from cxrbuild.files import files_under, is_desktop_file
from cxrbuild.lockfile import data_folder


def take_inventory(
    source: Source,
    root: Path,
    *,
    different: dict[str, str] | None = None,
    fetched: Collection[str] = (),
    as_pinned: bool = False,
) -> Inventory:
    """List a source's files.

    Parameters
    ----------
    source
        The source.
    root
        Its folder.
    different
        Blob hashes found where a file's bytes are not the pin's, by path.
    fetched
        Paths that were fetched: upstream has them, also where they are missing now.
    as_pinned
        Assume that every file of the pin's listing is available; of the files only the metadata is read.

    Raises
    ------
    CxrbuildError
        The folder does not exist, or with ``as_pinned`` the source lists no files or its metadata is not
        the pin's.
    """
    if not root.is_dir():
        (command,) = fetch_commands(data_folder(root), [source])
        todo = f"Run {command}"
        if as_pinned:
            todo += ", or put its metadata alone there: --as-pinned reads the metadata, and needs no image"
        raise CxrbuildError(f"the source {source.name} is not there", where=root, todo=todo)
    blobs = {path: listed.blob for path, listed in (source.listing or {}).items()}
    if not as_pinned:
        start = len(str(root)) + 1
        # A pipe or a link to nothing cannot be read as an image.
        files = [entry for entry in files_under(root) if entry.is_file()]
        paths = {entry.path[start:].replace(os.sep, "/"): entry.name for entry in files}
        upstream = blobs.keys() | set(fetched)
        available = frozenset(p for p, name in paths.items() if p in upstream or not is_desktop_file(name))
        blobs = dict.fromkeys([*available, *fetched]) | blobs | (different or {})
        return Inventory(root, available, blobs)
    if source.listing is None:
        raise CxrbuildError(
            f"the source {source.name} has no pinned listing to plan from",
            todo="Plan without --as-pinned, or declare pin.listing",
        )
    for path, blob, found in source.reader.changed_metadata(root, blobs):
        if blob is not None:
            raise CxrbuildError(
                "not the pinned metadata", where=root / path, expected=f"git blob {blob}", found=found,
                todo="Plan without --as-pinned, or fetch the pinned source",
            )  # fmt: skip
    return Inventory(root, frozenset(blobs), blobs)
