"""What the arguments of the public functions can be."""

from __future__ import annotations

from pathlib import Path

AnyPath = str | Path
