"""The page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cxrbuild.contents import Contents
from cxrbuild.files import write_bytes


def write_report(path: Path, contents: Contents, build: Path, outcomes: Mapping[str, Any]) -> None:
    """Write ``report.html``."""
    write_bytes(path, b"<html></html>")
