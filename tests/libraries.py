"""Libraries of the extra `test-all`."""

from __future__ import annotations

import importlib
import importlib.util
import subprocess
import sys
from functools import cache
from types import ModuleType

import pytest


def library(name: str) -> ModuleType:
    """Import a library, or skip the test with the reason."""
    try:
        return importlib.import_module(name)
    except (ImportError, RuntimeError) as error:
        # torchvision raises RuntimeError where it does not fit the installed torch.
        pytest.skip(f"{name} cannot be imported: {error}")


@cache
def why_unusable(name: str) -> str | None:
    """Return why a library cannot be imported, ``None`` if it can; it is imported in another process."""
    if importlib.util.find_spec(name) is None:
        return f"{name} is not installed"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", f"import {name}"], capture_output=True, text=True, check=False
    )
    if done.returncode == 0:
        return None
    return f"{name} cannot be imported: {done.stderr.strip().splitlines()[-1]}"
