"""Virtual environments for libraries that cannot be installed next to the others."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path


def python_with(folder: Path, *requirements: str) -> Path:
    """Create a virtual environment with some packages from the registry; return its Python."""
    venv.create(folder, with_pip=True)
    python = folder / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", *requirements], check=True, capture_output=True
    )
    return python
