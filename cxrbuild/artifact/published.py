"""The published manifests: the images of each published version of a dataset."""

from __future__ import annotations

from pathlib import Path

from cxrbuild.artifact import names
from cxrbuild.catalog.declarations import CATALOG


def published_names() -> list[str]:
    """Return the names of the published manifests, such as ``covid19-cxr/1.0.0``."""
    folder = published_manifest("")
    return sorted(
        path.parent.relative_to(folder.parent).as_posix()
        for path in folder.parent.glob(f"*/*/{names.MANIFEST}")
    )


def published_manifest(name: str) -> Path:
    """Return the path of a published manifest; the file may not exist.

    Parameters
    ----------
    name
        The dataset and its version, as in ``covid19-cxr/1.0.0``.
    """
    package = CATALOG.parent
    # An installed wheel has the manifests inside the package, a checkout next to it.
    shipped = package / "manifests"
    folder = shipped if shipped.is_dir() else package.parent / "manifests"
    return folder / name / names.MANIFEST
