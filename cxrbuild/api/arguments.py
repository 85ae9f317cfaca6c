"""What the arguments of the public functions can be."""

from __future__ import annotations

from pathlib import Path

AnyPath = str | Path


def is_table(name: str) -> bool:
    """Return whether versions are compared by a file; the address of one object has no name."""
    from cxrbuild.artifact import names

    return name in ("", names.SUMS, names.BUILD, names.MANIFEST, names.LEDGER)
