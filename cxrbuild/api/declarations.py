"""Read, list, copy and propose declarations: recipes and sources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cxrbuild.api.arguments import AnyPath
from cxrbuild.arguments import checked
from cxrbuild.progress import Progress, silent

if TYPE_CHECKING:
    from cxrbuild.catalog import Recipe, Source
    from cxrbuild.catalog.copying import CopiedDeclaration
    from cxrbuild.dataset_sources import DatasetSources
    from cxrbuild.proposing import Proposal
    from cxrbuild.shipped import ShippedRecipe, ShippedSource


@checked
def read_recipe(recipe: AnyPath = "covid19-cxr") -> Recipe:
    """Read a recipe.

    Parameters
    ----------
    recipe
        The name of a shipped recipe, or the path of a TOML file.

    Returns
    -------
    Recipe
        Its attributes are the keys of the file.

    Raises
    ------
    CxrbuildError
        There is no such recipe, or the file has problems; all of them are listed.

    Examples
    --------
    >>> import cxrbuild
    >>> cxrbuild.read_recipe("covid19-cxr").classes
    ['COVID-19', 'Normal', 'Pneumonia']
    """
    from cxrbuild.catalog import read_recipe as read

    return read(str(recipe))


@checked
def read_source(source: AnyPath) -> Source:
    """Read the declaration of a source.

    Parameters
    ----------
    source
        The name of a shipped source, or the path of a TOML file.

    Returns
    -------
    Source
        Its attributes are the keys of the file.

    Raises
    ------
    CxrbuildError
        There is no such source, or the file has problems; all of them are listed.

    Examples
    --------
    >>> import cxrbuild
    >>> cxrbuild.read_source("mooney").license
    'CC-BY-4.0'
    """
    from cxrbuild.catalog import read_source as read

    return read(str(source))


@checked
def list_sources(data: AnyPath = "data", names: Sequence[AnyPath] = ()) -> list[ShippedSource]:
    """List the shipped sources, or some: pin, address, licence, size, and whether they are fetched.

    Parameters
    ----------
    data
        The data folder, which need not exist.
    names
        Shipped sources by name, own ones by path; default all shipped ones.

    Returns
    -------
    list of ShippedSource
        In the order of their names, or as named.

    Raises
    ------
    CxrbuildError
        There is no such source, or the lock of the data folder is damaged.

    Examples
    --------
    >>> import cxrbuild
    >>> {source.name: source.images for source in cxrbuild.list_sources()}["mooney"]
    5856
    """
    from cxrbuild.shipped import list_sources as list_

    return list_(Path(data), list(map(str, names)))


@checked
def list_sources_of(
    build: AnyPath, names: Sequence[str] = (), *, exactness: Sequence[str] = (), progress: Progress = silent
) -> DatasetSources:
    """List the sources of a build or release: their pins, and how their files were verified.

    Parameters
    ----------
    build
        The folder of a build or release, or its address ``s3://BUCKET/PREFIX``.
    names
        Names of its sources; default all.
    exactness
        States of images to list: ``verified``, ``other_bytes``, ``name_only``, ``missing``, ``not_pinned``.
        Default none.
    progress
        Opens a progress bar where files are copied from a bucket.

    Returns
    -------
    DatasetSources
        ``sources``, and the ``images`` of the states that were asked for.

    Raises
    ------
    CxrbuildError
        The folder holds neither a build nor a release, the dataset has no such source, or there is no such
        exactness.
    """
    from cxrbuild.dataset_sources import list_sources_of as list_

    return list_(build if isinstance(build, str) else Path(build), list(names), progress, exactness)


@checked
def list_recipes(data: AnyPath = "data", names: Sequence[str] = ()) -> list[ShippedRecipe]:
    """List the shipped recipes, or some: classes, sources and the images of a build.

    Parameters
    ----------
    data
        The data folder, which need not exist.
    names
        Shipped recipes by name; default all.

    Returns
    -------
    list of ShippedRecipe
        In the order of their names, or as named.

    Raises
    ------
    CxrbuildError
        There is no such shipped recipe, or the lock of the data folder is damaged.

    Examples
    --------
    >>> import cxrbuild
    >>> [(recipe.name, recipe.images) for recipe in cxrbuild.list_recipes()]
    [('covid19-cxr', 6354), ('covid19-cxr-adult', 411), ('covidx4', 14197)]
    """
    from cxrbuild.shipped import list_recipes as list_

    return list_(Path(data), list(names))


@checked
def copy_source(name: str, folder: AnyPath) -> CopiedDeclaration:
    """Copy a shipped source and the listing of its pin, to change them. No file is overwritten.

    Parameters
    ----------
    name
        The name of a shipped source.
    folder
        The folder to write the files to; it need not exist.

    Returns
    -------
    CopiedDeclaration
        ``files``: the first one is the declaration.

    Raises
    ------
    CxrbuildError
        There is no such source, or the folder has a file of one of these names.
    """
    from cxrbuild.catalog.copying import copy_source as copy

    return copy(name, Path(folder))


@checked
def copy_recipe(name: str, folder: AnyPath) -> CopiedDeclaration:
    """Copy a shipped recipe and the files that it names, to change them. No file is overwritten.

    Parameters
    ----------
    name
        The name of a shipped recipe; its sources stay the shipped ones.
    folder
        The folder to write the files to; it need not exist.

    Returns
    -------
    CopiedDeclaration
        ``files``: the first one is ``recipe.toml``.

    Raises
    ------
    CxrbuildError
        There is no such recipe, or the folder has a file of one of these names.
    """
    from cxrbuild.catalog.copying import copy_recipe as copy

    return copy(name, Path(folder))


@checked
def propose(
    path: AnyPath,
    *,
    images: AnyPath | None = None,
    columns: Mapping[str, str] | None = None,
    name: str | None = None,
    license: str = "unknown",  # noqa: A002 - the name of the declaration's key
    public: bool = False,
    progress: Progress = silent,
) -> Proposal:
    """Look at your own images and propose a source and a recipe for them. Nothing is written.

    Parameters
    ----------
    path
        A CSV file, a folder of images with or without CSV files, or a folder of DICOM files.
    images
        The folder of the images, where it is not the CSV file's.
    columns
        For our column, such as ``finding``, the column of the metadata to take, or ``none``.
    name
        The name of the source; default the folder's.
    license
        The SPDX identifier of the images' licence.
    public
        Whether the files are published, so that names and patient numbers may be kept.
    progress
        Opens a progress bar for reading DICOM headers.

    Returns
    -------
    Proposal
        What was decided, how certainly and why; the words that were found; both files as text. The method
        ``write`` writes them.

    Raises
    ------
    CxrbuildError
        There is no image, a table cannot be read, no row names an image, or ``columns`` names no column.
    """
    from cxrbuild.proposing import Answers
    from cxrbuild.proposing import propose as propose_files

    return propose_files(
        Path(path),
        images=None if images is None else Path(images),
        answers=Answers(columns or {}, public, name, license),
        progress=progress,
    )


def recipe_of(build: AnyPath, recipe: AnyPath | Recipe | None, *, recorded: bool = False) -> Recipe:
    """Return the named recipe, or the shipped recipe of the build's name.

    Parameters
    ----------
    build
        A build, a release, or a TensorFlow Datasets folder: that of the paper's dataset.
    recipe
        What the caller names.
    recorded
        Whether the recipe that the build records will do, which has neither ``[audit]`` nor ``[baseline]``,
        if the declarations of its sources are where they were.
    """
    from cxrbuild.artifact import dataset_name, open_artifact
    from cxrbuild.catalog import Recipe, recipe_names
    from cxrbuild.curation import locate_recorded_recipe
    from cxrbuild.errors import CxrbuildError

    if isinstance(recipe, Recipe):
        return recipe
    if recipe is not None:
        return read_recipe(recipe)
    name = dataset_name(Path(build))
    if name is None:
        return read_recipe()
    if name not in recipe_names():
        if recorded and (found := locate_recorded_recipe(open_artifact(Path(build)))) is not None:
            return found
        raise CxrbuildError(
            f"no shipped recipe is called {name!r}", where=build,
            expected=f"one of {', '.join(recipe_names())}", todo="Name the recipe that it was built from",
        )  # fmt: skip
    return read_recipe(name)
