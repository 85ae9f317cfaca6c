"""The `build.json` of a build, from the plan that it was made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cxrbuild import __version__
from cxrbuild.artifact import BuildDocument
from cxrbuild.artifact.build import (
    DatasetIdentity,
    FileEntry,
    SourceDescription,
    SourceState,
)
from cxrbuild.artifact.plan import PlanDocument
from cxrbuild.curation.expectation import missing_rows
from cxrbuild.curation.plan import Plan, unpinned_sources
from cxrbuild.curation.seal import libraries
from cxrbuild.exactness import count_exactness
from cxrbuild.lockfile import LockedSource
from cxrbuild.split import groups_in_several_splits

# What of the lock a build does not record: the origin can be private, and the key has a place of its own.
_UNRECORDED = {"origin", "patient_key"}


def source_states(locked: Mapping[str, LockedSource]) -> dict[str, SourceState]:
    """Return what ``build.json`` records of the entries of a lock."""
    return {
        name: SourceState(**{key: value for key, value in lock.to_dict().items() if key not in _UNRECORDED})
        for name, lock in locked.items()
    }


def plan_document(plan: Plan) -> PlanDocument:
    """Return the content of the ``plan.json`` of a plan's folder."""
    missing = missing_rows(plan)
    return PlanDocument(
        recipe=plan.declared.recipe,
        declared_sources=_described(plan),
        overrides=plan.declared.overrides,
        unpinned=plan.unpinned,
        sources={} if plan.as_pinned else source_states(plan.locked),
        missing=dict(zip(missing["image_id"], missing["exclusion"], strict=True)),
    )


def build_document(
    plan: Plan, inputs: str = "", formats: Sequence[str] = (), files: Mapping[str, FileEntry] | None = None
) -> BuildDocument:
    """Return the content of ``build.json``.

    Parameters
    ----------
    plan
        The plan, with the results of the conversion. Of a plan alone it says what metadata decides.
    inputs
        The hash of all inputs of the build.
    formats
        ``parquet``, ``tfrecord`` or both.
    files
        Size and hash of every file but the images, by path.
    """
    recipe, missing = plan.declared.recipe, missing_rows(plan)
    return BuildDocument.model_validate({
        "dataset": DatasetIdentity(name=recipe.name, version=recipe.version, title=recipe.title),
        "inputs": inputs,
        "cxrbuild": __version__,
        "libraries": libraries(),
        "recipe": recipe,
        "declared_sources": _described(plan),
        "overrides": plan.declared.overrides.model_dump(mode="json"),
        "unpinned": unpinned_sources(plan.declared, plan.locked),
        "sources": source_states(plan.locked),
        "missing": dict(zip(missing["image_id"], missing["exclusion"], strict=True)),
        "exactness": count_exactness(plan.records, plan.locked),
        "counts": plan.counts,
        "funnel": plan.funnel_steps,
        "groups_in_several_splits": groups_in_several_splits(plan.records).to_dict(),
        "formats": sorted(formats),
        "patient_key": plan.patient_key,
        "previous": plan.previous,
        "files": files or {},
        "corrections": plan.corrections,
    })  # fmt: skip


def _described(plan: Plan) -> dict[str, SourceDescription]:
    return {source.name: SourceDescription.of(source) for source in plan.declared.sources}
