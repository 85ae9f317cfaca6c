"""Which dataset a folder holds, by its own documents."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cxrbuild.artifact import kind_of, names, open_artifact
from cxrbuild.artifact.baseline import DatasetReference
from cxrbuild.catalog import Recipe
from cxrbuild.errors import CxrbuildError
from cxrbuild.files import read_json, sha256_of


@dataclass(frozen=True)
class HeldDataset:
    """Name and version of a dataset, and the hash of its manifest, ``None`` where it has none."""

    reference: DatasetReference
    manifest_sha256: str | None


def read_dataset(folder: Path, recipe: Recipe) -> HeldDataset:
    """Return which dataset a folder has, and check that it is the recipe's.

    Parameters
    ----------
    folder
        A build or a release, which name it in ``build.json``, or a TensorFlow Datasets folder, which names it
        in ``dataset_info.json`` with underscores for hyphens. Bare Parquet has no name.
    recipe
        The recipe of the dataset.

    Raises
    ------
    CxrbuildError
        The dataset is another recipe's, or the document cannot be read.
    """
    found = _read_reference(folder, recipe)
    if found.name not in (None, recipe.name):
        raise CxrbuildError(
            "the build was made from another recipe", where=folder, expected=recipe.name, found=found.name,
            todo="Name its recipe with --recipe",
        )  # fmt: skip
    manifest = folder / names.MANIFEST
    return HeldDataset(found, sha256_of(manifest) if manifest.is_file() else None)


def _read_reference(folder: Path, recipe: Recipe) -> DatasetReference:
    if kind_of(folder) is not None:
        artifact = open_artifact(folder)
        return DatasetReference(name=artifact.name, version=artifact.version)
    path = folder / names.TFDS_INFO
    if not path.is_file():
        return DatasetReference(name=None, version=None)
    info = read_json(path)
    try:
        name, version = info["name"], info.get("version")
        if name == recipe.name.replace("-", "_"):
            name = recipe.name
        return DatasetReference(name=name, version=version)
    except (AttributeError, LookupError, TypeError, ValueError):
        raise CxrbuildError(
            "not the dataset_info.json of TensorFlow Datasets", where=path,
            expected="an object with name and version",
            todo="Name the folder <name>/<version> that TensorFlow Datasets wrote, a build or a release",
        ) from None  # fmt: skip
