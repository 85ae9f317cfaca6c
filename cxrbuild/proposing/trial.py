"""Try a proposal on the files that it was made from, without a data folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cxrbuild.catalog import Recipe, Source
from cxrbuild.catalog.override import Overrides
from cxrbuild.curation import Declared, decide
from cxrbuild.curation.findings import OtherFindings, find_other_findings
from cxrbuild.fetching.layout import is_ignored
from cxrbuild.ingest import ingest, take_inventory
from cxrbuild.parsing import parse_toml
from cxrbuild.progress import Progress
from cxrbuild.proposing.classes import Kept

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Trial:
    """The rows of a source, as its declaration reads them; recipes are tried on them."""

    source: Source
    records: pd.DataFrame

    def run(self, recipe: str) -> pd.DataFrame:
        """Return the rows with class, exclusion, group and split, as a recipe decides them.

        Raises
        ------
        CxrbuildError
            The recipe does not fit the rows.
        """
        return decide(self._declared(recipe), self.records)

    def find_other_findings(self, recipe: str, decided: pd.DataFrame) -> OtherFindings:
        """Return the findings without a class of kept images that have a class by another finding."""
        declared = self._declared(recipe)
        return find_other_findings(decided, declared.recipe, declared.separators)

    def _declared(self, recipe: str) -> Declared:
        return Declared(
            recipe=Recipe.model_validate(parse_toml(recipe) | {"folder": Path()}),
            overrides=Overrides(rules=()), sources=[self.source], reviews=[], links=[],
        )  # fmt: skip


def start_trial(source: str, root: Path, progress: Progress) -> Trial:
    """Ingest the files below a folder as a source's text declares them.

    Patient numbers are kept, so that no secret is needed; the rows are not written anywhere. Contradictory
    numbers are left to `plan`, which shows them hashed, and so are rows of one image that differ.

    Raises
    ------
    CxrbuildError
        The declaration does not fit the files.
    """
    table: dict[str, Any] = parse_toml(source)
    left_to_plan = {"patient_id": "keep", "patient_conflicts": "ignore", "differing_rows": "first"}
    table["reader"] = table["reader"] | left_to_plan
    declared = Source.model_validate(table | {"file": root / "proposal.toml"})
    inventory = take_inventory(declared, root)
    ignored = {path for path in inventory.available if is_ignored(path, declared.download.ignore)}
    blobs = {path: blob for path, blob in inventory.blobs.items() if path not in ignored}
    inventory = replace(inventory, available=inventory.available - ignored, blobs=blobs)
    records = ingest(declared, inventory, progress)
    return Trial(declared, records.sort_values("image_id", ignore_index=True))


def kept_by_class(records: pd.DataFrame, classes: Sequence[str]) -> dict[str, Kept]:
    """Return the kept images and groups of each class."""
    kept = records[records["exclusion"].isna()]
    groups = kept.groupby("label")["group"].nunique()
    images = kept["label"].value_counts()
    return {name: Kept(int(images.get(name, 0)), int(groups.get(name, 0))) for name in classes}


def has_mixed_groups(records: pd.DataFrame) -> bool:
    """Return whether a group has kept images of two classes."""
    kept = records[records["exclusion"].isna()]
    return bool((kept.groupby("group")["label"].nunique() > 1).any())


def split_counts(records: pd.DataFrame, classes: Sequence[str]) -> dict[str, Mapping[str, int]]:
    """Return for each class the kept images of each split."""
    kept = records[records["exclusion"].isna()]
    found = kept.groupby(["label", "split"]).size().to_dict()
    splits = [name for name in ("train", "validation", "test") if (kept["split"] == name).any()]
    return {name: {split: int(found.get((name, split), 0)) for split in splits} for name in classes}
