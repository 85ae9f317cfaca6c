"""What dataset a folder says that it holds."""

from __future__ import annotations

from pathlib import Path

from cxrbuild.catalog import Recipe
from cxrbuild.errors import CxrbuildError
from cxrbuild.files import read_json


def read_dataset(folder: Path, recipe: Recipe) -> dict[str, str | None]:
    """Return name and version of a folder's dataset, null where it does not say, and refuse another recipe's.

    Parameters
    ----------
    folder
        A build or a release, which say it in ``build.json``, or a TensorFlow Datasets folder, which says it
        in ``dataset_info.json`` with underscores for hyphens. Bare Parquet says nothing.
    recipe
        The recipe that it should be of.

    Raises
    ------
    CxrbuildError
        It is another recipe's.
    """
    name = version = None
    if (folder / "build.json").is_file():
        dataset = read_json(folder / "build.json").get("dataset", {})
        name, version = dataset.get("name"), dataset.get("version")
    elif (folder / "dataset_info.json").is_file():
        dataset = read_json(folder / "dataset_info.json")
        name, version = dataset.get("name"), dataset.get("version")
        if name == recipe.name.replace("-", "_"):
            name = recipe.name
    if name not in (None, recipe.name):
        raise CxrbuildError(
            "the build is another recipe's", where=folder, expected=recipe.name, found=name,
            todo="Name its recipe with --recipe",
        )  # fmt: skip
    return {"name": name, "version": version}
