"""The published manifests: which image is in which version of a dataset."""

from __future__ import annotations

from pathlib import Path

from cxrbuild.catalog.source import CATALOG


def published_manifest(name: str) -> Path:
    """Return where a published manifest is.

    Parameters
    ----------
    name
        The dataset and its version, as in ``covid19-cxr/1.0.0``.
    """
    package = CATALOG.parent
    # An installed wheel carries the manifests within the package; in a checkout they stand beside it.
    shipped = package / "manifests"
    folder = shipped if shipped.is_dir() else package.parent / "manifests"
    return folder / name / "manifest.parquet"
