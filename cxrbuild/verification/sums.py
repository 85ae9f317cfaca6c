"""Whether the files are those that were packed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cxrbuild.artifact import parse_sums
from cxrbuild.artifact.names import SUMS
from cxrbuild.files import files_under, sha256_of
from cxrbuild.progress import Progress
from cxrbuild.verification.finding import Finding


def read_sums(folder: Path, faults: list[Finding]) -> dict[str, str]:
    """Return the hash that ``SHA256SUMS`` gives for each file."""
    path = folder / SUMS
    if not path.is_file():
        faults.append(Finding(SUMS, None, "is missing"))
        return {}
    sums, problems = parse_sums(path.read_text(encoding="utf-8", errors="replace"))
    faults += [Finding(SUMS, problem.key, problem.message) for problem in problems]
    return sums


def check_files(
    folder: Path, sums: Mapping[str, str], progress: Progress, faults: list[Finding], *, only_these: bool
) -> dict[str, str]:
    """Check that every file is there with its hash.

    Parameters
    ----------
    folder
        The folder.
    sums
        The hash of each file.
    progress
        Told how many bytes are read.
    faults
        Where faults go.
    only_these
        Whether another file is a fault. Hidden ones at the top (`.gitattributes`, `.cache`) never are: hubs
        leave them in what they hand out.

    Returns
    -------
    dict
        The hash that each file has.
    """
    found = {
        Path(entry.path).relative_to(folder).as_posix(): entry
        for entry in files_under(folder)
        if not Path(entry.path).relative_to(folder).parts[0].startswith(".")
    }
    have: dict[str, str] = {}
    total = sum(found[name].stat(follow_symlinks=False).st_size for name in sums if name in found)
    with progress("hashing", total, "B") as bar:
        for name, digest in sorted(sums.items()):
            # A hub's cache hands out links to the files; what they lead to is what counts.
            if name not in found or not Path(found[name].path).is_file():
                faults.append(Finding(name, None, "is missing"))
                continue
            have[name] = sha256_of(folder / name)
            if have[name] != digest:
                faults.append(Finding(name, None, f"its SHA-256 is {have[name]}, not {digest}"))
            bar.update(found[name].stat().st_size)
    if only_these:
        faults += [
            Finding(name, None, f"is not in {SUMS}") for name in sorted(set(found) - set(sums) - {SUMS})
        ]
    return have
