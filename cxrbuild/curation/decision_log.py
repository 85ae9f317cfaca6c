"""Log what a plan was made from, and what it decided: counts alone, no image and no patient."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cxrbuild.curation.declared import Declared
from cxrbuild.exclusions import exclusion_reasons
from cxrbuild.records import SPLITS

if TYPE_CHECKING:
    import pandas as pd

_logger = logging.getLogger(__name__)


def log_decisions(declared: Declared, records: pd.DataFrame, to_bring: Sequence[str] = ()) -> None:
    """Log the declarations, the exclusions in order, and the groups and images of each split.

    Parameters
    ----------
    declared
        The recipe with everything that it names.
    records
        The rows, with label, exclusion, group and split.
    to_bring
        The sources that are not there.
    """
    recipe = declared.recipe
    _logger.info(
        "declared: %s %s of %s; %d reviews, %d links, %d corrections%s",
        recipe.name, recipe.version, ", ".join(source.name for source in declared.sources),
        len(declared.reviews), len(declared.links), len(declared.corrections),
        f"; not there: {', '.join(to_bring)}" if to_bring else "",
    )  # fmt: skip
    for text in declared.overrides.describe():
        _logger.info("override of the recipe: %s", text)
    kept = records[records["exclusion"].isna()]
    reviewed = int(records["review"].notna().sum())
    _logger.info("planned: %d of %d rows kept, %d with a review", len(kept), len(records), reviewed)
    for source, rows in records.groupby("source"):
        _logger.info("source %s: %d of %d rows kept", source, int(rows["exclusion"].isna().sum()), len(rows))
    excluded = records["exclusion"].value_counts()
    for code in exclusion_reasons(recipe.rules):
        if code in excluded:
            _logger.info("excluded by %s: %d rows", code, excluded[code])
    by_split = kept.groupby("split")
    for split in SPLITS:
        if split in by_split.groups:
            rows = by_split.get_group(split)
            labels = rows["label"].value_counts()
            _logger.info(
                "split %s: %d images in %d groups; %s", split, len(rows), rows["group"].nunique(),
                ", ".join(f"{label} {labels.get(label, 0)}" for label in recipe.classes),
            )  # fmt: skip
