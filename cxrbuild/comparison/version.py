"""A version of a dataset as it is compared: its rows, its ledger, and what it was built from."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cxrbuild.artifact import BuildDocument, DatasetDocument, ReleaseDocument, is_plan, kind_of, names
from cxrbuild.artifact.build import (
    SourceDescription,
    SourceExactness,
    SourceState,
)
from cxrbuild.artifact.correction import CorrectedValue, PlannedCorrections
from cxrbuild.artifact.plan import PlanDocument, PlannedExactness
from cxrbuild.artifact.published import published_manifest, published_names
from cxrbuild.catalog import Recipe, read_recipe, read_source, recipe_names
from cxrbuild.catalog.override import Overrides
from cxrbuild.curation import DeclarationFiles, as_shipped, read_declaration_files
from cxrbuild.errors import CxrbuildError, name_some, nearest
from cxrbuild.exclusions import MISSING
from cxrbuild.policy import unlisted_sources
from cxrbuild.reasons import looked_at
from cxrbuild.records import COLUMNS, read_records

if TYPE_CHECKING:
    import pandas as pd

# What is read of a ledger, next to the columns that the recipe's rules look at.
_OF_LEDGER = ("image_id", "source", "source_blob", "label", "exclusion", "exclusion_detail", "exclusion_note")


# What decided about a row: a build has it in its manifest, a plan in its ledger alone.
_DECIDING = ("finding", "listed", "group", "upstream_split", "previous_split")
# The stages after a plan; a kept row has no exclusion.
_LATER = ("convert", "release", "all")


@dataclass(frozen=True)
class Declarations:
    """What a version was built from.

    Attributes
    ----------
    recipe
        The recipe, its rules switched.
    overrides
        How the build differs from the recipe's defaults.
    sources
        What is declared about each source, with its pin.
    states
        What the lock states about each source's files; none where only the declarations are known.
    """

    recipe: Recipe
    overrides: Overrides
    sources: Mapping[str, SourceDescription]
    states: Mapping[str, SourceState]

    @classmethod
    def of(
        cls, document: DatasetDocument | PlanDocument, files: DeclarationFiles | None = None
    ) -> Declarations:
        """Return the declarations that a ``build.json`` or ``plan.json`` records.

        Parameters
        ----------
        document
            The ``build.json`` or ``plan.json``.
        files
            Where its declarations are: an unchanged copy of a shipped file is no change. ``None`` where that
            is not known.
        """
        recipe = as_shipped(document.recipe, files)
        return cls(recipe, document.overrides, document.declared_sources, document.sources)


@dataclass(frozen=True)
class DatasetVersion:
    """A version of a dataset.

    Attributes
    ----------
    name
        The folder, file or published name.
    manifest
        Its rows, with the columns that its file has.
    classes
        Its classes in the order of their numbers, ``None`` where only the manifest is known.
    released
        Whether it is a release: only releases withhold pixels.
    missing
        The images that belong to it and are missing, with their exclusion.
    unpinned
        Its sources that are not verified to be the pinned version.
    ledger
        Of every upstream image its exclusion, and what the rules look at; ``None`` where it is not known.
    unlisted
        The sources whose excluded images a public release does not list: why one is excluded is said by the
        name of the exclusion alone, where it is known at all.
    funnel
        The number of images of each step of the flow chart; ``None`` where it is not known.
    declarations
        What it was built from; ``None`` where only the rows are known.
    exactness
        By source how many of its images are those of the pin; empty where that is not known.
    corrections
        The values that its recipe corrects, those that it lists; ``None`` where that is not known.
    removed
        Of images of former releases that it does not list, why it does not have them: the name of the
        exclusion, or ``no longer upstream``.
    """

    name: str
    manifest: pd.DataFrame
    classes: list[str] | None
    released: bool
    missing: Mapping[str, str] = field(default_factory=dict)
    unpinned: Sequence[str] = ()
    ledger: pd.DataFrame | None = None
    unlisted: Collection[str] = ()
    funnel: Mapping[str, int] | None = None
    declarations: Declarations | None = None
    exactness: Mapping[str, SourceExactness] = field(default_factory=dict)
    corrections: Sequence[CorrectedValue] | None = None
    removed: Mapping[str, str] = field(default_factory=dict)

    @property
    def sources(self) -> frozenset[str]:
        """Its sources: those that are declared, where that is known, and those of its rows."""
        rows = self.manifest if self.ledger is None else self.ledger
        declared = () if self.declarations is None else self.declarations.sources
        return frozenset([*declared, *rows["source"].unique()])

    @property
    def recipe(self) -> Recipe | None:
        """The recipe, where it is known."""
        return None if self.declarations is None else self.declarations.recipe

    def with_deciding(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Return rows of the manifest, indexed by ``image_id``, with what decided about each, if known."""
        if self.ledger is None:
            return rows
        columns = [name for name in _DECIDING if name in self.ledger and name not in rows]
        known = self.ledger[["image_id", *columns]].drop_duplicates("image_id").set_index("image_id")
        return rows.join(known) if columns else rows


def sources_at_one_pin(old: DatasetVersion, new: DatasetVersion) -> frozenset[str]:
    """Return the sources that two versions declare with one pin: no image of them came or left upstream.

    Parameters
    ----------
    old, new
        The versions; none where the declarations of one are not known.
    """
    a, b = ({} if one.declarations is None else one.declarations.sources for one in (old, new))
    pins = {name: (a[name].pin.revision, b[name].pin.revision) for name in a.keys() & b}
    return frozenset(name for name, (was, now) in pins.items() if was and was == now)


def read_version(name: str | Path) -> DatasetVersion:
    """Read a version of a dataset.

    Parameters
    ----------
    name
        The folder of a release or build, a ``manifest.parquet``, or a published name such as
        ``covid19-cxr/1.0.0``.

    Raises
    ------
    CxrbuildError
        There is no such version, or its files do not fit.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = Path(name)
    if path.is_dir():
        file = path / names.MANIFEST
    elif path.is_file():
        file = path
    else:
        file = published_manifest(str(name))
    if not file.is_file():
        raise CxrbuildError(
            "no such release, build or manifest", where=name,
            expected="the folder of a release or build, a manifest.parquet, or a published name",
            found=f"a folder without {file.name}" if path.is_dir() else None,
            todo=_advise(path),
        )  # fmt: skip
    try:
        manifest = pq.read_table(file).to_pandas()
    except pa.ArrowInvalid as error:
        raise CxrbuildError(
            "not a Parquet file", where=file, found=error,
            todo="Name the folder of a build or release, a manifest.parquet, or a published name. "
            "`cxrbuild audit --list FILE --with DATASET` compares a list of file names with a dataset",
        ) from None  # fmt: skip
    lacking = [column for column in ("image_id", "source", "label", "split") if column not in manifest]
    if lacking:
        raise CxrbuildError(
            "not a manifest", where=file, expected="columns " + ", ".join(lacking),
            todo="Name the folder of a build or release, a manifest.parquet, or a published name",
        )  # fmt: skip
    duplicated = manifest.loc[manifest["image_id"].duplicated(), "image_id"]
    if len(duplicated):
        raise CxrbuildError(
            "an image_id occurs twice", where=file, found=duplicated.iloc[0],
            todo="Build the dataset again with `cxrbuild curate`, or name its own manifest.parquet",
        )  # fmt: skip
    document = _document(file.parent)
    if is_plan(file.parent):
        manifest = _with_metadata(manifest, file.with_name(names.LEDGER))
    known = document or _planned(path)
    declarations = (
        Declarations.of(known, read_declaration_files(file.parent))
        if known is not None
        else None
        if path.exists()
        else _shipped(str(name))
    )
    recipe = None if declarations is None else declarations.recipe
    released = document if isinstance(document, ReleaseDocument) else None
    removed = {} if released is None else {one.image_id: one.cause for one in released.removed}
    missing = {image: cause for image, cause in removed.items() if cause in MISSING}
    return DatasetVersion(
        str(name),
        manifest,
        None if known is None else known.recipe.classes,
        released=released is not None,
        missing={} if known is None else known.missing | missing,
        unpinned=() if known is None else known.unpinned,
        ledger=read_ledger(file.with_name(names.LEDGER), recipe, () if "group" in manifest else _DECIDING),
        unlisted=() if document is None else unlisted_sources(document),
        funnel=None if document is None else {step.step: step.images for step in document.funnel},
        declarations=declarations,
        exactness=_exactness(path) if document is None else document.exactness,
        corrections=_corrections(path, document),
        removed=removed,
    )


def _with_metadata(manifest: pd.DataFrame, ledger: Path) -> pd.DataFrame:
    """Return the rows of a plan with what its ledger says of each: its manifest has the membership alone."""
    import pyarrow.parquet as pq

    of_plan = [one.name for one in COLUMNS if one.stage not in _LATER and one.name not in manifest]
    columns = [name for name in of_plan if name in pq.read_schema(ledger).names]
    rows = read_records(ledger, ["image_id", *columns]).drop_duplicates("image_id").set_index("image_id")
    return manifest.join(rows, on="image_id")


def _advise(path: Path) -> str:
    """Return advice for a path that holds no version: the nearest one there or among the published names."""
    folder = path.parent if path.parent.is_dir() else Path()
    there = [other for other in sorted(folder.iterdir()) if kind_of(other) or other.suffix == ".parquet"]
    near = nearest(str(path), [*published_names(), *map(str, there)])
    if near is not None:
        return f"Write {near}, the nearest name"
    published = name_some(published_names())
    return (
        f"Make one with `cxrbuild curate` or `cxrbuild release VERSION`, or name a published one: {published}"
    )


def _corrections(path: Path, document: DatasetDocument | None) -> Sequence[CorrectedValue] | None:
    """Return the corrections of a build or release, of a plan's folder, or of a published manifest."""
    if document is not None:
        return document.corrections.values
    if not path.exists():
        return ()  # a shipped recipe has none
    if not path.is_dir():
        return None
    file = path / names.CORRECTIONS
    return PlannedCorrections.read(file).corrections.values if file.is_file() else ()


def _exactness(path: Path) -> Mapping[str, SourceExactness]:
    """Return how exact the images of a plan are; nothing where that is not known."""
    file = path / names.EXACTNESS
    return PlannedExactness.read(file).sources if file.is_file() else {}


def _planned(path: Path) -> PlanDocument | None:
    """Return what a plan was made from; ``None`` for anything else, and for plans of earlier versions."""
    file = path / names.PLAN
    return PlanDocument.read(file) if file.is_file() else None


def _document(folder: Path) -> DatasetDocument | None:
    path = folder / names.BUILD
    match kind_of(folder):
        case "release" if path.is_file():
            return ReleaseDocument.read(path)
        case "build":
            return BuildDocument.read(path)
        case _:
            return None


def _shipped(name: str) -> Declarations | None:
    """Return the declarations of a published manifest: those of the shipped recipe that must give it."""
    for recipe in map(read_recipe, recipe_names()):
        if recipe.manifest == name:
            sources = {one.name: one for one in map(read_source, recipe.sources)}
            described = {key: SourceDescription.of(source) for key, source in sources.items()}
            return Declarations(recipe, Overrides(), described, {})
    return None


def read_ledger(file: Path, recipe: Recipe | None, more: Sequence[str] = ()) -> pd.DataFrame | None:
    """Read what a comparison needs of a ledger; ``None`` where there is none.

    Parameters
    ----------
    file
        The ``ledger.parquet``.
    recipe
        The recipe, whose rules look at columns.
    more
        Other columns to read.
    """
    if not file.is_file():
        return None
    return read_records(file, list(dict.fromkeys([*ledger_columns(recipe), *more])))


def ledger_columns(recipe: Recipe | None) -> list[str]:
    """Return the columns of a ledger that a comparison needs."""
    looked = [looked_at(rule) for rule in recipe.rules] if recipe is not None else []
    if recipe is not None and recipe.split.published is not None:
        looked.append("listed")
    return list(dict.fromkeys([*_OF_LEDGER, *(column for column in looked if column is not None)]))
