"""``SHA256SUMS``: the hash of every file of a release, as ``sha256sum --check`` reads it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from cxrbuild.artifact.document import DocumentError, Problem
from cxrbuild.artifact.names import SUMS
from cxrbuild.files import write_bytes

_LINE = re.compile(r"([0-9a-f]{64})  (.+)")


def read_sums(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file of a release, by path.

    Raises
    ------
    DocumentError
        Lines are not a hash, two spaces and a path within the release, or a path occurs twice.
    OSError
        The file cannot be read.
    """
    sums, problems = parse_sums((folder / SUMS).read_text(encoding="utf-8", errors="replace"))
    if problems:
        raise DocumentError(
            folder / SUMS, "a list of SHA-256 hashes", problems, "Make the release again, or copy it again"
        )
    return sums


def parse_sums(text: str) -> tuple[dict[str, str], list[Problem]]:
    """Return the hash of each file, and the lines that do not give one."""
    sums: dict[str, str] = {}
    problems = []
    for number, line in enumerate(text.splitlines(), 1):
        match = _LINE.fullmatch(line)
        if match is None or match[2] in sums or {"", ".", ".."} & set(match[2].split("/")):
            message = "not a SHA-256, two spaces and a path that occurs once"
            problems.append(Problem(f"line {number}", message))
        else:
            sums[match[2]] = match[1]
    return sums, problems


def write_sums(folder: Path, sums: Mapping[str, str]) -> None:
    """Write the hashes of a release's files, ordered by path."""
    lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items()))
    write_bytes(folder / SUMS, lines.encode())
