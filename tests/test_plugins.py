"""Entry points of other packages."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cxrbuild.plugins import find_entry_points


def test_a_package_that_is_installed_later_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Also where the clock of the file system is coarse.
    os.utime(tmp_path, (0, 0))
    monkeypatch.syspath_prepend(tmp_path)
    assert "later" not in find_entry_points("cxrbuild.readers").names
    info = tmp_path / "later-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: later\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[cxrbuild.readers]\nlater = later:Reader\n")
    assert "later" in find_entry_points("cxrbuild.readers").names
