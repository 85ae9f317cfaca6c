"""Libraries of the extra `test-all`."""

from __future__ import annotations

import importlib
from types import ModuleType

import pytest


def library(name: str) -> ModuleType:
    """Import a library, or skip the test with the reason."""
    try:
        return importlib.import_module(name)
    except (ImportError, RuntimeError) as error:
        # torchvision raises RuntimeError where it does not fit the installed torch.
        pytest.skip(f"{name} cannot be imported: {error}")
