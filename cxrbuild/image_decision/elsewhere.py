"""Where an image is known that a build does not have: an earlier version, or the listing of a pin."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator
from itertools import chain
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from cxrbuild.artifact import Artifact, ReleaseDocument, kind_of, open_artifact
from cxrbuild.artifact.build import RemovedImage
from cxrbuild.artifact.published import published_manifest, published_names
from cxrbuild.catalog import Recipe, Source
from cxrbuild.catalog.source import SHORT
from cxrbuild.errors import CxrbuildError, name_some
from cxrbuild.image_decision.declared import declared_source
from cxrbuild.image_files import has_image_suffix
from cxrbuild.policy import unlisted_sources
from cxrbuild.records import image_id, possible_ids

if TYPE_CHECKING:
    import pandas as pd


def match_image(images: pd.DataFrame, name: str) -> Iterator[pd.Series]:
    """Yield the masks of the images that have a name: as id, as path, as file name, as stem.

    A path may begin with folders: ``data/sources/cohen/images/x.jpg`` names a source's file, and
    ``build/images/test/Normal/IMAGE_ID.jpg`` the file of a build.

    Parameters
    ----------
    images
        The columns ``image_id``, ``source`` and ``source_path`` of some images.
    name
        What a user asks for, in any case.
    """
    asked = name.strip().casefold()
    parts = PurePath(asked).parts
    spelled = PurePath(name.strip()).parts
    path = images["source_path"].str.casefold()
    file = path.str.replace(r"^.*/", "", regex=True)
    stem = file.str.replace(r"\.[^.]*$", "", regex=True)
    named = images["source"] + "/" + path
    # A public release does not have the paths of a source that is not public: it has the ids that follow.
    sources = list(images["source"].unique())

    def is_followed(place: str) -> pd.Series:
        ids = [
            one
            for source in sources
            for path in (place, place.removeprefix(f"{source}/"))
            for one in possible_ids(source, path)
        ]
        return images["image_id"].isin(ids)

    ends = [("/".join(parts[i:]), "/".join(spelled[i:])) for i in range(len(parts))]
    # The same path within another source is another image.
    folders = set(parts[:-1]) & set(images["source"])
    of_source = images["source"].isin(folders) if folders else images["source"].notna()
    masks = (
        [images["image_id"].eq(asked), path.eq(asked) | named.eq(asked) | is_followed(name.strip())],
        ((path.eq(end) | named.eq(end) | is_followed(place)) & of_source for end, place in ends),
        [file.eq(asked), stem.eq(asked), images["image_id"].eq(PurePath(asked).stem)],
    )
    for mask in chain.from_iterable(masks):
        yield mask.fillna(value=False).astype("bool")


def listed_ids(artifact: Artifact, name: str, recipe: Recipe | None) -> list[str]:
    """Return the ids of images whose files a release does not name, and the listing of a source does.

    Parameters
    ----------
    artifact, name, recipe
        As for `find_elsewhere`.
    """
    sources = [declared_source(one, recipe) for one in unlisted_sources(artifact.document)]
    return [
        one
        for source in sources
        if source is not None
        for paths in ({*(source.listing or ()), *source.former},)
        for row in _first_match(_images(source.name, paths, named=source.public), name)
        for one in possible_ids(source.name, str(row["source_path"]))
    ]


def find_removed(artifact: Artifact, name: str, ids: Collection[str]) -> RemovedImage | None:
    """Return what a release says of an image of a former release that it no longer has.

    Parameters
    ----------
    artifact, name
        As for `find_elsewhere`.
    ids
        The ids that the name can also mean.
    """
    import pandas as pd

    if not isinstance(artifact.document, ReleaseDocument):
        return None
    removed = {one.image_id: one for one in artifact.document.removed}
    rows = [(one.image_id, one.source, one.image_id) for one in removed.values()]
    images = pd.DataFrame(rows, columns=["image_id", "source", "source_path"], dtype="str")
    for mask in (*match_image(images, name), images["image_id"].isin(list(ids))):
        for image in images.loc[mask, "image_id"]:
            return removed[image]
    return None


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
    for other, row in _neighbours_with(artifact, name):
        excluded = isinstance(row["exclusion"], str)
        state = row["exclusion"] if excluded else f"{row['split']}, {row['label']}"
        place = artifact.folder.parent / other.folder.name
        yield f"--build {place}: {other.name} {other.version} has it as {row['image_id']} ({state})"


def _neighbours_with(artifact: Artifact, name: str) -> Iterator[tuple[Artifact, dict[Hashable, Any]]]:
    """Yield the builds and releases of the dataset in the same folder that have the image, with its row."""
    for other in _neighbours(artifact):
        for row in _first_match(other.ledger, name):
            yield other, row


def _neighbours(artifact: Artifact) -> Iterator[Artifact]:
    """Yield the builds and releases of the dataset in the same folder."""
    for folder in sorted(artifact.folder.resolve().parent.glob("*")):
        if folder == artifact.folder.resolve() or kind_of(folder) is None:
            continue
        try:
            other = open_artifact(folder)
            if other.name == artifact.name and len(other.ledger):
                yield other
        except CxrbuildError:
            continue


def find_patient(artifact: Artifact, is_patient: Callable[[pd.DataFrame], pd.Series]) -> list[str]:
    """Return in a line each which versions in the same folder have images of a patient.

    Parameters
    ----------
    artifact
        As for `find_elsewhere`.
    is_patient
        Returns the mask of the rows of a ledger that are of the patient.
    """
    found = []
    for other in _neighbours(artifact):
        images = other.ledger.loc[is_patient(other.ledger), "image_id"]
        if len(images):
            place = artifact.folder.parent / other.folder.name
            found.append(f"--build {place}: {other.name} {other.version} has {name_some(images, 4)}")
    return found


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
    """Yield between which pins upstream removed or added the image, and the pins that list it."""
    for source_name, recorded in artifact.document.declared_sources.items():
        source = declared_source(source_name, recipe)
        if source is None:
            continue
        pin, here = source.pin, recorded.pin.label
        same = (pin.tree, pin.sha256) == (recorded.pin.tree, recorded.pin.sha256)
        listed = _images(source.name, source.listing or {}, named=source.public)
        for row in _first_match(listed, name):
            place = f"{source.name}/{row['source_path']}"
            if same:
                yield f"{place}: the pin lists it; the files of this version lack it"
            else:
                yield f"{place}: pin {pin.label} lists it; this version was made with pin {here or 'none'}"
        for path, before in _removed(artifact, name, source, same=same).items():
            between = f" between pin {before} and pin {pin.label}"
            earlier = f" before pin {pin.label}: an earlier pin listed it"
            when = between if before else earlier
            how = "declared as withdrawn" if path in source.withdrawals else f"removed upstream{when}"
            yield f"{source.name}/{path}: {how}"


def _removed(artifact: Artifact, name: str, source: Source, *, same: bool) -> dict[str, str]:
    """Return the path of an image that upstream removed, with the last pin that is known to list it.

    The listing of a pin has the files of earlier pins; where it lacks one, a version next to this one can
    have the image.

    Parameters
    ----------
    artifact, name
        As for `find_elsewhere`.
    source
        The source as it is declared now.
    same
        Whether its pin is the one that the artefact was made with.
    """
    of_neighbours = {
        str(row["source_path"]): other.document.declared_sources[source.name].pin.label
        for other, row in _neighbours_with(artifact, name)
        if row["source"] == source.name and source.name in other.document.declared_sources
    }
    former = _images(source.name, source.former, named=source.public)
    if rows := _first_match(former, name):
        path = str(rows[0]["source_path"])
        return {path: source.former[path][:SHORT] or of_neighbours.get(path, "")}
    if not same or source.listing is None:
        return {}
    known = of_neighbours.items()
    return {path: pin for path, pin in known if path not in source.listing and pin != source.pin.label}


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
