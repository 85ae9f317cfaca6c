"""What a release holds, as its documents tell it: counted once, from the table and ``build.json``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from cxrbuild.artifact import ReleaseDocument
from cxrbuild.artifact.build import SourceDescription
from cxrbuild.catalog import Recipe
from cxrbuild.catalog.override import Overrides
from cxrbuild.exclusions import exclusion_reasons
from cxrbuild.records import SPLITS

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Step:
    """A step of the flow chart: how many images it left out, and why."""

    name: str
    sentence: str
    reason: str
    images: int
    by_source: dict[str, int]


@dataclass(frozen=True)
class Contents:
    """What a release holds.

    Attributes
    ----------
    document
        Its ``build.json``.
    records
        Its ledger: a row for every upstream image, ``withheld`` filled.
    measured
        What its audit measured of biases, in sentences; empty where it was not audited.
    doubts
        What else its audit found, in sentences.
    """

    document: ReleaseDocument
    records: pd.DataFrame
    measured: Sequence[str] = ()
    doubts: Sequence[str] = ()

    @property
    def recipe(self) -> Recipe:
        """The recipe that it was built from, its rules switched."""
        return self.document.recipe

    @property
    def name(self) -> str:
        """The dataset's name."""
        return self.document.dataset.name

    @property
    def version(self) -> str:
        """The release's version."""
        return self.document.dataset.version

    @property
    def policy(self) -> str:
        """Whether it is public or private."""
        return self.document.policy

    @property
    def overrides(self) -> Overrides:
        """How it differs from its recipe's defaults."""
        return self.document.overrides

    @property
    def sources(self) -> dict[str, SourceDescription]:
        """What is declared about each source."""
        return self.document.declared_sources

    @property
    def notices(self) -> dict[str, str]:
        """What sets it apart from the dataset that its recipe defines: a word, and what it means."""
        notices = {}
        if missing := len(self.document.missing):
            films = "1 film" if missing == 1 else f"{missing:,} films"
            notices["Incomplete"] = (
                f"{films} that belong{'s' * (missing == 1)} to the dataset could not be had: of "
                f"{len(self.kept) + missing:,} it has {len(self.kept):,}. `build.json` names each."
            )
        if unpinned := self.document.unpinned:
            other = sum(
                len(state.different) for name, state in self.document.sources.items() if name in unpinned
            )
            counted = f" {other:,} of them are known to be other files." if other else ""
            notices["Unpinned"] = (
                f"The files of {', '.join(unpinned)} were not proven to be the pinned version.{counted}"
            )
        return notices

    @property
    def description(self) -> str:
        """What the recipe says of the dataset, after what sets this release apart from it."""
        notices = [f"{title}: {words}" for title, words in self.notices.items()]
        return "\n".join([*notices, self.recipe.description.strip() or self.recipe.title])

    @cached_property
    def kept(self) -> pd.DataFrame:
        """The rows of the dataset."""
        return self.records[self.records["exclusion"].isna()]

    @cached_property
    def embedded(self) -> pd.DataFrame:
        """The rows of the dataset whose pixels are in the release."""
        return self.kept[self.kept["withheld"].isna()]

    @property
    def parts(self) -> list[str]:
        """The parts that it has, in their order."""
        return [part for part in SPLITS if part in set(self.kept["split"])]

    def count(self, rows: pd.DataFrame) -> dict[str, dict[str, int]]:
        """Return for each class how many of some rows each part has."""
        sizes = rows.groupby(["label", "split"]).size()
        return {
            label: {part: int(sizes.get((label, part), 0)) for part in self.parts}
            for label in self.recipe.classes
        }

    def count_withheld(self) -> dict[str, int]:
        """Return for each reason how many rows have no pixels here, most first."""
        return {str(reason): int(n) for reason, n in self.kept["withheld"].value_counts().items()}

    def count_by(self, column: str, rows: pd.DataFrame) -> dict[str, dict[str, int]]:
        """Return for each value of a column, ``unknown`` where null, how many rows each class has."""
        sizes = rows.groupby([rows[column].fillna("unknown"), "label"]).size()
        values = rows[column].fillna("unknown").value_counts().index
        return {
            str(value): {label: int(sizes.get((value, label), 0)) for label in self.recipe.classes}
            for value in values
        }

    def steps(self) -> list[Step]:
        """Return the flow chart between ``upstream`` and ``kept``."""
        sentences = {rule.name: rule.describe() for rule in self.recipe.rules}
        reasons = exclusion_reasons(self.recipe.rules)
        return [
            Step(
                name=row.step,
                sentence=sentences.get(row.step, ""),
                reason=reasons.get(row.step, ""),
                images=row.images,
                by_source=row.by_source,
            )
            for row in self.document.funnel
            if row.step not in ("upstream", "kept")
        ]

    def upstream(self) -> dict[str, int]:
        """Return how many images each source has upstream."""
        return self.document.funnel[0].by_source

    def confounded(self) -> list[str]:
        """Return in words which classes have sources of their own: a model can tell these instead."""
        return [
            f"Every {label} image is of {sources[0]}."
            for label in self.recipe.classes
            if len(sources := sorted(set(self.kept.loc[self.kept["label"] == label, "source"]))) == 1
        ] + [
            f"No source holds both {a} and {b}."
            for i, a in enumerate(self.recipe.classes)
            for b in self.recipe.classes[i + 1 :]
            if not self._sources_of(a) & self._sources_of(b)
        ]

    def _sources_of(self, label: str) -> set[str]:
        return set(self.kept.loc[self.kept["label"] == label, "source"])
