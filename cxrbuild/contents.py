"""The content of a release, counted once from its ledger and ``build.json`` for all documents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import TYPE_CHECKING

from cxrbuild.artifact import ReleaseDocument
from cxrbuild.artifact.build import SourceDescription
from cxrbuild.artifact.pixels import count_pixels
from cxrbuild.catalog import Recipe
from cxrbuild.catalog.override import Overrides
from cxrbuild.errors import verb_of
from cxrbuild.exactness import describe_exactness
from cxrbuild.exclusions import exclusion_reasons
from cxrbuild.policy import unlisted_sources
from cxrbuild.records import SPLITS

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Step:
    """A step of the flow chart: how many images it excludes, and why."""

    name: str
    sentence: str
    reason: str
    images: int
    by_source: dict[str, int]


@dataclass(frozen=True)
class Contents:
    """The content of a release.

    Attributes
    ----------
    document
        Its ``build.json``.
    records
        Its ledger: a row for every image that it lists, ``withheld`` filled.
    measured_biases
        Biases that its audit and its explanation measured, in sentences.
    audit_notes
        What else its audit found, in sentences.
    known_kept
        The rows of the dataset, where a table of them is in memory already.
    """

    document: ReleaseDocument
    records: pd.DataFrame
    measured_biases: Sequence[str] = ()
    audit_notes: Sequence[str] = ()
    known_kept: pd.DataFrame | None = None

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
        """How it differs from the dataset that its recipe defines: title and sentence by difference."""
        notices = {}
        if missing := self.document.missing_images:
            total = len(self.kept) + missing
            named = "lists them" if len(self.document.missing) == missing else "counts them by source"
            notices["Incomplete"] = (
                f"{missing:,} of the {total:,} images of the dataset {verb_of(missing, 'is')} missing. "
                f"`build.json` {named}."
            )
        if unpinned := self.document.unpinned:
            notices["Unpinned"] = " ".join([
                f"The files of {', '.join(unpinned)} are not verified to be the pinned version.",
                *self.exactness,
            ])  # fmt: skip
        return notices

    @property
    def exactness(self) -> list[str]:
        """How many of its images are those of the pins, in sentences."""
        return describe_exactness(self.document.exactness)

    @property
    def description(self) -> str:
        """The recipe's description, after the notices."""
        notices = [f"{title}: {text}" for title, text in self.notices.items()]
        return "\n".join([*notices, self.recipe.description.strip() or self.recipe.title])

    @cached_property
    def kept(self) -> pd.DataFrame:
        """The rows of the dataset."""
        return self.records[self.records["exclusion"].isna()] if self.known_kept is None else self.known_kept

    @cached_property
    def embedded(self) -> pd.DataFrame:
        """The rows of the dataset whose pixels are in the release."""
        return self.kept[self.kept["withheld"].isna()]

    @property
    def splits(self) -> list[str]:
        """The splits that it has, in order."""
        found = set(self.kept["split"])
        return [split for split in SPLITS if split in found]

    def count(self, rows: pd.DataFrame) -> dict[str, dict[str, int]]:
        """Return the number of rows by class and split."""
        sizes = rows.groupby(["label", "split"]).size()
        return {
            label: {split: int(sizes.get((label, split), 0)) for split in self.splits}
            for label in self.recipe.classes
        }

    def describe_absent_pixels(self) -> list[str]:
        """Return a sentence for each class and split that lacks pixels: withheld, or of missing images."""
        ledger = self.records if self.document.missing_images else None
        counted = count_pixels(self.kept, ledger, self.recipe.classes)
        return [f"{one.describe()}." for one in counted if not one.complete]

    def count_withheld(self) -> dict[str, int]:
        """Return the number of images whose pixels are withheld, by reason, most first."""
        return {str(reason): int(n) for reason, n in self.kept["withheld"].value_counts().items()}

    def count_by(self, column: str, rows: pd.DataFrame) -> dict[str, dict[str, int]]:
        """Return the number of rows by value of a column (``unknown`` for null) and class."""
        sizes = rows.groupby([rows[column].fillna("unknown"), "label"]).size()
        values = rows[column].fillna("unknown").value_counts().index
        return {
            str(value): {label: int(sizes.get((value, label), 0)) for label in self.recipe.classes}
            for value in values
        }

    def steps(self) -> list[Step]:
        """Return the steps of the flow chart between ``upstream`` and ``kept``."""
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
        """Return the number of upstream images by source."""
        return self.document.funnel[0].by_source

    @property
    def upstream_images(self) -> int:
        """The number of upstream images, also of those that the ledger does not list."""
        return self.document.funnel[0].images

    @property
    def unlisted(self) -> frozenset[str]:
        """The sources whose excluded images the ledger does not list."""
        return unlisted_sources(self.document)

    def confounded(self) -> list[str]:
        """Return sentences about classes that share no source: a model can learn the source instead.

        There are none where the dataset has one source alone, which says nothing about the class.
        """
        return describe_sources_of_classes(self.kept, self.recipe.classes)

    def rare_classes(self) -> list[str]:
        """Return sentences about classes that are less than a tenth of the images, with and without pixels.

        There are none of a class without an image.
        """
        images, pixels = (rows["label"].value_counts() for rows in (self.kept, self.embedded))
        sentences = []
        for label in self.recipe.classes:
            n, embedded = int(images.get(label, 0)), int(pixels.get(label, 0))
            if not n or 10 * n >= len(self.kept):
                continue
            of_pixels = ""
            if len(self.embedded) < len(self.kept) and embedded:
                of_pixels = f", and one in {len(self.embedded) / embedded:,.0f} of those with pixels"
            sentences.append(
                f"One image in {len(self.kept) / n:,.0f} is {label}{of_pixels}. Accuracy over all classes "
                "hardly depends on this class."
            )
        return sentences


def describe_sources_of_classes(rows: pd.DataFrame, classes: Sequence[str]) -> list[str]:
    """Return sentences about classes that are of one source, or share none; see `Contents.confounded`.

    Parameters
    ----------
    rows
        The images with ``label`` and ``source``.
    classes
        The classes, in order.
    """
    pairs = rows[["label", "source"]].drop_duplicates()
    if pairs["source"].nunique() < 2:
        return []
    sources = {label: sorted(pairs.loc[pairs["label"] == label, "source"]) for label in classes}
    return [
        f"Every {label} image is from {found[0]}." for label, found in sources.items() if len(found) == 1
    ] + [
        f"No source has both {a} and {b}."
        for a, b in combinations(sources, 2)
        if not set(sources[a]) & set(sources[b])
    ]
