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
    install(python, *requirements)
    return python


def install(python: Path, *arguments: str) -> None:
    """Install packages from the registry, as `pip install ARGUMENTS` does."""
    subprocess.run([python, "-m", "pip", "install", "--quiet", *arguments], check=True, capture_output=True)
