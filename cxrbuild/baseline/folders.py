"""The folder of a dataset and that of results: where results may be written, and when a dataset is read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cxrbuild.artifact import kind_of, names
from cxrbuild.errors import CxrbuildError
from cxrbuild.files import locked


def choose_folder(build: Path, name: str, out: Path | None = None) -> Path:
    """Return the folder of results, after a check that it is not among the files of the dataset.

    A release, whose every file is listed in its ``SHA256SUMS``, never changes: by default, its results are
    next to it.

    Parameters
    ----------
    build
        A build, a release, or a TensorFlow Datasets folder, which may be in either.
    name
        The name of the folder in a build. Next to a release it follows the name of the release and ``-``.
    out
        Another folder, which the user names.

    Raises
    ------
    CxrbuildError
        There is no such build, or ``out`` is the build, or in a release.
    """
    if not build.is_dir():
        raise CxrbuildError(
            "no such build",
            where=build,
            todo="Run `cxrbuild curate`, or name a build or a release with --build",
        )
    release = _find_release(build)
    default = build / name if release is None else release.with_name(f"{release.name}-{name}")
    if out is None:
        return default
    if out.resolve() == build.resolve() or _find_release(out) is not None:
        raise CxrbuildError(
            "the results would be among the files of the dataset",
            where=out,
            expected="a folder outside a release" if _find_release(out) else None,
            todo=f"Name another --out, for example {default}",
        )
    return out


def _find_release(folder: Path) -> Path | None:
    """Return the release that a folder is, or is in; ``None`` if it is in none."""
    if kind_of(folder) == "release":
        # The name of `.` or `..` is another one.
        return folder.resolve() if folder.name in ("", "..") else folder
    for parent in folder.resolve().parents:
        # A list of hashes alone may be that of other files.
        if (parent / names.SUMS).is_file() and (parent / names.BUILD).is_file():
            return parent
    return None


@contextmanager
def locked_for_reading(build: Path) -> Iterator[None]:
    """Lock a build against `cxrbuild curate`. A release never changes, and a read-only build cannot."""
    if kind_of(build) != "build" or not os.access(build, os.W_OK):
        yield
        return
    with locked(build):
        yield
