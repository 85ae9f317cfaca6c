"""The folder of a dataset and that of results: where results may be written, and when a dataset is read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cxrbuild.artifact import kind_of, names
from cxrbuild.errors import CxrbuildError
from cxrbuild.files import locked


def require_folders(build: Path, out: Path) -> None:
    """Check that a build exists, and that results are not written among its files.

    Raises
    ------
    CxrbuildError
        There is no such folder, or both are one.
    """
    if not build.is_dir():
        raise CxrbuildError(
            "no such build",
            where=build,
            todo="Run `cxrbuild curate`, or name a build or a release with --build",
        )
    if out.resolve() == build.resolve():
        raise CxrbuildError(
            "the results would be among the files of the dataset",
            where=out,
            todo=f"Name another --out, for example {build / names.BASELINE_FOLDER}",
        )


@contextmanager
def locked_for_reading(build: Path) -> Iterator[None]:
    """Lock a build against `cxrbuild curate`. A release never changes, and a read-only build cannot."""
    if kind_of(build) != "build" or not os.access(build, os.W_OK):
        yield
        return
    with locked(build):
        yield
