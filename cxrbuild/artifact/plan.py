"""``plan.json`` and ``exactness.json``: what a plan was made from, and how exact its images are."""

from __future__ import annotations

from typing import ClassVar, Literal

from cxrbuild.artifact.build import RecordedRecipe, SourceDescription, SourceExactness, SourceState
from cxrbuild.artifact.document import Document
from cxrbuild.catalog.override import Overrides


class PlanDocument(Document):
    """What a plan was made from: the part of a ``build.json`` that is known without a build.

    Attributes
    ----------
    recipe
        The recipe, its rules switched, without ``audit`` and ``baseline``.
    declared_sources
        What is declared about each source.
    overrides
        How the plan differs from the recipe's defaults.
    unpinned
        Sources that are not verified to be the pinned version.
    sources
        What the lock states about each source; empty where every pinned file is taken to be there.
    missing
        Images that belong to the dataset and are missing, with their exclusion.
    """

    FORMAT: ClassVar[int] = 1
    KIND: ClassVar[str] = "the plan.json of a plan"
    NEXT_STEP: ClassVar[str] = "Make the plan again with `cxrbuild plan --out`"

    format: Literal[1] = 1
    recipe: RecordedRecipe
    declared_sources: dict[str, SourceDescription]
    overrides: Overrides
    unpinned: list[str]
    sources: dict[str, SourceState]
    missing: dict[str, str]


class PlannedExactness(Document):
    """How many images of a plan are those of the pins; a plan has no ``build.json``.

    Attributes
    ----------
    sources
        The numbers by source.
    """

    FORMAT: ClassVar[int] = 1
    KIND: ClassVar[str] = "the exactness.json of a plan"
    NEXT_STEP: ClassVar[str] = "Make the plan again with `cxrbuild plan --out`"

    format: Literal[1] = 1
    sources: dict[str, SourceExactness]
