"""Pin another version of a source, and compare two versions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cxrbuild.api.arguments import AnyPath
from cxrbuild.arguments import checked
from cxrbuild.progress import Progress, silent

if TYPE_CHECKING:
    from cxrbuild.pins import PinDiff, PinProposal


@checked
def propose_pin(
    source: AnyPath,
    data: AnyPath = "data",
    out: AnyPath | None = None,
    *,
    origin: str | None = None,
    commit: str | None = None,
    listing: AnyPath | None = None,
    released: Sequence[AnyPath] = (),
    progress: Progress = silent,
) -> PinProposal:
    """Write the pin of another version of a source next to the old one, and what changed.

    Parameters
    ----------
    source
        The name of a shipped source, or the path of a TOML file.
    data
        The data folder, which has the metadata of the pinned version.
    out
        The folder to write the new pin's folder into; default that of the declaration, or the current one
        for a shipped source.
    origin
        The new version: a folder, an archive or an address.
    commit
        The new version's commit, instead of ``origin``.
    listing
        All files of the new version, as ``git ls-tree -r`` lists them; ``origin`` then needs only its
        metadata.
    released
        Releases or manifests, in addition to the published ones, whose images are marked.
    progress
        Opens progress bars.

    Returns
    -------
    PinProposal
        ``declaration``: the file with the new pin; ``diff``: what changed; ``problems``: what to decide.

    Raises
    ------
    CxrbuildError
        The pinned version's metadata is not there, or the new version's files are not there.
    """
    from cxrbuild.pins import propose_pin as propose

    return propose(
        str(source),
        Path(data),
        None if out is None else Path(out),
        origin=origin,
        commit=commit,
        listing=None if listing is None else Path(listing),
        released=list(released),
        progress=progress,
    )


@checked
def diff_sources(
    old: AnyPath, new: AnyPath, data: AnyPath = "data", *, progress: Progress = silent
) -> PinDiff:
    """Return the changes between two versions of a source, from listings and metadata, without pixels.

    Parameters
    ----------
    old, new
        Shipped sources by name, or paths of declarations, such as those of `propose_pin`.
    data
        The data folder, which has the metadata of a source that was fetched.
    progress
        Opens progress bars.

    Returns
    -------
    PinDiff
        ``rows``: a row for each change of an image; ``counts()``: their numbers.

    Raises
    ------
    CxrbuildError
        A source lists no files, or its metadata is not there or of another version.
    """
    from cxrbuild.pins import compare_versions, find_released, read_source_version

    with progress(f"reading {old}", None, ""):
        before = read_source_version(str(old), Path(data))
    with progress(f"reading {new}", None, ""):
        after = read_source_version(str(new), Path(data))
    with progress("comparing", None, ""):
        return compare_versions(before, after, find_released(before.source.name))
