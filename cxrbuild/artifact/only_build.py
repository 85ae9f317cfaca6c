"""Find the build that is meant where none is named: the only one, never one of several."""

from __future__ import annotations

from pathlib import Path

from cxrbuild.artifact.artifact import kind_of, open_build
from cxrbuild.errors import CxrbuildError


def only_build(folder: Path, option: str | None = "--build") -> Path:
    """Return the only build in a folder of builds.

    Parameters
    ----------
    folder
        The folder of builds, in which ``curate`` builds by default.
    option
        The option of the command that names a build, for the error; ``None`` where it is an argument.

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
            todo="Run `cxrbuild curate`, or name a build" + (f" with {option}" if option else ""),
        )  # fmt: skip
    if len(found) > 1:
        before, how = (f"{option} ", f" with {option}") if option else ("", "")
        raise CxrbuildError(
            f"{len(found)} builds are there, and the command needs one\n"
            + "\n".join(f"  {before}{path}: {_describe(path)}" for path in found),
            where=folder, todo=f"Name one of them{how}",
        )  # fmt: skip
    return found[0]


def _describe(folder: Path) -> str:
    try:
        dataset = open_build(folder).document.dataset
    except CxrbuildError as error:
        return error.what.partition("\n")[0]
    return f"{dataset.name} {dataset.version}"
