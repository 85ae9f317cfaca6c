"""Find why a row left, entered, moved or got another class, from both ledgers, manifests and recipes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from cxrbuild.comparison.version import DatasetVersion
from cxrbuild.reasons import exclusion_texts, label_texts, split_texts
from cxrbuild.records import differs

if TYPE_CHECKING:
    import pandas as pd

_GONE, _NEW = "no longer upstream", "new upstream"


def with_causes(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows with the columns ``cause`` and ``reason``, empty where they have none."""
    return rows if "cause" in rows else rows.assign(cause="", reason="")


class Causes:
    """Why the rows of a comparison changed.

    Parameters
    ----------
    old, new
        The versions.
    a, b
        Their manifests, indexed by ``image_id``.
    """

    def __init__(self, old: DatasetVersion, new: DatasetVersion, a: pd.DataFrame, b: pd.DataFrame) -> None:
        self._old, self._new = old, new
        self._a, self._b = a, b

    def of_removed(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Fill ``cause`` and ``reason`` of rows that the new version lacks, by its ledger."""
        return self._of_absent(rows, self._new, _GONE, "")

    def of_added(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Fill ``cause`` and ``reason`` of rows that the old version lacks, by its ledger."""
        return self._of_absent(rows, self._old, _NEW, "before: ")

    def of_missing(
        self, rows: pd.DataFrame, other: DatasetVersion, side: Literal["old", "new"]
    ) -> pd.DataFrame:
        """Fill ``cause`` and ``reason`` of rows whose image is missing in a version."""
        causes = rows["image_id"].map(dict(other.missing)).astype("str")
        reasons = rows["image_id"].map(_exclusions(rows, other)).astype("str").fillna(causes)
        return rows.assign(cause=causes, reason=f"{side}: " + reasons)

    def _of_absent(
        self, rows: pd.DataFrame, other: DatasetVersion, unknown: str, before: str
    ) -> pd.DataFrame:
        if other.ledger is None or rows.empty:
            return with_causes(rows)
        reasons = rows["image_id"].map(_exclusions(rows, other)).astype("str")
        cause = reasons.str.partition(" (")[0].fillna(unknown)
        return rows.assign(cause=cause, reason=(before + reasons).fillna(unknown))

    def of_relabelled(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Fill ``cause`` and ``reason`` of rows with another class: another finding or other labels."""
        a, b = self._a.loc[rows["image_id"]], self._b.loc[rows["image_id"]]
        before = label_texts(a, self._old.recipe).array
        after = label_texts(b, self._new.recipe).array
        return _filled(rows, [_relabelled(was, now) for was, now in zip(before, after, strict=True)])

    def of_moved(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Fill ``cause`` and ``reason`` of rows in another split: what decided it before and now."""
        a, b = self._a.loc[rows["image_id"]], self._b.loc[rows["image_id"]]
        before = split_texts(a, self._old.recipe, self._a).array
        after = split_texts(b, self._new.recipe, self._b).array
        regrouped = (
            differs(a["group"], b["group"]).tolist() if "group" in a and "group" in b else [False] * len(rows)
        )
        groups = zip(*(_groups(side) for side in (a, b)), strict=True)
        found = [
            _moved(was, now, self._redrawn(), *(between if other else ("", "")))
            for was, now, other, between in zip(before, after, regrouped, groups, strict=True)
        ]
        return _filled(rows, found)

    def _redrawn(self) -> tuple[str, str]:
        """Return why a draw gives another split to the same group: cause and clause."""
        if self._old.recipe is None or self._new.recipe is None:
            return ("draw", "")
        was, now = self._old.recipe.split, self._new.recipe.split
        if was.salt != now.salt:
            return ("another salt", f"the salt was {was.salt}")
        if (was.test, was.validation) != (now.test, now.validation):
            return ("another size of a split", "the declared size of a split changed")
        return ("draw with other images", "other images came or left, and the count is exact")


def _exclusions(rows: pd.DataFrame, version: DatasetVersion) -> dict[str, str]:
    """Return why the version excludes some images, by id."""
    if version.ledger is None:
        return {}
    asked = version.ledger[version.ledger["image_id"].isin(list(rows["image_id"]))]
    excluded = asked[asked["exclusion"].notna()]
    texts = exclusion_texts(excluded, version.recipe)
    return dict(zip(excluded["image_id"], texts, strict=True))


def _groups(rows: pd.DataFrame) -> list[str]:
    return rows["group"].astype("str").tolist() if "group" in rows else [""] * len(rows)


def _filled(rows: pd.DataFrame, found: list[tuple[str, str]]) -> pd.DataFrame:
    return rows.assign(cause=[cause for cause, _ in found], reason=[reason for _, reason in found])


def _relabelled(was: str | None, now: str | None) -> tuple[str, str]:
    """Return cause and reason of another class; the texts are those of `label_texts`."""
    was, now = (None if text != text else text for text in (was, now))  # NaN is null
    if was is None or now is None:
        return ("", "") if now is None else ("", now)
    if was == now:
        return "other labels", f"{now} is declared as another class"
    if was.startswith("finding ") and now.startswith("finding "):
        return "another finding", f"{was} -> {now.removeprefix('finding ')}"
    return "another list", f"{was} -> {now}"


def _moved(
    was: str | None, now: str | None, redrawn: tuple[str, str], group: str = "", regrouped: str = ""
) -> tuple[str, str]:
    """Return cause and reason of another split; the texts are those of `split_texts`."""
    was, now = (None if text != text else text for text in (was, now))
    if regrouped:
        return "another group", f"its group was {group}, and is {regrouped}" + (f": {now}" if now else "")
    if was is None or now is None:
        known = now if was is None else was
        return ("", "") if known is None else ("", known if was is None else f"before: {known}")
    drawn = [text.startswith(("drawn", "not drawn")) for text in (was, now)]
    if all(drawn):
        return redrawn[0], f"{now}; {redrawn[1]}" if redrawn[1] else now
    if was == now:
        return "other splits", f"{now}, which the recipe maps otherwise"
    if now.startswith("declared"):
        return "declared by the source", f"{was} -> {now}"
    return "decided otherwise", f"{was} -> {now}"
