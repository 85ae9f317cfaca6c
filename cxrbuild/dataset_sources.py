"""The sources of a build or release: their pins, and how their files were verified."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cxrbuild.artifact import open_artifact
from cxrbuild.artifact.build import SourceState
from cxrbuild.artifact.names import BUILD, SUMS
from cxrbuild.catalog.source import Pin
from cxrbuild.errors import CxrbuildError, instead_of
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
    """

    place: Path | str
    name: str
    version: str
    sources: list[DatasetSource]

    def to_dict(self) -> dict[str, Any]:
        """Return the sources as JSON has them."""
        return {
            "folder": str(self.place),
            "dataset": f"{self.name} {self.version}",
            "sources": {source.name: source.to_dict() for source in self.sources},
        }


def list_sources_of(place: Path | str, names: Sequence[str], progress: Progress) -> DatasetSources:
    """Read the sources of a build or release, or those of some names: see `cxrbuild.list_sources_of`."""
    with reading(place, progress, wanted=lambda name: name in ("", BUILD, SUMS)) as folder:
        document = open_artifact(folder).document
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
    return DatasetSources(place, document.dataset.name, document.dataset.version, sources)
