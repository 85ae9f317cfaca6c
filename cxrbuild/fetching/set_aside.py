"""Archives that were downloaded and refused: kept until the source is fetched and verified against its pin.

A person can accept what is in them (``--allow-unpinned``), or correct the pin. Either may need the archive
again, which took long to download.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from cxrbuild.catalog.source import Source
from cxrbuild.errors import count_of, name_some, verb_of
from cxrbuild.fetching.partial import PartialFile
from cxrbuild.files import sha256_of
from cxrbuild.lockfile import fetch_command
from cxrbuild.shell import quote

_SUFFIX = ".refused"


def part_path(data: Path, name: str) -> Path:
    """Return where downloads of a source go to."""
    return data / "downloads" / f"{name}.part"


def set_aside(part: Path) -> Path:
    """Keep a downloaded archive under another name, so that no download resumes or replaces it.

    An archive that was kept before stays, unless it has the same bytes.

    Returns
    -------
    Path
        Where it is kept.
    """
    size = part.stat().st_size
    for kept in kept_archives(part):
        if kept.stat().st_size == size and sha256_of(kept) == sha256_of(part):
            PartialFile(part).rename(kept)
            return kept
    number = 1
    while (kept := _name(part, number)).exists():
        number += 1
    PartialFile(part).rename(kept)
    return kept


def kept_archives(part: Path) -> list[Path]:
    """Return the archives that were kept of a source, whose downloads go to ``part``."""
    if not part.parent.is_dir():
        return []
    return sorted(
        path
        for path in part.parent.iterdir()
        if path.suffix == _SUFFIX and path.stem.split("~")[0] == part.stem
    )


def remove_kept(part: Path, origin: Path | None) -> list[Path]:
    """Remove what was kept of a source that is verified, but not the user's own origin.

    Returns
    -------
    list of Path
        What was removed.
    """
    removed = [path for path in kept_archives(part) if origin is None or path.resolve() != origin.resolve()]
    for path in removed:
        path.unlink()
    return removed


def describe_kept(part: Path) -> list[str]:
    """Return a note, in a list, on the archives that are kept of a source; an empty list where none is.

    Parameters
    ----------
    part
        Where downloads of the source go to.
    """
    kept = kept_archives(part)
    if not kept:
        return []
    size = sum(path.stat().st_size for path in kept)
    kept_now = f"{name_some(kept)} ({size / 1e6:,.1f} MB) {verb_of(len(kept), 'is')} kept"
    return [f"{part.stem}: {kept_now}: {count_of(len(kept), 'archive')} that a former `fetch` refused."]


def advise_after_failure(source: Source, data: Path, failed: str) -> str:
    """Return how to use the archive that was kept last of a source that could not be fetched.

    Parameters
    ----------
    source
        The source.
    data
        The data folder.
    failed
        The message of the failure: nothing is added where it names the archive already.

    Returns
    -------
    str
        The advice; empty where no archive is kept.
    """
    kept = kept_archives(part_path(data, source.name))
    if not kept:
        return ""
    archive = max(kept, key=lambda path: path.stat().st_mtime)
    if str(archive) in failed:
        return ""
    options = ["--from", f"{source.name}={archive}", "--allow-unpinned"]
    command = fetch_command([source.address], data, options=options)
    return (
        f"An archive that a former `fetch` refused is kept as {archive}: `{command}` takes its files without "
        "a download, marked as unpinned in everything built from them"
    )


def advise_on_kept(data: Path, sources: Iterable[str]) -> str:
    """Return what to do with the archives that are kept of some sources; empty where none is.

    Parameters
    ----------
    data
        The data folder.
    sources
        The names of the sources.
    """
    kept = {name: archives[0] for name in sources if (archives := kept_archives(part_path(data, name)))}
    if not kept:
        return ""
    origins = " ".join(f"--from {quote(f'{name}={archive}')}" for name, archive in kept.items())
    return (
        f"`{origins}` takes the files from these archives without a download. Delete them if you do not need "
        "that; `fetch` removes those of a source when it fetches its pinned files."
    )


def _name(part: Path, number: int) -> Path:
    return part.with_name(f"{part.stem}{'' if number == 1 else f'~{number}'}{_SUFFIX}")
