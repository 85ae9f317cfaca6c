"""Find the images that both versions exclude, each for another reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cxrbuild.comparison.version import DatasetVersion
from cxrbuild.policy import is_unlisted
from cxrbuild.reasons import details_without_notes, exclusion_texts
from cxrbuild.records import differs

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS = ["image_id", "source", "label", "split", "change", "cause", "reason"]


def changed_exclusions(old: DatasetVersion, new: DatasetVersion) -> pd.DataFrame:
    """Return the images that both versions exclude, by another rule or with another detail.

    The rows are as `Diff.rows` has them. There are none where a version has no ledger.
    """
    import pandas as pd

    ledgers = listed_ledgers(old, new)
    if ledgers is None:
        return pd.DataFrame(columns=_COLUMNS, dtype="str")
    a, b = excluded_by_both(*ledgers)
    ruled = differs(a["exclusion"], b["exclusion"])
    found = ruled | other_details(a, b)
    a, b, ruled = a[found], b[found], ruled[found]
    was, now = a["exclusion"].astype("str"), b["exclusion"].astype("str")
    detail, details = (side["exclusion_detail"].astype("str").fillna("null") for side in (a, b))
    texts, text = exclusion_texts(a, old.recipe), exclusion_texts(b, new.recipe)
    rows = b.assign(
        label=b["label"].astype("str").fillna(""),
        split="",
        change=("exclusion " + was + " -> " + now).where(
            ruled, "exclusion_detail " + detail + " -> " + details
        ),
        cause=(was + " -> " + now).where(ruled, "another detail"),
        reason=("before: " + texts + "; now: " + text).where(ruled, ""),
    )
    return rows.reset_index()[_COLUMNS].astype("str").sort_values("image_id", ignore_index=True)


def listed_ledgers(old: DatasetVersion, new: DatasetVersion) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """Return both ledgers, without the images that a public release of one of them does not list.

    ``None`` where a version has no ledger.
    """
    if old.ledger is None or new.ledger is None:
        return None
    unlisted = {*old.unlisted, *new.unlisted}
    if not unlisted:
        return old.ledger, new.ledger
    a, b = (ledger[~is_unlisted(ledger, unlisted)] for ledger in (old.ledger, new.ledger))
    return a, b


def excluded_by_both(old: pd.DataFrame, new: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows of two ledgers that both exclude, indexed by ``image_id`` in one order."""
    a, b = (
        side[side["exclusion"].notna()].drop_duplicates("image_id").set_index("image_id")
        for side in (old, new)
    )
    both = a.index.intersection(b.index)
    return a.loc[both], b.loc[both]


def other_details(old: pd.DataFrame, new: pd.DataFrame) -> pd.Series:
    """Return where the details of two tables of one index differ.

    A note that one of them lacks is no difference: a public release omits notes.
    """
    different = differs(old["exclusion_detail"], new["exclusion_detail"])
    known = old["exclusion_note"].notna() & new["exclusion_note"].notna()
    return different & (known | differs(details_without_notes(old), details_without_notes(new)))
