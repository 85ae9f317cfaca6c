"""The sources of a build or release: their pins, how files were verified, and which images are exact."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from cxrbuild.artifact import Artifact, open_artifact
from cxrbuild.artifact.build import SourceState
from cxrbuild.artifact.names import BUILD, LEDGER, SUMS
from cxrbuild.catalog.source import Pin
from cxrbuild.errors import CxrbuildError, instead_of
from cxrbuild.exactness import MEANINGS, dataset_rows, image_states
from cxrbuild.notebook import result_html
from cxrbuild.progress import Progress
from cxrbuild.remote import reading


@dataclass(frozen=True)
class DatasetSource:
    """A source of a build or release.

    Attributes
    ----------
    name, title, license, public
        As declared.
    pin
        The pin that the dataset was made with.
    unpinned
        Whether the dataset has files of it that are not those of the pin.
    files
        How its files were verified, and which of them differ from the pin; ``None`` where it has none.
    """

    name: str
    title: str
    license: str
    public: bool
    pin: Pin
    unpinned: bool
    files: SourceState | None

    def to_dict(self) -> dict[str, Any]:
        """Return the source as JSON has it; its name is the key there."""
        return {
            "title": self.title,
            "license": self.license,
            "public": self.public,
            "pin": self.pin.model_dump(mode="json"),
            "unpinned": self.unpinned,
            "files": None if self.files is None else self.files.model_dump(mode="json"),
        }


@dataclass(frozen=True)
class ExactImage:
    """An image of a build or release, and what is known of its bytes.

    Attributes
    ----------
    image_id, source, source_path
        As in the ledger.
    exactness
        ``verified``, ``other_bytes``, ``name_only``, ``missing`` or ``not_pinned``.
    """

    image_id: str
    source: str
    source_path: str
    exactness: str


@dataclass(frozen=True)
class DatasetSources:
    """The sources of a build or release, or some of them.

    Attributes
    ----------
    place
        The folder or address of the dataset.
    name, version
        Those of the dataset.
    sources
        Its sources, in the order of the recipe.
    images
        The images of these sources in the states that were asked for, by id.
    """

    place: Path | str
    name: str
    version: str
    sources: list[DatasetSource]
    images: list[ExactImage] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return the sources as JSON has them."""
        return {
            "folder": str(self.place),
            "dataset": f"{self.name} {self.version}",
            "sources": {source.name: source.to_dict() for source in self.sources},
            "images": [asdict(image) for image in self.images],
        }

    def _repr_html_(self) -> str:
        return result_html(
            f"Sources of {self.name} {self.version}",
            header=["source", "licence", "pin", "verified by", "files"],
            rows=[
                [
                    one.name,
                    one.license,
                    one.pin.commit or one.pin.sha256 or "not pinned",
                    None if one.files is None else one.files.proof,
                    None if one.files is None else one.files.files,
                ]
                for one in self.sources
            ],
        )


def list_sources_of(
    place: Path | str, names: Sequence[str], progress: Progress, exactness: Collection[str] = ()
) -> DatasetSources:
    """Read the sources of a build or release, or those of some names: see `cxrbuild.list_sources_of`."""
    if stray := [state for state in exactness if state not in MEANINGS]:
        raise CxrbuildError(
            "there is no such exactness", found=stray[0], expected=instead_of(stray[0], MEANINGS, "state"),
            todo="Name states of images",
        )  # fmt: skip
    files = ("", BUILD, SUMS, LEDGER) if exactness else ("", BUILD, SUMS)
    with reading(place, progress, wanted=lambda name: name in files) as folder:
        artifact = open_artifact(folder)
        document = artifact.document
        images = _images(artifact, names or list(document.declared_sources), exactness) if exactness else []
    declared = document.declared_sources
    if stray := [name for name in names if name not in declared]:
        raise CxrbuildError(
            "the dataset has no such source", where=place, found=stray[0],
            expected=instead_of(stray[0], declared, "source"),
            todo="Name sources of the dataset, or none for all",
        )  # fmt: skip
    sources = [
        DatasetSource(
            name, one.title, one.license, one.public, one.pin,
            name in document.unpinned, document.sources.get(name),
        )
        for name, one in declared.items()
        if not names or name in names
    ]  # fmt: skip
    return DatasetSources(place, document.dataset.name, document.dataset.version, sources, images)


def _images(artifact: Artifact, names: Collection[str], exactness: Collection[str]) -> list[ExactImage]:
    rows = dataset_rows(artifact.ledger)
    rows = rows.assign(exactness=image_states(rows, artifact.document.sources))
    rows = rows[rows["source"].isin(list(names)) & rows["exactness"].isin(list(exactness))]
    columns = ["image_id", "source", "source_path", "exactness"]
    return [
        ExactImage(*map(str, row)) for row in rows.sort_values("image_id")[columns].itertuples(index=False)
    ]
