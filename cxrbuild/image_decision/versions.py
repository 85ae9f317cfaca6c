"""Other versions of a dataset in which an image can have another split or class."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cxrbuild.artifact import Artifact, kind_of, names, open_artifact
from cxrbuild.artifact.published import published_manifest, published_names
from cxrbuild.catalog import Recipe
from cxrbuild.curation import (
    PreviousVersion,
    read_declaration_files,
    read_previous,
    require_unchanged_ledger,
)
from cxrbuild.errors import CxrbuildError
from cxrbuild.image_decision.result import OtherSplit
from cxrbuild.records import differs, possible_ids, read_records

if TYPE_CHECKING:
    import pandas as pd

# The rows of a version that are asked for, by image id: split, class and group there.
_Found = dict[str, OtherSplit]


@dataclass(frozen=True)
class OtherVersions:
    """What other versions say of the rows that are asked for.

    Attributes
    ----------
    splits
        For each image the versions in which it has another split or class than here.
    changed
        Where the former version that the recipe names is, if it is not what it was when its split was held.
    """

    splits: dict[str, list[OtherSplit]]
    changed: Path | None


def find_other_versions(artifact: Artifact, recipe: Recipe | None, asked: pd.DataFrame) -> OtherVersions:
    """Return what other versions say of images.

    Parameters
    ----------
    artifact
        A build, a release or a plan.
    recipe
        The recipe with its folder; ``None``: what the build records of its declarations.
    asked
        The rows of its ledger that are asked for.
    """
    columns = (asked[column].astype("str").fillna("") for column in ("image_id", "split", "label"))
    here = {image: (split, label) for image, split, label in zip(*columns, strict=True)}
    found: dict[str, list[OtherSplit]] = {image: [] for image in here}
    places = _previous_places(artifact, recipe)
    unchanged = (_read_unchanged(artifact, place, asked) for place in places)
    previous = next((version for version in unchanged if version is not None), None)
    known = set()
    for version in (
        _in_previous(artifact, previous, asked),
        *_in_neighbours(artifact, previous, asked),
        *_in_published(previous, asked),
    ):
        for image, other in version.items():
            same = (image, other.version, other.split, other.label)
            split, label = here[image]
            if (other.split != split or other.label not in (None, label)) and same not in known:
                known.add(same)
                found[image].append(other)
    return OtherVersions(found, places[-1] if places and previous is None else None)


def _previous_places(artifact: Artifact, recipe: Recipe | None) -> list[Path]:
    """Return where the former version is, by the recipe and by what the build records, if it is there."""
    if artifact.document.recipe.split.previous is None:
        return []
    places = []
    if recipe is not None and recipe.split.previous is not None:
        name = recipe.split.previous
        places.append(published_manifest(name) if name in published_names() else recipe.folder / name)
    files = read_declaration_files(artifact.folder)
    if files is not None and files.previous is not None:
        places.append(Path(files.previous))
    return [place for place in places if place.exists()]


def _read_unchanged(artifact: Artifact, place: Path, asked: pd.DataFrame) -> PreviousVersion | None:
    """Return the former version; ``None`` where it cannot be read, or is not what it was."""
    try:
        previous = read_previous(str(place), Path())
    except (CxrbuildError, OSError):
        return None
    recorded = artifact.document.previous
    if recorded is not None and recorded.sha256 is not None:
        return previous if previous.sha256 == recorded.sha256 else None
    # Neither a plan nor a public release of a source that is not public records a hash.
    return None if differs(previous.splits_of(asked), asked["previous_split"]).any() else previous


def _in_previous(artifact: Artifact, previous: PreviousVersion | None, asked: pd.DataFrame) -> _Found:
    name = artifact.document.recipe.split.previous
    if name is None:
        return {}
    # The ledger has the splits, and no groups.
    rows = asked[["image_id", "previous_split"]].rename(columns={"previous_split": "split"})
    if previous is None:
        return _found(rows.assign(group=None, label=None), name, None)
    rows = rows.assign(group=previous.groups_of(asked), label=previous.labels_of(asked))
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
                require_unchanged_ledger(other)
                place = str(artifact.folder.parent / folder.name)
                rows = read_records(folder / names.LEDGER, ["image_id", "split", "label", "group"])
                yield _found(rows_asked(rows, asked), f"{other.name}/{other.version}", place)
        except CxrbuildError:
            continue


def _in_published(previous: PreviousVersion | None, asked: pd.DataFrame) -> Iterator[_Found]:
    """Yield what the published versions with these images say."""
    for version in published_names():
        file = published_manifest(version)
        if previous is None or previous.place != file:
            rows = rows_asked(read_records(file, ["image_id", "split", "label"]), asked)
            yield _found(rows.assign(group=None), version, None)


def rows_asked(rows: pd.DataFrame, asked: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of images that are asked for, with the ids that these have here.

    The id of an image changes if its source becomes public or ceases to be.

    Parameters
    ----------
    rows
        Rows of another version, with ``image_id``.
    asked
        Rows of this one, with ``image_id``, ``source`` and ``source_path``.
    """
    columns = asked[["image_id", "source", "source_path"]].itertuples(index=False)
    ids = {other: image for image, source, path in columns for other in (*possible_ids(source, path), image)}
    found = rows[rows["image_id"].isin(list(ids))]
    return found.assign(image_id=found["image_id"].map(ids))


def _found(rows: pd.DataFrame, version: str, place: str | None) -> _Found:
    return {
        image: OtherSplit(version, place, split, *(one if isinstance(one, str) else None for one in others))
        for image, split, *others in rows[["image_id", "split", "group", "label"]].itertuples(index=False)
        if isinstance(split, str)
    }
