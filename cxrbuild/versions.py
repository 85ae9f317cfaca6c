"""The versions of this program and of the libraries that decide the bytes of a JPEG."""

from __future__ import annotations

import hashlib
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from cxrbuild import __version__

# The last one is optional; it decodes more kinds of compressed DICOM files.
_CONVERTING = ("numpy", "pillow", "pydicom", "python-gdcm")
# Libraries in C within Pillow: two wheels of one version of Pillow can have other ones.
_WITHIN_PILLOW = ("libjpeg_turbo", "jpg", "zlib")


def converting_libraries() -> dict[str, str]:
    """Return the versions of the libraries that a JPEG's bytes depend on."""
    return {name: version_of(name) for name in _CONVERTING if _is_installed(name)}


@cache
def version_of(name: str) -> str:
    """Return the version of an installed package."""
    return version(name)


@cache
def program_versions() -> dict[str, str]:
    """Return what two processes must have in common to give the same results.

    That is Python, the version and the code of this program, and the libraries that convert and audit images,
    with those in C that Pillow has. A library that is not installed is ``none``.
    """
    import numpy as np
    import PIL
    import pydicom
    import scipy
    from PIL import features

    loaded = {
        "cxrbuild": __version__,
        "cxrbuild's code": code_digest(),
        "numpy": np.__version__,
        "pillow": PIL.__version__,
        "pydicom": pydicom.__version__,
        "scipy": scipy.__version__,
    }
    # gdcm is loaded in a process of its own.
    gdcm = version_of("python-gdcm") if _is_installed("python-gdcm") else "none"
    within = {name: features.version(name) or "none" for name in _WITHIN_PILLOW}
    return {"Python": ".".join(map(str, sys.version_info[:2]))} | loaded | {"python-gdcm": gdcm} | within


@cache
def code_digest() -> str:
    """Return a digest of this program's code: two checkouts of one version can differ."""
    root = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        # Git on Windows writes other line ends.
        data = path.read_bytes().replace(b"\r\n", b"\n")
        digest.update(f"{path.relative_to(root).as_posix()}\0{len(data)}\0".encode() + data)
    return digest.hexdigest()[:16]


def _is_installed(name: str) -> bool:
    try:
        version_of(name)
    except PackageNotFoundError:
        return False
    return True
