"""Which corrections of metadata one version of a dataset has and the other does not, and the rows of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from cxrbuild.artifact.correction import CorrectedValue
from cxrbuild.comparison.diff import BY_FINDING, DeclaredChange, Kind
from cxrbuild.comparison.version import DatasetVersion

if TYPE_CHECKING:
    import pandas as pd

CAUSE = "correction"
# The columns whose corrections can explain a kind of change; of a kind that is not here, any column.
_COLUMNS: dict[Kind, tuple[str, ...]] = {
    "relabelled": ("finding",),
    "moved": ("patient_id", "upstream_split"),
    "pixels_changed": (),
    "missing": (),
    "other_bytes": (),
}


class CorrectionChanges:
    """The corrections that differ between two versions; none where a version does not record them.

    Of images that a public release does not list, it does not say whether they were corrected.

    Parameters
    ----------
    old, new
        The versions.
    """

    def __init__(self, old: DatasetVersion, new: DatasetVersion) -> None:
        self._old: dict[tuple[str, str], CorrectedValue] = {}
        self._new: dict[tuple[str, str], CorrectedValue] = {}
        if old.corrections is None or new.corrections is None:
            return
        a, b = (_comparable(side, old, new) for side in (old, new))
        common = {key for key in a.keys() & b.keys() if _is_same(a[key], b[key])}
        self._old, self._new = (
            {key: one for key, one in side.items() if key not in common} for side in (a, b)
        )

    def declared(self) -> Iterator[DeclaredChange]:
        """Yield each correction that came, left or changed."""
        keys = {**self._old, **self._new}
        for key in sorted(keys, key=lambda key: (keys[key].source, *key)):
            texts = [
                None if one is None else one.describe().removeprefix(f"{one.column} ")
                for one in (self._old.get(key), self._new.get(key))
            ]
            yield DeclaredChange(keys[key].source, f"corrections.{key[0]}.{key[1]}", *texts)

    def explain(self, rows: pd.DataFrame, kind: Kind) -> pd.DataFrame:
        """Return rows whose ``reason`` names the corrections of their images that can explain the change.

        A correction is the cause of another class by its finding, of another split by its patient or the
        source's split, and of any change that has no other cause.

        Parameters
        ----------
        rows
            Rows of a comparison, with ``cause`` and ``reason``.
        kind
            What changed of them.
        """
        columns = _COLUMNS.get(kind)
        by_image: dict[str, list[CorrectedValue]] = {}
        for (image, column), one in {**self._old, **self._new}.items():
            if columns is None or column in columns:
                by_image.setdefault(image, []).append(one)
        if rows.empty or not by_image:
            return rows
        causes, reasons = rows["cause"].tolist(), rows["reason"].tolist()
        for i, image in enumerate(rows["image_id"]):
            found = by_image.get(image)
            # A published list gives classes whatever the finding is.
            if not found or (kind == "relabelled" and causes[i] not in (*BY_FINDING, "")):
                continue
            text = "; ".join(map(self._describe, found))
            # The correction has both findings, unless it is redacted.
            whole = kind == "relabelled" and not any(one.redacted for one in found)
            reasons[i] = text if whole or not reasons[i] else f"{reasons[i]}; {text}"
            causes[i] = CAUSE if columns is not None or not causes[i] else causes[i]
        return rows.assign(cause=causes, reason=reasons)

    def _describe(self, one: CorrectedValue) -> str:
        kept = (one.image_id, one.column) in self._new
        return f"correction of {one.describe()}" + ("" if kept else ", which was removed")


def _comparable(
    side: DatasetVersion, old: DatasetVersion, new: DatasetVersion
) -> dict[tuple[str, str], CorrectedValue]:
    unlisted = {*old.unlisted, *new.unlisted}
    withdrawn = _withdrawn(new)
    listed = set(old.manifest["image_id"]) & set(new.manifest["image_id"]) if unlisted else set()
    return {
        (one.image_id, one.column): one
        for one in side.corrections or ()
        if one.image_id not in withdrawn and (one.source not in unlisted or one.image_id in listed)
    }


def _withdrawn(version: DatasetVersion) -> set[str]:
    """Return the images that a version excludes as withdrawn: nothing else is said of them."""
    if version.ledger is None:
        return set()
    return set(version.ledger.loc[version.ledger["exclusion"].eq("withdrawn"), "image_id"])


def _is_same(a: CorrectedValue, b: CorrectedValue) -> bool:
    if a.redacted or b.redacted:
        return a.new == b.new
    return (a.old, a.new, a.reason) == (b.old, b.new, b.reason)
