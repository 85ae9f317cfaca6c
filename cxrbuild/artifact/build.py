"""``build.json``: what a build or release was made from, with which versions, and what it holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, field_serializer

from cxrbuild.artifact.correction import Corrections
from cxrbuild.artifact.document import Document, Part
from cxrbuild.catalog import Recipe
from cxrbuild.catalog.override import Overrides
from cxrbuild.catalog.source import Pin, Source
from cxrbuild.exclusions import MISSING
from cxrbuild.lockfile import Proof

# What a release records of a source: it must be complete without the declaration's file.
DESCRIBED = ("title", "homepage", "description", "citation", "license", "public", "patient_namespace", "pin")
# What of a recipe does not decide what a build holds.
_NOT_RECORDED = {"audit", "baseline"}


class DatasetIdentity(Part):
    """Which version of which dataset it is."""

    name: str
    version: str
    title: str


class SourceDescription(Part):
    """What a source's declaration states about it.

    Attributes
    ----------
    public
        Whether its files are published, with their names and patient numbers.
    patient_id
        Whether patient numbers are upstream's, or hashed.
    patient_namespace
        Whose numbers they are, where it declares that: sources with the same namespace share patients.
    """

    title: str
    homepage: str | None
    description: str
    citation: str | None
    license: str
    public: bool
    patient_id: Literal["hash", "keep"]
    patient_namespace: str | None = None
    pin: Pin

    @classmethod
    def of(cls, source: Source) -> SourceDescription:
        """Return what a source's declaration says about it."""
        described = {key: getattr(source, key) for key in DESCRIBED}
        return cls(patient_id=source.reader.patient_id, **described)


class SourceState(Part):
    """What the lock states about a source's files: see `cxrbuild.lockfile.LockedSource`."""

    pin: Pin
    proof: Proof
    unpinned: bool
    tree: str
    files: int
    bytes: int
    missing: list[str]
    extra: list[str]
    different: dict[str, str]

    @field_serializer("pin")
    def _write_pin(self, pin: Pin) -> dict[str, str | int]:
        return pin.declared()


class SourceExactness(Part):
    """How many images of a source are those of its pin, as `cxrbuild.exactness` counts them.

    Attributes
    ----------
    verified, other_bytes
        Images whose bytes are those of the pin, and those whose bytes are others.
    name_only
        Images whose names are those of the pin; it has no hash of single files.
    missing
        Images that are missing or cannot be converted.
    not_pinned
        Images that no pin lists.
    archive_bytes, found_bytes
        Where only names can be checked: the size of the pinned archive, and the total size of the files.
    """

    verified: int
    other_bytes: int
    name_only: int
    missing: int
    not_pinned: int
    archive_bytes: int | None = None
    found_bytes: int | None = None

    @property
    def counts(self) -> dict[str, int]:
        """The number of images by state."""
        states = ("verified", "other_bytes", "name_only", "missing", "not_pinned")
        return {state: getattr(self, state) for state in states}


class FunnelStep(Part):
    """A step of the flow chart: ``upstream``, an exclusion, or ``kept``, with the number of its images."""

    step: str
    images: int
    by_source: dict[str, int]


class FileEntry(Part):
    """The size and hash of a build's file."""

    bytes: int
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Packaging(Part):
    """What a release records about how it was made from a build.

    Attributes
    ----------
    cxrbuild
        The version that wrote the release.
    manifest_sha256
        Hash of the build's manifest, to which audit and baseline results refer. In a public release of a
        source that is not public it is that of the release's manifest with an empty ``withheld``: the
        build's also covers the names of files and the ages that the release omits.
    files
        Hashes of the files that do not follow from the data.
    """

    cxrbuild: str
    manifest_sha256: str
    files: dict[str, str]


class RemovedImage(Part):
    """An image of a former release that a public release no longer has, and does not list.

    Attributes
    ----------
    image_id, source
        The image. Its source is not public.
    version
        The first version without it.
    cause
        The name of the exclusion, or ``no longer upstream``.
    """

    image_id: str
    source: str
    version: str
    cause: str


class PreviousSplit(Part):
    """The former version of a dataset whose split a build holds.

    Attributes
    ----------
    name
        Name and version of the dataset, or the name of the file.
    sha256
        Hash of the file that was read: the ``ledger.parquet`` of a folder, a published manifest, or the file;
        ``None`` in a public release of a source that is not public, whose files it can name.
    images
        The number of its images.
    held
        The number of images of the dataset that were in it.
    groups_in_several_splits
        Groups whose images had several splits there, with these. The group is in the first of them, unless
        a source declares its split.
    """

    name: str
    sha256: str | None
    images: int
    held: int
    groups_in_several_splits: dict[str, str]

    @property
    def lost(self) -> int:
        """The number of its images that the dataset lacks: excluded ones, and those no longer upstream."""
        return self.images - self.held


def _with_folder(value: Any) -> Any:
    # The folder of a recipe is where its file was; a recorded recipe has none.
    return value | {"folder": Path()} if isinstance(value, dict) else value


def recorded_recipe(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe as ``build.json`` has it: without what does not decide what a build holds.

    Of its files it has the names: the path of a folder has no meaning elsewhere, and can be private.
    """
    document = recipe.model_dump(mode="json", exclude=_NOT_RECORDED | recipe.omitted)
    for part, key in ((document, "reviews"), (document, "corrections"), (document["split"], "links")):
        if key in part:
            part[key] = [Path(name).name for name in part[key]]
    if recipe.split.previous is None:
        # So that builds without it are what they were before the key was known.
        del document["split"]["previous"]
    for rule in document["rules"]:
        if rule.get("every_finding") is False:
            del rule["every_finding"]  # for the same reason
    return document


RecordedRecipe = Annotated[Recipe, BeforeValidator(_with_folder), PlainSerializer(recorded_recipe)]


class DatasetDocument(Document):
    """What the ``build.json`` of a build and that of a release have in common.

    Attributes
    ----------
    dataset
        Which version of which dataset it is.
    inputs
        Hash of everything that the build depends on. A public release has none: the hash has no key and
        covers what the release omits, so it could confirm a guess.
    cxrbuild, libraries
        Versions of the program and of the libraries that decide the bytes.
    recipe
        The recipe, its rules switched, without ``audit`` and ``baseline``.
    declared_sources
        What is declared about each source.
    overrides
        How the build differs from the recipe's defaults.
    unpinned
        Sources that are not verified to be the pinned version.
    sources
        What the lock states about each source.
    missing
        Images that belong to the dataset and are missing, with their exclusion. A public release names none
        of sources that are not public; ``funnel`` counts them.
    exactness
        By source how many of the dataset's images are those of the pin; empty in builds of earlier versions.
    counts
        Images by split and class.
    funnel
        The flow chart.
    groups_in_several_splits
        Groups of patients that upstream assigns to several splits, with these splits.
    formats
        ``parquet``, ``tfrecord``.
    patient_key
        Fingerprint of the key that patient numbers are hashed with; ``None`` where none is hashed.
    previous
        The former version whose split is held; the key is there only if the recipe names one.
    corrections
        The values of single images that the recipe corrects; the file lacks the key where there are none.
    """

    FORMAT: ClassVar[int] = 2

    format: Literal[2] = 2
    dataset: DatasetIdentity
    inputs: str | None = None
    cxrbuild: str
    libraries: dict[str, str]
    recipe: RecordedRecipe
    declared_sources: dict[str, SourceDescription]
    overrides: Overrides
    unpinned: list[str]
    sources: dict[str, SourceState]
    missing: dict[str, str]
    counts: dict[str, dict[str, int]]
    funnel: list[FunnelStep]
    groups_in_several_splits: dict[str, str]
    formats: list[Literal["parquet", "tfrecord"]]
    patient_key: str | None = None
    exactness: dict[str, SourceExactness] = Field(default_factory=dict)
    previous: PreviousSplit | None = None
    corrections: Corrections = Field(default_factory=Corrections)

    def to_dict(self) -> dict[str, Any]:
        """Return the document as JSON has it."""
        document = super().to_dict()
        if self.previous is None:
            del document["previous"]
        if self.inputs is None:
            del document["inputs"]
        if not self.corrections:  # so that builds without them have the bytes of before there were any
            del document["corrections"]
        return document

    @property
    def namespaces(self) -> dict[str, str | None]:
        """The ``patient_namespace`` that each source declares."""
        return {name: source.patient_namespace for name, source in self.declared_sources.items()}

    @property
    def missing_images(self) -> int:
        """The number of images that belong to the dataset and are missing, named in ``missing`` or not."""
        return max(len(self.missing), sum(step.images for step in self.funnel if step.step in MISSING))


class BuildDocument(DatasetDocument):
    """The ``build.json`` of a build.

    Attributes
    ----------
    files
        Size and hash of every file but the images, by path.
    """

    KIND: ClassVar[str] = "the build.json of a build"
    NEXT_STEP: ClassVar[str] = (
        "Run `cxrbuild curate` again: in a new folder, or with --replace, which overwrites this build"
    )

    inputs: str
    files: dict[str, FileEntry]


class ReleaseDocument(DatasetDocument):
    """The ``build.json`` of a release.

    Attributes
    ----------
    policy
        ``public``: images whose licence allows it have their pixels; ``private``: all have.
    date
        Date of the release, YYYY-MM-DD.
    withheld
        Number of images whose pixels are withheld, by reason.
    packaging
        How the release was made from a build.
    sizes
        The sides, in pixels, of the ready sizes that it has in addition to the images' own sizes.
    removed
        The images of former releases that it no longer has, of sources whose excluded images a public
        release does not list; the file lacks the key where there are none.
    """

    KIND: ClassVar[str] = "the build.json of a release"
    NEXT_STEP: ClassVar[str] = "Make the release again with `cxrbuild release VERSION`"

    policy: Literal["public", "private"]
    date: str
    withheld: dict[str, int]
    packaging: Packaging
    sizes: list[int] = Field(default_factory=list)
    removed: list[RemovedImage] = Field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return the document as JSON has it."""
        document = super().to_dict()
        if not self.removed:
            del document["removed"]
        return document
