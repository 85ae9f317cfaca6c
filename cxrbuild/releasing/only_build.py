"""Find the build to release where none is named: never one of several."""

from __future__ import annotations

from pathlib import Path

from cxrbuild.artifact import kind_of, open_build
from cxrbuild.errors import CxrbuildError


def only_build(folder: Path) -> Path:
    """Return the only build in a folder of builds.

    Parameters
    ----------
    folder
        The folder of builds, in which ``curate`` builds by default.

    Returns
    -------
    Path
        The folder of the build.

    Raises
    ------
    CxrbuildError
        There is no build, or there are several.
    """
    found = sorted(path for path in (folder, *folder.glob("*")) if kind_of(path) == "build")
    if not found:
        raise CxrbuildError(
            "no finished build in this folder", where=folder, expected="a folder with build.json in it",
            found=None if folder.is_dir() else "no such folder",
            todo="Run `cxrbuild curate`, or name a build with --build",
        )  # fmt: skip
    if len(found) > 1:
        raise CxrbuildError(
            f"{len(found)} builds are there, and the release needs one\n"
            + "\n".join(f"  --build {path}: {_describe(path)}" for path in found),
            where=folder, todo="Name the build with --build",
        )  # fmt: skip
    return found[0]


def _describe(folder: Path) -> str:
    try:
        dataset = open_build(folder).document.dataset
    except CxrbuildError as error:
        return error.what.partition("\n")[0]
    return f"{dataset.name} {dataset.version}"
