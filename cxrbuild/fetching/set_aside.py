"""Archives that were downloaded and refused: kept until the source verifies against its pin."""

from __future__ import annotations

from pathlib import Path

from cxrbuild.fetching.partial import PartialFile
from cxrbuild.files import sha256_of

_SUFFIX = ".refused"


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


def _name(part: Path, number: int) -> Path:
    return part.with_name(f"{part.stem}{'' if number == 1 else f'~{number}'}{_SUFFIX}")
