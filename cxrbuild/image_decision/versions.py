"""Other versions of a dataset in which an image can have another split."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from cxrbuild.artifact import Artifact, kind_of, names, open_artifact
from cxrbuild.catalog import Recipe
from cxrbuild.catalog.published import published_manifest, published_names
from cxrbuild.curation import PreviousVersion, read_declaration_files, read_previous
from cxrbuild.errors import CxrbuildError
from cxrbuild.image_decision.result import OtherSplit
from cxrbuild.records import read_records

if TYPE_CHECKING:
    import pandas as pd

# The rows of a version that are asked for, by image id: its split and group there.
_Found = dict[str, OtherSplit]


def find_other_splits(
    artifact: Artifact, recipe: Recipe | None, asked: pd.DataFrame
) -> dict[str, list[OtherSplit]]:
    """Return for each image the versions in which it has another split than here.

    Parameters
    ----------
    artifact
        A build, a release or a plan.
    recipe
        The recipe with its folder; ``None``: what the build records of its declarations.
    asked
        The rows of its ledger that are asked for.
    """
    here = dict(zip(asked["image_id"], asked["split"].astype("str").fillna(""), strict=True))
    found: dict[str, list[OtherSplit]] = {image: [] for image in here}
    previous = _read_previous(artifact, recipe)
    known = set()
    for version in (
        _in_previous(artifact, previous, asked),
        *_in_neighbours(artifact, previous, asked),
        *_in_published(previous, asked),
    ):
        for image, other in version.items():
            same = (image, other.version, other.split)
            if other.split != here[image] and same not in known:
                known.add(same)
                found[image].append(other)
    return found


def _read_previous(artifact: Artifact, recipe: Recipe | None) -> PreviousVersion | None:
    """Return the former version that the recipe names, ``None`` where it cannot be read."""
    if artifact.document.recipe.split.previous is None:
        return None
    files = read_declaration_files(artifact.folder)
    try:
        if recipe is not None and recipe.split.previous is not None:
            return read_previous(recipe.split.previous, recipe.folder)
        if files is not None and files.previous is not None:
            return read_previous(files.previous, Path())
    except (CxrbuildError, OSError):
        pass
    return None


def _in_previous(artifact: Artifact, previous: PreviousVersion | None, asked: pd.DataFrame) -> _Found:
    name = artifact.document.recipe.split.previous
    if name is None:
        return {}
    if previous is None:
        # The ledger has the splits, and no groups.
        rows = asked[["image_id", "previous_split"]].rename(columns={"previous_split": "split"})
        return _found(rows.assign(group=None), name, None)
    rows = asked[["image_id"]].assign(split=previous.splits_of(asked), group=previous.groups_of(asked))
    return _found(rows, previous.name, str(previous.place))


def _in_neighbours(
    artifact: Artifact, previous: PreviousVersion | None, asked: pd.DataFrame
) -> Iterator[_Found]:
    """Yield what the builds and releases of the dataset in the same folder say."""
    known = {artifact.folder.resolve()} | ({previous.place.resolve()} if previous else set())
    for folder in sorted(artifact.folder.resolve().parent.glob("*")):
        if folder in known or kind_of(folder) is None:
            continue
        try:
            other = open_artifact(folder)
            if other.name == artifact.name:
                place = str(artifact.folder.parent / folder.name)
                rows = read_records(folder / names.LEDGER, ["image_id", "split", "group"])
                yield _found(_asked(rows, asked), f"{other.name}/{other.version}", place)
        except CxrbuildError:
            continue


def _in_published(previous: PreviousVersion | None, asked: pd.DataFrame) -> Iterator[_Found]:
    """Yield what the published versions with these images say."""
    for version in published_names():
        file = published_manifest(version)
        if previous is None or previous.place != file:
            rows = _asked(read_records(file, ["image_id", "split"]), asked)
            yield _found(rows.assign(group=None), version, None)


def _asked(rows: pd.DataFrame, asked: pd.DataFrame) -> pd.DataFrame:
    return rows[rows["image_id"].isin(list(asked["image_id"]))]


def _found(rows: pd.DataFrame, version: str, place: str | None) -> _Found:
    return {
        image: OtherSplit(version, place, split, group if isinstance(group, str) else None)
        for image, split, group in rows[["image_id", "split", "group"]].itertuples(index=False)
        if isinstance(split, str)
    }
