"""The folder that `plan --out` writes, as something to ask: its ledger and what it was made from."""

from __future__ import annotations

from pathlib import Path

from cxrbuild import __version__
from cxrbuild.artifact import Artifact, names
from cxrbuild.artifact.build import (
    DatasetDocument,
    DatasetIdentity,
    SourceDescription,
    SourceState,
)
from cxrbuild.artifact.correction import Corrections, PlannedCorrections
from cxrbuild.artifact.plan import PlanDocument
from cxrbuild.catalog import Recipe, read_source
from cxrbuild.catalog.override import Overrides
from cxrbuild.curation import source_states
from cxrbuild.errors import CxrbuildError, name_some
from cxrbuild.exclusions import exclusion_reasons
from cxrbuild.fetching.pin import is_for_another_pin, locked_against
from cxrbuild.lockfile import read_lock


def open_plan(folder: Path, recipe: Recipe | None, data: Path | None) -> Artifact:
    """Open a plan, with the recipe that a user names, or the one that it records.

    With the recipe's files, how files were verified is what the lock of the data folder says, where its files
    were verified by the pins of the recipe; else it is what the plan records.

    Raises
    ------
    CxrbuildError
        No recipe is named, and the plan, of an earlier version, records none; or the plan is of another one.
    """
    file = folder / names.PLAN
    if recipe is None:
        if not file.is_file():
            raise CxrbuildError(
                "the folder holds a plan of an earlier version, which does not record its recipe",
                where=folder, todo="Name the recipe with --recipe FILE, or plan again",
            )  # fmt: skip
        recorded = PlanDocument.read(file)
        return Artifact(
            folder,
            _document(
                recorded.recipe, recorded.declared_sources, recorded.sources, recorded.unpinned, folder
            ),
        )
    sources = [read_source(one, recipe.folder) for one in recipe.sources]
    locked = {} if data is None else read_lock(data)
    verified = {
        one.name: locked_against(one, data, locked[one.name])
        for one in sources
        if data is not None and one.name in locked and not is_for_another_pin(one, locked[one.name])
    }
    described = {source.name: SourceDescription.of(source) for source in sources}
    unpinned = sorted(name for name, one in verified.items() if one.unpinned)
    plan = Artifact(folder, _document(recipe, described, source_states(verified), unpinned, folder))
    others = set(plan.ledger["source"]) - {source.name for source in sources}
    steps = set(plan.ledger["exclusion"].dropna()) - set(exclusion_reasons(recipe.rules))
    if others or steps:
        raise CxrbuildError(
            "the plan was made with another recipe", where=folder,
            expected=f"the sources and exclusions of {recipe.name} {recipe.version}",
            found=name_some(sorted(others | steps)), todo="Name its recipe, or plan again",
        )  # fmt: skip
    return plan


def _document(
    recipe: Recipe,
    described: dict[str, SourceDescription],
    states: dict[str, SourceState],
    unpinned: list[str],
    folder: Path,
) -> DatasetDocument:
    corrected = folder / names.CORRECTIONS
    return DatasetDocument(
        dataset=DatasetIdentity(name=recipe.name, version=recipe.version, title=recipe.title),
        inputs="", cxrbuild=__version__, libraries={}, recipe=recipe, declared_sources=described,
        overrides=Overrides(rules=()), sources=states, unpinned=unpinned,
        missing={}, counts={}, funnel=[], groups_in_several_splits={}, formats=[],
        corrections=PlannedCorrections.read(corrected).corrections if corrected.is_file() else Corrections(),
    )  # fmt: skip
