"""Find the build that is meant where none is named: the only one, else that of the recipes here."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from cxrbuild.artifact import names
from cxrbuild.artifact.folders import kind_of, open_build
from cxrbuild.catalog import recipes_in
from cxrbuild.errors import CxrbuildError, count_of, name_some


def only_build(folder: Path, option: str | None = "--build", recipes: Path = Path()) -> tuple[Path, str]:
    """Return the only build in a folder of builds, or of several that which all recipes here name.

    Parameters
    ----------
    folder
        The folder of builds, in which ``curate`` builds by default.
    option
        The option of the command that names a build, for the error; ``None`` where it is an argument.
    recipes
        The folder whose recipes are looked at.

    Returns
    -------
    Path
        The folder of the build.
    str
        Why it was chosen of several, as a sentence; empty where it is the only one.

    Raises
    ------
    CxrbuildError
        There is no build, or there are several and nothing says which one is meant.
    """
    found = sorted(path for path in (folder, *folder.glob("*")) if kind_of(path) == "build")
    if not found:
        raise CxrbuildError(
            "no finished build in this folder", where=folder, expected="a folder with build.json in it",
            found=None if folder.is_dir() else "no such folder",
            todo="Run `cxrbuild curate`, or name a build" + (f" with {option}" if option else ""),
        )  # fmt: skip
    if len(found) == 1:
        return found[0], ""
    how = f" with {option}" if option else ""
    declared: dict[str, list[str]] = {}
    for file, table in recipes_in(recipes).items():
        declared.setdefault(str(table["name"]), []).append(str(file))
    if len(declared) == 1:
        ((name, files),) = declared.items()
        those = f"{files[0]} names it, the only recipe in this folder"
        if len(files) > 1:
            those = f"{name_some(files, 2)}, the only recipes in this folder, name it"
        if (build := folder / name) in found:
            return build, (
                f"Of {count_of(len(found), 'build')} in {folder}, {build} ({_describe(build)}) is taken: "
                f"{those}. Name another one{how}."
            )
    before = f"{option} " if option else ""
    raise CxrbuildError(
        f"{len(found)} builds are there, and the command needs one\n"
        + "\n".join(f"  {before}{path}: {_describe(path)}" for path in found),
        where=folder, todo=f"Name one of them{how}",
    )  # fmt: skip


def _describe(folder: Path) -> str:
    try:
        document = open_build(folder).document
    except CxrbuildError as error:
        return error.what.partition("\n")[0]
    # The document is written last.
    day = datetime.fromtimestamp((folder / names.BUILD).stat().st_mtime).astimezone()
    images = count_of(sum(sum(of_split.values()) for of_split in document.counts.values()), "image")
    missing = f" and {document.missing_images:,} missing" if document.missing_images else ""
    of_dataset = f"{document.dataset.name} {document.dataset.version}"
    described = [
        of_dataset,
        *document.overrides.describe(),
        f"{images}{missing}",
        f"built {day:%Y-%m-%d %H:%M}",
    ]
    return ", ".join(described)
