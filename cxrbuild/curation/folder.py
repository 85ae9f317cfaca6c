"""The folder of a build: what it must not contain, and the files of former runs to remove."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from pathlib import Path

from cxrbuild.artifact import DocumentError, kind_of, names, open_build
from cxrbuild.catalog import Recipe
from cxrbuild.errors import CxrbuildError, name_some
from cxrbuild.files import remove_temporary_files
from cxrbuild.lockfile import source_folder
from cxrbuild.parsing import parse_json
from cxrbuild.shards import is_of_shards

# The version at the end of a folder's name.
_VERSION = re.compile(r"-[0-9]+\.[0-9]+\.[0-9]+$")


def require_build_folder(out: Path, data: Path, sources: Iterable[str]) -> None:
    """Refuse a folder that contains other things than a build: a build removes unknown images and shards.

    Parameters
    ----------
    out
        The folder to build in.
    data
        The folder that ``fetch`` filled.
    sources
        The names of the dataset's sources.

    Raises
    ------
    CxrbuildError
        The sources are in it or it is in them, a link leads out of it, or it contains something else, such
        as a release.
    """
    _refuse_sources(out, data, sources)
    if not out.exists():
        return
    if not out.is_dir():
        raise CxrbuildError("not a folder", where=out, todo="Name another one with --out")
    found = {path.name for path in out.iterdir()} - {".cxrbuild.lock"}  # a data folder has one too
    if found and not found & {names.BUILD, names.STATE}:
        raise CxrbuildError(
            "the folder is not empty and not a build", where=out,
            found=name_some(sorted(found), 5), todo="Name another one with --out",
        )  # fmt: skip
    if kind_of(out) == "release":
        raise CxrbuildError(
            "the folder holds a release, and a release never changes", where=out,
            todo="Name another folder with --out",
        )  # fmt: skip
    own = [out / name for name in names.OWN_FOLDERS]
    places = [*own, *(path for folder in own for depth in ("*", "*/*") for path in folder.glob(depth))]
    if links := [path for path in places if path.is_symlink() and not path.is_file()]:
        raise CxrbuildError(
            "a link is among a build's own folders", where=links[0],
            todo="Replace the link by its target, or name another folder for the whole build with --out",
        )  # fmt: skip


def require_same_version(out: Path, recipe: Recipe) -> None:
    """Refuse to replace a build of another dataset or version, or one that this version cannot read.

    It may be the one that was released.

    Parameters
    ----------
    out
        The folder to build in.
    recipe
        The recipe of the new build.

    Raises
    ------
    CxrbuildError
        The folder holds a finished build of another dataset or version, or an unknown one.
    """
    if kind_of(out) is None:
        return  # no build yet, or an interrupted one
    keep = f"Keep it, and build into another folder with `--out {_other_folder(out, recipe.version)}`; or "
    keep += "replace it with --replace"
    try:
        dataset = open_build(out).document.dataset
    except DocumentError as error:
        raise CxrbuildError(
            "the folder holds a build that this version cannot read, and it is not replaced",
            where=out / names.BUILD, found=name_some(error.problems, 5), todo=keep,
        ) from None  # fmt: skip
    if (dataset.name, dataset.version) != (recipe.name, recipe.version):
        found = f"{dataset.name} {dataset.version}"
        raise CxrbuildError(
            f"the folder holds a build of {found}", where=out,
            expected=f"a new folder, or a build of {recipe.name} {recipe.version}", found=found,
            todo=keep,
        )  # fmt: skip


def _other_folder(out: Path, version: str) -> Path:
    """Return a folder next to ``out`` for a build of a version; ``out`` can end in a version itself.

    Examples
    --------
    >>> _other_folder(Path("build/mine-1.0.0"), "2.0.0").name
    'mine-2.0.0'
    """
    out = out if out.name else out.resolve()
    name = f"{_VERSION.sub('', out.name)}-{version}"
    return out.with_name(name if name != out.name else f"{name}-new")


def _refuse_sources(out: Path, data: Path, sources: Iterable[str]) -> None:
    here = out.resolve()
    folders = [source_folder(data, ""), *(source_folder(data, name) for name in sources)]
    for folder in [data, *folders]:
        place = folder.resolve()
        if place == here or any(place.is_relative_to((out / name).resolve()) for name in names.OWN_FOLDERS):
            raise CxrbuildError(
                "the sources are in a folder that the build writes to", where=folder,
                todo="Name another folder with --out",
            )  # fmt: skip
    for folder in folders:
        if here.is_relative_to(folder.resolve()):
            raise CxrbuildError(
                "the build would be among the sources", where=out, todo="Name another folder with --out"
            )


def clear_shards(out: Path, written: Collection[Path]) -> None:
    """Remove shards of former runs that this run did not write: they would be loaded with its own.

    Parameters
    ----------
    out
        The build's folder.
    written
        The files of this run.
    """
    versions = [path for path in (out / names.TFRECORD).glob("*/*") if path.is_dir() and _is_ours(path)]
    for folder in (out / names.PARQUET, *versions):
        if not folder.is_dir():
            continue
        remove_temporary_files(folder)
        for path in list(folder.iterdir()):
            if is_of_shards(path.name) and path.is_file() and path not in written:
                path.unlink()
    for folder in (out / names.PARQUET, *versions, *(path.parent for path in versions), out / names.TFRECORD):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def _is_ours(folder: Path) -> bool:
    """Return whether a folder of TensorFlow Datasets was written by this program, or is incomplete."""
    try:
        document = parse_json((folder / names.TFDS_INFO).read_bytes())
    except FileNotFoundError:
        return True
    except ValueError:
        return False
    return isinstance(document, dict) and document.get("moduleName") == "cxrbuild"
