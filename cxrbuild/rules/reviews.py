"""Fill the columns that come from reviews."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cxrbuild.catalog import Review
from cxrbuild.catalog.csv_table import advise_on_absent
from cxrbuild.errors import DeclarationError, count_of, name_some
from cxrbuild.paths import PathIndex

if TYPE_CHECKING:
    import pandas as pd


def add_reviews(records: pd.DataFrame, reviews: Sequence[Review]) -> pd.DataFrame:
    """Fill ``review`` and ``marks_finding`` with what reviewers saw.

    Reviews of other sources than the table's are ignored: a review file may cover several recipes.

    Raises
    ------
    DeclarationError
        A review names an image that its source does not have.
    """
    import pandas as pd

    sources = set(records["source"])
    reviews = [review for review in reviews if review.source in sources]
    seen = pd.DataFrame(
        [(review.source, review.path, review.mark, review.marks_finding) for review in reviews],
        columns=["source", "source_path", "review", "marks_finding"],
    ).astype({"review": "str", "marks_finding": "boolean"})
    named = seen["source"] + "/" + seen["source_path"]
    there = named.isin(records["source"] + "/" + records["source_path"])
    unknown = [review for review, known in zip(reviews, there, strict=True) if not known]
    if unknown:
        known = {name: PathIndex(rows["source_path"]) for name, rows in records.groupby("source")}
        raise DeclarationError(
            f"{count_of(len(unknown), 'review')} of images that the source does not have",
            where=name_some(sorted({str(one.file) for one in unknown if one.file})) or None,
            found=name_some(f"{one.source} {known[one.source].describe(one.path)}" for one in unknown),
            todo=advise_on_absent((one.file for one in unknown), "reviews"),
        )
    images = records[["source", "source_path"]]
    found = images.merge(seen, on=["source", "source_path"], how="left", validate="many_to_one")
    return records.assign(review=found["review"].array, marks_finding=found["marks_finding"].array)
