"""``export.json``: what an export was made from, how, and which files it has."""

from __future__ import annotations

from typing import ClassVar, Literal

from cxrbuild.artifact import Document
from cxrbuild.artifact.build import DatasetIdentity, FileEntry
from cxrbuild.loading import Resampling

EXPORT = "export.json"


class ExportDocument(Document):
    """The ``export.json`` of an export.

    Attributes
    ----------
    dataset
        Which version of which dataset it is.
    artifact
        ``build``, or the policy of the release: ``public`` or ``private``.
    manifest_sha256
        Hash of the manifest that the images are from.
    to
        The format.
    size, resampling
        The side in pixels to which images were resized, and Pillow's filter; ``None`` where they were not.
    classes
        The classes, in the order of their numbers.
    counts
        Images by split and class.
    withheld
        Number of images that the release has no pixels of.
    cxrbuild, libraries
        Versions of the program and of the libraries that decide the bytes.
    files
        Size and hash of every other file, by path.
    """

    FORMAT: ClassVar[int] = 1
    KIND: ClassVar[str] = "the export.json of an export"
    NEXT_STEP: ClassVar[str] = "Name another folder with --out, or remove this one"

    format: Literal[1] = 1
    dataset: DatasetIdentity
    artifact: Literal["build", "public", "private"]
    manifest_sha256: str
    to: str
    size: int | None
    resampling: Resampling | None
    classes: list[str]
    counts: dict[str, dict[str, int]]
    withheld: int
    cxrbuild: str
    libraries: dict[str, str]
    files: dict[str, FileEntry]
