"""Where an image is known that a build does not have: an earlier version, or the listing of a pin."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from cxrbuild.artifact import Artifact, kind_of, open_artifact
from cxrbuild.catalog import Recipe
from cxrbuild.catalog.published import published_manifest, published_names
from cxrbuild.errors import CxrbuildError
from cxrbuild.image_decision.declared import declared_source
from cxrbuild.image_files import has_image_suffix
from cxrbuild.records import image_id

if TYPE_CHECKING:
    import pandas as pd


def match_image(images: pd.DataFrame, name: str) -> Iterator[pd.Series]:
    """Yield the masks of the images that have a name: as id, as path, as file name, as stem.

    Parameters
    ----------
    images
        The columns ``image_id``, ``source`` and ``source_path`` of some images.
    name
        What a user asks for, in any case.
    """
    asked = name.strip().casefold()
    path = images["source_path"].str.casefold()
    file = path.str.replace(r"^.*/", "", regex=True)
    stem = file.str.replace(r"\.[^.]*$", "", regex=True)
    named = images["source"] + "/" + path
    for mask in (
        images["image_id"].eq(asked),
        path.eq(asked) | named.eq(asked),
        file.eq(asked),
        stem.eq(asked),
    ):
        yield mask.fillna(value=False).astype("bool")


def find_elsewhere(artifact: Artifact, name: str, recipe: Recipe | None) -> list[str]:
    """Return in a line each where an image is known that the ledger does not have.

    Parameters
    ----------
    artifact
        A build, a release or a plan.
    name
        What a user asks for.
    recipe
        The recipe with its sources; ``None``: those that are shipped.
    """
    return [
        *_find_in_neighbours(artifact, name),
        *_find_in_published(artifact, name),
        *_find_in_listings(artifact, name, recipe),
    ]


def _find_in_neighbours(artifact: Artifact, name: str) -> Iterator[str]:
    """Yield the builds and releases of the dataset in the same folder that have the image."""
    for folder in sorted(artifact.folder.resolve().parent.glob("*")):
        if folder == artifact.folder.resolve() or kind_of(folder) is None:
            continue
        try:
            other = open_artifact(folder)
            ledger = other.ledger if other.name == artifact.name else None
        except CxrbuildError:
            continue
        for row in [] if ledger is None else _first_match(ledger, name):
            excluded = isinstance(row["exclusion"], str)
            state = row["exclusion"] if excluded else f"{row['split']}, {row['label']}"
            place = artifact.folder.parent / folder.name
            yield f"--build {place}: {other.name} {other.version} has it as {row['image_id']} ({state})"


def _find_in_published(artifact: Artifact, name: str) -> Iterator[str]:
    """Yield the published versions with images of the same sources that have the image."""
    import pandas as pd

    columns = ["image_id", "source", "source_path", "label", "split"]
    for version in published_names():
        images = pd.read_parquet(published_manifest(version), columns=columns)
        images = images[images["source"].isin(list(artifact.document.declared_sources))]
        for row in _first_match(images, name):
            place = f"{row['source']}/{row['source_path']}"
            yield f"{place}: published in {version} ({row['split']}, {row['label']})"


def _find_in_listings(artifact: Artifact, name: str, recipe: Recipe | None) -> Iterator[str]:
    """Yield the sources whose pin, or an earlier one, lists the image."""
    for source_name, recorded in artifact.document.declared_sources.items():
        source = declared_source(source_name, recipe)
        if source is None:
            continue
        same = (source.pin.tree, source.pin.sha256) == (recorded.pin.tree, recorded.pin.sha256)
        state = "the pin lists it; the files of this version lack it" if same else "another pin lists it"
        listed = _images(source.name, source.listing or {}, named=source.public)
        for row in _first_match(listed, name):
            yield f"{source.name}/{row['source_path']}: {state}"
        former = _images(source.name, source.former_paths, named=source.public)
        for row in _first_match(former, name):
            yield f"{source.name}/{row['source_path']}: an earlier pin listed it; the pin no longer does"


def _images(source: str, paths: Iterable[str], *, named: bool) -> pd.DataFrame:
    import pandas as pd

    images = sorted(path for path in paths if has_image_suffix(path))
    ids = [image_id(source, path, named=named) for path in images]
    return pd.DataFrame({"image_id": ids, "source": source, "source_path": images}, dtype="str")


def _first_match(images: pd.DataFrame, name: str) -> list[dict[Hashable, Any]]:
    """Return the first image that has a name, in a list; an empty one where none has it."""
    for mask in match_image(images, name):
        if mask.any():
            return images[mask].head(1).to_dict("records")
    return []
